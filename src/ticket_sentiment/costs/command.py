"""`ticket-sentiment cost`, for a person's own question; stage `price` asks the one of params.yaml."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ticket_sentiment.costs.case import Case, build_case
from ticket_sentiment.costs.figures import cost_figures
from ticket_sentiment.costs.page import write_page
from ticket_sentiment.costs.summary import cost_summary
from ticket_sentiment.costs.words import answers
from ticket_sentiment.files import rounded, write_json
from ticket_sentiment.gates.evidence import BENCHMARK
from ticket_sentiment.params import Params

RESULT = Path("reports/cost.json")
PAGE = Path("reports/cost.html")


def report(case: Case) -> dict[str, Any]:
    """The figures with the answers in words, as cost.json holds them."""
    found = rounded(cost_figures(case))  # before the words, so that they and the tables say the same digits
    found["traffic"]["tickets_per_day"] = case.traffic.tickets_per_day  # as it was asked
    return found | {"answer": answers(found)}


def main(params: Params) -> None:
    """Stage `price`: benchmark and prices to reports/cost.json and reports/cost.html.

    The age of prices is counted to the day of the measurement, so that equal inputs give equal files.
    """
    case = build_case(params, {})
    found = report(case)
    write_page(found, case, PAGE)
    write_json(RESULT, found)


def ask(
    params: Params,
    given: Mapping[str, Any],
    json_file: Path | None = None,
    page: Path | None = None,
    benchmark: Path = BENCHMARK,
) -> str:
    """Price a case of a person's own.

    Args:
        params: of params.yaml.
        given: keys of section costs that go before it.
        json_file: where the figures go, if anywhere.
        page: where the page goes, if anywhere.
        benchmark: the measurement.

    Returns:
        The summary.
    """
    case = build_case(params, given, benchmark, datetime.datetime.now(datetime.UTC).date())
    found = report(case)
    if json_file is not None:
        write_json(json_file, found)
    if page is not None:
        write_page(found, case, page)
    return cost_summary(found)
