import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.search.points import Result
from ticket_sentiment.search.record import Record, Speeds, read_record, write_record
from ticket_sentiment.search.search import plan
from ticket_sentiment.search.speed import Speed

SETTINGS = {"threads": 1}


def test_a_record_of_other_settings_counts_for_nothing_and_a_bad_one_is_named(tmp_path):
    path = tmp_path / "points.json"
    assert read_record(path, "a") == Record("a")
    result = Result(0.8, 0.7, 0.02, 8_000_000, {"layers": 2}, 5.0)
    record = Record(
        "a", {7: {"dense": result}}, Speeds("cpu", "2026-11-02", SETTINGS, {"dense": Speed(1.0, 2.0, 3.0)})
    )
    write_record(record, path)
    assert read_record(path, "a") == record
    assert read_record(path, "b") == Record("b")
    path.write_text(path.read_text().replace("8000000", "null"))
    with pytest.raises(TicketSentimentError, match=r"points\.json: seeds\.7\.dense\.bytes: .*remove it"):
        read_record(path, "a")


def test_without_a_speed_for_each_the_first_seed_is_made_anew(small_params):
    jobs = [job for job in plan(small_params) if job.seed == 1]
    speeds = Speeds("cpu", "2026-11-02", SETTINGS, {job.name: Speed(1.0, 2.0, 3.0) for job in jobs})
    assert Record("a", {}, speeds).speeds_of(jobs, SETTINGS) == speeds
    assert Record("a", {}, speeds).speeds_of(jobs, SETTINGS | {"threads": 2}) is None
    del speeds.points["2x2x32"]
    assert Record("a", {}, speeds).speeds_of(jobs, SETTINGS) is None
    assert Record("a").speeds_of(jobs, SETTINGS) is None


def test_a_record_of_another_search_is_not_dropped_in_silence(tmp_path, capsys):
    record = Record("before", {7: {"dense": Result(0.7, 0.7, 0.03, 9, {})}})
    write_record(record, tmp_path / "points.json")
    assert read_record(tmp_path / "points.json", "now").seeds == {}
    assert "its 1 points are of other knobs, tickets or code: all are made anew" in capsys.readouterr().out
