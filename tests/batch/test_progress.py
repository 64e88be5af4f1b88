from ticket_sentiment.batch.progress import Progress, duration


def test_the_time_left_is_of_this_run_s_speed():
    now = [0.0]
    told: list[str] = []
    progress = Progress(100_000, told.append, lambda: now[0])
    progress.found(20_000)
    now[0] = 9.0
    progress.done(6_000)
    assert told == []
    now[0] = 20.0
    progress.done(14_000)
    assert told == ["40,000 of 100,000 tickets (40 %), 1,000/s, 1 min 00 s left"]


def test_more_rows_than_lines_were_counted_is_no_error():
    progress = Progress(10, print, lambda: 0.0)
    progress.done(12)
    assert progress.share() == "12 of 12 tickets (100 %)"


def test_durations():
    assert [duration(seconds) for seconds in (0.2, 59.6, 130, 3_905)] == [
        "0 s",
        "1 min 00 s",
        "2 min 10 s",
        "1 h 05 min",
    ]
