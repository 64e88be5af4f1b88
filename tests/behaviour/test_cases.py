import pytest

from tests.support.params import params_of_tests
from ticket_sentiment.behaviour.cases import make_cases, plan
from ticket_sentiment.behaviour.specification import SUITE, BehaviourTest, read_suite
from ticket_sentiment.errors import TicketSentimentError

WORDS = {"product": ["app", "page"], "good": ["great", "fine", "nice"], "degree": ["", "very "]}


def made(count: int = 100, **fields):
    fields = {
        "name": "a",
        "capability": "b",
        "templates": ["the {product} is {good}."],
        "words": WORDS,
    } | fields
    return make_cases(BehaviourTest(**fields), count, 7)


def test_every_filling_comes_once_and_begins_with_a_capital():
    cases = made(kind="minimum", expect=["positive"])
    assert len(set(cases)) == len(cases) == 6
    assert ("The page is nice.",) in cases
    assert made(4, kind="minimum", expect=["positive"]) == cases[:4]


def test_the_parts_of_a_pair_differ_in_what_is_said_and_in_nothing_else():
    degree = "The {product} is {degree}{good}."
    for case in made(kind="directional", toward="positive", vary="degree", templates=[degree]):
        assert case[1] == case[0].replace("is ", "is very ")
    for case in made(kind="invariance", after=["I live here.", "It is May."]):
        assert case[1] in (f"{case[0]} I live here.", f"{case[0]} It is May.")
    assert len(made(kind="invariance", after=["I live here.", "It is May."])) == 12
    for case in made(kind="invariance", before=["Case 7:"]):
        assert case[1] == f"Case 7: {case[0]}"
    for case in made(kind="robustness", change="upper_case"):
        assert case[1] == case[0].upper()
    groups = {"women": ["Emily", "Sarah"], "men": ["James", "Paul"]}
    for case in made(kind="fairness", vary="who", groups=groups, templates=["{who} is {good}."]):
        assert case[0].replace("Emily", "James").replace("Sarah", "Paul") == case[1]


def test_a_case_in_which_nothing_changes_is_none():
    assert made(kind="invariance", change="short_forms") == []
    test = BehaviourTest(
        name="a",
        kind="invariance",
        capability="b",
        templates=["All is {good}."],
        words=WORDS,
        change="short_forms",
    )
    with pytest.raises(TicketSentimentError, match="test a makes no case"):
        plan([test], 10, 7)


def test_tests_share_the_texts_that_they_begin_with():
    first, second = (made(4, kind="invariance", change=name) for name in ("lower_case", "double_spaces"))
    assert [case[0] for case in first] == [case[0] for case in second]


@pytest.fixture(scope="module")
def whole():
    settings = params_of_tests().behaviour
    return plan(read_suite(SUITE / "absent.yaml"), settings.cases_per_test, settings.seed)


def test_the_suite_is_as_large_as_it_claims(whole):
    assert len(whole.tests) >= 60
    assert sum(len(planned.cases) for planned in whole.tests) >= 10_000
    assert all(len(planned.cases) >= 20 for planned in whole.tests)
    assert all(len(planned.test.templates) >= 6 for planned in whole.tests), "no few sentences decide a test"
    assert {planned.test.kind for planned in whole.tests} == {
        "minimum",
        "invariance",
        "directional",
        "fairness",
        "robustness",
    }


def test_the_texts_are_whole_and_as_the_service_reads_them(whole):
    assert len(set(whole.texts)) == len(whole.texts)
    assert not any("{" in text or not text.strip() or "  " in text for text in whole.texts)
    greeted = next(planned for planned in whole.tests if planned.test.name == "greetings")
    both = [[whole.texts[row] for row in rows] for rows in greeted.rows]
    assert any(case[0] == case[1] for case in both), "a greeting is taken off before the model reads"


def test_equal_seeds_make_equal_cases(whole):
    settings = params_of_tests().behaviour
    again = plan(read_suite(SUITE / "absent.yaml"), settings.cases_per_test, settings.seed)
    assert again.texts == whole.texts
    other = plan(read_suite(SUITE / "absent.yaml"), 20, settings.seed + 1)
    assert not set(other.tests[0].cases) <= set(whole.tests[0].cases[:20])
