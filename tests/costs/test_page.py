"""The page stands alone, says the answer first, and its plots carry their findings."""

import re
from pathlib import Path

import pytest

from tests.support.costs import plain_case
from tests.support.page import Page
from ticket_sentiment.costs.command import report
from ticket_sentiment.costs.page import mover, write_page


def made(folder: Path, **knobs) -> tuple[str, Page, dict]:
    case = plain_case(folder, **knobs)
    found = report(case)
    write_page(found, case, folder / "cost.html")
    source = (folder / "cost.html").read_text(encoding="utf-8")
    return source, Page(source), found


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"gpu_tickets_per_second": 20_000.0, "tickets_per_day": 11_000 * 86_400.0},
        {"purchase": "reserved", "profile": "office", "cache_hit_rate": 0.4},
    ],
)
def test_every_answer_is_on_the_page_and_it_needs_no_network(tmp_path: Path, knobs: dict):
    source, page, found = made(tmp_path, **knobs)
    headings = [tag for tag, _ in page.tags if tag == "h2"]
    assert len(headings) >= 7
    for words in (found["answer"]["title"], *found["answer"]["lines"], *found["assumptions"]):
        assert words in page.text
    for one in found["options"]:
        assert one["name"] in page.text
    assert not re.search(r"(src|href)\s*=|url\(|<script|https?://", source)
    assert "viewport" in source and "nan" not in page.text.lower().split()


def test_the_sources_and_days_of_all_prices_are_there(tmp_path: Path):
    _, page, found = made(tmp_path)
    for one in found["prices"]["services"].values():
        assert one["source"] in page.text
    assert "Karpenter" in page.text and "2026-07-20" in page.text and "x2iedn.32xlarge" in page.text


def test_the_break_even_is_marked_only_where_there_is_one(tmp_path: Path):
    assert "from here the GPU is cheaper" not in made(tmp_path)[1].text
    source, page, _ = made(tmp_path, gpu_tickets_per_second=20_000.0)
    assert "from here the GPU is cheaper" in page.text
    assert source.count("<polyline") == 3
    assert "assumed speed" not in page.text and "the speed given" in page.text


@pytest.mark.parametrize(
    ("knobs", "objective_ms", "row"),
    [
        ({}, 3.9, "Objective (ms): 1.95 to 7.8 – to $130"),
        (
            {"cache_hit_rate": 0.9, "request_ms": 1.0, "objective_share": 0.8},
            2.5,
            "Tickets that the cache answers: 0 to 0.9 – to $130",
        ),
    ],
)
def test_an_assumption_with_which_the_objective_is_missed_is_a_dash(
    tmp_path: Path, knobs: dict, objective_ms: float, row: str
):
    case = plain_case(tmp_path, **knobs).changed(objective_ms=objective_ms)
    write_page(report(case), case, tmp_path / "cost.html")
    text = " ".join(Page((tmp_path / "cost.html").read_text(encoding="utf-8")).text.split())
    assert row in text and "–: the objective cannot be met." in text
    assert "A month of machines hangs most on: " in text
    assert "cannot be met" not in made(tmp_path)[1].text


def test_the_title_of_a_tornado_names_what_moves_the_cost_most():
    rows = [
        {"what": "Speed", "usd_per_month": [10.0, 10.0]},
        {"what": "Machines", "usd_per_month": [5.0, 20.0]},
        {"what": "Price", "usd_per_month": [8.0, 10.0]},
    ]
    assert (
        mover(rows, "usd_per_month", "A month")
        == "A month hangs most on: machines; 1 of 3 assumptions move nothing"
    )
    still = [row | {"usd_per_month": [10.0, 10.0]} for row in rows]
    assert mover(still, "usd_per_month", "A month") == "A month costs the same whatever is assumed"
