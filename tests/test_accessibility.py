"""The pages in a real browser: everybody can read them, on a phone too; the first screen is the decision."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.gates.conftest import evidence_folders, good_evidence, params
from tests.monitoring.conftest import loop, project
from tests.monitoring.desk import in_service, traffic
from tests.support.browser import AXE, PHONE, WIDE, Look, browser, look
from tests.support.costs import plain_case, write_benchmark
from tests.support.desk import Desk
from tests.support.evidence import edit_json
from tests.support.small_world import MONTHS, small_month
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.autoscaling import trial
from ticket_sentiment.cli import main
from ticket_sentiment.compare.command import main as compare
from ticket_sentiment.costs.command import report as figures
from ticket_sentiment.costs.page import write_page as write_cost_page
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.gates import gate, report
from ticket_sentiment.gates.card import PAGE as CARD
from ticket_sentiment.monitoring import look as monitor
from ticket_sentiment.monitoring.page import write_page as write_monitor_page
from ticket_sentiment.promotion.page import write_page
from ticket_sentiment.promotion.progress import read_progress
from ticket_sentiment.tickets import validate
from ticket_sentiment.tickets.schema import TICKETS, write_tickets

__all__ = ["evidence_folders", "good_evidence", "loop", "params", "project"]

pytestmark = [
    pytest.mark.skipif(browser() is None, reason="no Chromium here: install chromium"),
    pytest.mark.skipif(not AXE.is_file(), reason=f"no {AXE}: run scripts/axe, or name the file in AXE"),
]

LONG = "This is wrong with the tickets of the month and has to be mended in the export. " * 2


def readable(page: Path, size: tuple[int, int]) -> Look:
    """What the browser found, after what holds for every page."""
    found = look(page, size)
    assert found.grave == [] and found.passes > 15
    assert found.sideways <= 0
    assert page.stat().st_size < 2_000_000
    return found


@pytest.fixture
def judged(good_evidence, params) -> Path:
    """The evidence of a good month, as a folder that we are in; gate and report are run by `told`."""
    return good_evidence()


def told(params) -> None:
    gate.main(params, datetime(2026, 11, 3, tzinfo=UTC))
    report.main(params)


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_the_first_screen_of_the_report_is_the_decision(judged, params, size):
    told(params)
    assert readable(report.PAGE, size).first <= size[1]


def test_the_first_screen_holds_long_reasons_against_a_release_too(judged, params):
    failures = [{"sentence": f"{number}. {LONG}"} for number in range(5)]
    edit_json(judged / "reports/validation/result.json", "failures", failures)
    edit_json(judged / "reports/evaluation/metrics.json", "models.compressed.macro_f1.value", 0.3)
    told(params)
    assert readable(report.PAGE, WIDE).first <= WIDE[1]


def test_the_model_card_can_be_read_on_a_phone(judged, params):
    told(params)
    readable(CARD, PHONE)


def test_a_comparison_can_be_read_on_a_phone(judged, params):
    make_tiny_bundle(Path("other"), seed=2, mistakes={"slow": "positive"})
    compare(params, ("models/release/cpu", "other"), None, Path("compare.html"), show_text=True, speed=False)
    assert readable(Path("compare.html"), PHONE).first <= PHONE[1]


def test_the_page_of_a_rollout_can_be_read_on_a_phone(params, tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/var/events.db")
    desk = Desk(ledger, params, gain=0.02)
    desk.play(days=1)
    path = write_page(read_progress(ledger, params, desk.now), params, tmp_path / "rollout.html")
    ledger.close()
    assert readable(path, PHONE).first <= PHONE[1]


def test_the_page_of_an_autoscaling_trial_can_be_read_on_a_phone(in_repository, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SCENARIOS", trial.SCENARIOS[4:5])
    benchmark, page = write_benchmark(tmp_path / "benchmark.json"), tmp_path / "autoscale.html"
    assert main(["autoscale", "--benchmark", str(benchmark), "--page", str(page)]) == 0
    assert readable(page, PHONE).first <= PHONE[1]


def test_the_page_of_the_cost_can_be_read_on_a_phone(tmp_path):
    case = plain_case(tmp_path)
    write_cost_page(figures(case), case, tmp_path / "cost.html")
    assert readable(tmp_path / "cost.html", PHONE).first <= PHONE[1]


def test_the_page_of_the_model_in_service_can_be_read_on_a_phone(loop, monkeypatch):
    monkeypatch.chdir(loop.root)
    monkeypatch.delenv(loop.params.events.url_env, raising=False)
    few = loop.params.drift.model_copy(update={"resamples": 20})
    params = loop.params.model_copy(update={"drift": few})
    digest = in_service(loop)
    traffic(loop, digest, days=7, change=str.upper)
    path = write_monitor_page(monitor.look(params), params, loop.root / "var/monitor.html")
    assert readable(path, PHONE).first <= PHONE[1]


def test_the_page_of_the_validation_can_be_read_on_a_phone(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, month in enumerate(MONTHS):
        write_tickets(TICKETS / f"{month}.parquet", small_month(month, seed))
    validate.main(params)
    assert "Labels that seem wrong" in validate.PAGE.read_text()
    readable(validate.PAGE, PHONE)


def test_what_keeps_somebody_from_reading_is_found(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<!doctype html><html><body><img src="x.png"><p style="width: 900px">wide</p></body></html>'
    )
    found = look(page, PHONE)
    assert {"image-alt", "html-has-lang"} <= {one["id"] for one in found.grave} and found.sideways > 0
