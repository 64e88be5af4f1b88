import pytest

from ticket_sentiment.cache.breaker import CircuitBreaker


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self) -> float:
            return self.now

    return Clock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(failures=3, pause_s=5, clock=clock)


def fail(breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allow()
        breaker.failed()


def test_failures_in_a_row_open_it(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.allow() and not breaker.open
    breaker.failed()
    assert breaker.open and not breaker.allow()


def test_after_a_pause_one_may_try(breaker, clock):
    fail(breaker, 3)
    clock.now += 4.9
    assert not breaker.allow()
    clock.now += 0.2
    assert breaker.allow() and not breaker.allow() and breaker.open
    breaker.succeeded()
    assert breaker.allow() and breaker.allow() and not breaker.open


def test_a_try_that_fails_opens_it_again(breaker, clock):
    fail(breaker, 3)
    clock.now += 5
    assert breaker.allow()
    breaker.failed()
    clock.now += 4.9
    assert not breaker.allow()
    clock.now += 0.2
    assert breaker.allow()


def test_a_try_that_is_given_up_lets_another_try(breaker, clock):
    fail(breaker, 3)
    clock.now += 5
    assert breaker.allow()
    breaker.abandoned()
    assert breaker.open and breaker.allow()
