"""What a replay sends, counts and shows; `python -m benchmarks.replay --short` plays one."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks.replay.__main__ import _kept, play
from benchmarks.replay.desk import AUDIT_SALT, AUDITED, short_desk
from benchmarks.replay.month import Retrained, Served, Step, compare
from benchmarks.replay.page import finding, lines, quality_plot, rollout_in_words, write_page
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_json
from ticket_sentiment.params import Evaluate, load_params
from ticket_sentiment.rollout.audit import audited

SETTINGS = Evaluate(bootstrap_samples=300, seed=7, min_slice_rows=50)


def interval(value: float, spread: float = 0.02) -> dict[str, float | None]:
    return {"value": value, "low": value - spread, "high": value + spread}


APRIL = Served(
    month="2026-04",
    tickets=20_000,
    labelled=2_000,
    failed=0,
    versions={"1": 20_000},
    live=interval(0.70),
    first=interval(0.70),
    gain=interval(0.0, 0.0),
    champion="1",
    rollout=(),
)
MAY = replace(
    APRIL,
    month="2026-05",
    versions={"1": 5_000, "2": 15_000},
    live=interval(0.73),
    gain=interval(0.03),
    champion="2",
    rollout=(
        Step(-0.4, "start", "2", 0.0, "It passed."),
        Step(3.2, "advance", "2", 0.05, "No worse."),
        Step(12.0, "promote", "2", 0.0, "No worse."),
    ),
)
RETRAINED = Retrained(
    month="2026-04",
    version="2",
    decision="pass",
    reasons=(),
    drift="2026-04 is like the training months in all 7 measures",
    train_months=("2026-01", "2026-02"),
    macro_f1={"compressed": 0.731, "champion": 0.702},
    minutes=5.0,
)


def test_each_labelled_ticket_is_of_the_audit_and_no_other():
    desk = short_desk()
    month = desk.played[0]
    sent = desk.tickets(month)
    assert len({one.ticket_id for one in sent}) == len(sent) == 10 * len(desk.months[month])
    for one in sent:
        assert audited(one.ticket_id, AUDIT_SALT, AUDITED) is bool(one.label)
    assert sorted(one.text for one in sent if one.label) == sorted(desk.months[month]["text"])
    assert sent == desk.tickets(month)


def test_the_project_has_the_months_that_are_known_and_hours_as_long_as_they_are_there(tmp_path):
    desk, params = short_desk(), params_of_tests()
    desk.project(tmp_path / "project", params)
    names = sorted(path.stem for path in (tmp_path / "project/exports").iterdir())
    assert names == list(desk.months)[: desk.known]
    laid = load_params(tmp_path / "project/params.yaml").rollout
    assert laid.max_days * 86400 == pytest.approx(desk.month_s * params.rollout.max_days / 30)
    for ours, theirs in zip(laid.steps, params.rollout.steps, strict=True):
        assert ours.share == theirs.share
        assert ours.min_hours * 3600 == pytest.approx(theirs.min_hours * desk.month_s / 720)


def test_quality_is_compared_on_the_same_tickets():
    draw = np.random.default_rng(3)
    actual = draw.integers(3, size=600)
    live = np.where(draw.random(600) < 0.8, actual, draw.integers(3, size=600))
    first = np.where(draw.random(600) < 0.5, actual, draw.integers(3, size=600))
    found = compare(actual, live, first, [f"c{n % 200}" for n in range(600)], SETTINGS)
    for name, answers in (("live", live), ("first", first)):
        assert found[name]["value"] == pytest.approx(f1_score(actual, answers, average="macro"))
    assert found["gain"]["value"] == pytest.approx(found["live"]["value"] - found["first"]["value"])
    assert 0 < found["gain"]["low"] < found["gain"]["value"] < found["gain"]["high"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.05, "customers got better answers"),
        (-0.02, 0.05, "2,000 labels cannot tell"),
        (-0.05, -0.01, "customers got worse answers"),
    ],
)
def test_the_finding_is_what_the_interval_says(low, high, words):
    last = replace(MAY, gain={"value": (low + high) / 2, "low": low, "high": high})
    assert words in finding([APRIL, last]) and finding([APRIL, last]).startswith(
        "In 2026-05, with 1 retrained model rolled out,"
    )


def test_where_no_retrained_model_served_nothing_is_said_of_retraining():
    assert finding([APRIL, replace(APRIL, month="2026-05")]).startswith(
        "No retrained model has answered customers"
    )


def test_the_rollout_is_told_by_days():
    assert rollout_in_words(APRIL) == "none was on"
    told = "day 0: version 2 in shadow; day 3: 5 % of the customers; day 12: promoted"
    assert rollout_in_words(MAY) == told


def test_the_page_shows_every_month_and_links_only_to_what_is_there(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "2026-04-drift.html").touch()
    write_page(short_desk(), [APRIL, MAY], [RETRAINED], pages, tmp_path / "replay.html")
    page = (tmp_path / "replay.html").read_text()
    assert "version 1 (25 %) and version 2 (75 %)" in page and "0.730 (0.710 to 0.750)" in page
    assert page.count("href=") == 1 and 'href="pages/2026-04-drift.html"' in page
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert "+3.0 points (+1.0 to +5.0)" in "\n".join(lines([APRIL, MAY], [RETRAINED]))


def test_a_plot_of_one_month_is_a_plot():
    assert quality_plot([APRIL]).count("<circle") == 2


def test_a_folder_of_another_desk_is_refused(tmp_path):
    write_json(tmp_path / "desk.json", {"known": 9})
    with pytest.raises(TicketSentimentError, match="another desk: run with --anew"):
        play(tmp_path, short_desk(), print)


def test_a_month_that_is_kept_is_not_played_again(tmp_path):
    def never() -> Served:
        raise AssertionError("played again")

    assert _kept(tmp_path / "may.json", Served, lambda: MAY) == MAY
    assert _kept(tmp_path / "may.json", Served, never) == MAY
    assert _kept(tmp_path / "april.json", Retrained, lambda: RETRAINED) == RETRAINED
    assert asdict(_kept(tmp_path / "april.json", Retrained, lambda: None)) == asdict(RETRAINED)
