"""`ticket-sentiment autoscale`: tries the shipped policies on days of traffic."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ticket_sentiment.autoscaling.page import write_page
from ticket_sentiment.autoscaling.trial import Result, build_setting, try_all
from ticket_sentiment.autoscaling.words import describe, figures, missed, rows
from ticket_sentiment.costs.case import build_case
from ticket_sentiment.costs.summary import columns
from ticket_sentiment.costs.traffic import SHAPES
from ticket_sentiment.costs.words import short, usd
from ticket_sentiment.files import rounded, write_json
from ticket_sentiment.params import Params

HEAD = ("", "missed", "lost", "replica-hours", "times knowing", "machines", "most pods", "changes")


def main(
    params: Params,
    given: Mapping[str, Any],
    policies: Sequence[Path],
    benchmark: Path,
    json_file: Path | None = None,
    page: Path | None = None,
) -> None:
    """Print a table for each scenario as soon as its day is over, and the answer at the end.

    Args:
        params: of params.yaml.
        given: keys of section costs that go before it; with `tickets_per_day` or a file of counts as
            `profile` that traffic is taken, else one whose busiest moment is planned for
            autoscale.peak_replicas pods.
        policies: manifests, instead of autoscale.policies where there are any.
        benchmark: the measurement.
        json_file: where the figures go, if anywhere.
        page: where the page goes, if anywhere.

    Raises:
        TicketSentimentError: a manifest, the benchmark or an option is not what it should be.
    """
    case = build_case(params, given, benchmark)
    own = "tickets_per_day" in given or given.get("profile", "flat") not in SHAPES
    peak = None if own else params.autoscale.peak_replicas
    tried = policies or [Path(name) for name in params.autoscale.policies]
    setting = build_setting(params, case, tried, peak)
    print(
        f"Up to {short(setting.busiest)} requests a second, profile {case.traffic.name}; a pod is planned "
        f"with {short(setting.planned)}, and keeps the objective up to "
        f"{short(setting.worker.capacity(params.autoscale.max_missed) * setting.workers)}"
    )
    for policy in setting.policies:
        print(f"{policy.name}: {describe(policy)}")

    def say(result: Result) -> None:
        name = result.scenario.name
        print(f"\n{name[0].upper()}{name[1:]}, {short(result.clairvoyant.requests)} requests")
        print("\n".join(columns(HEAD, [_cells(one) for one in rows(setting, result)])), flush=True)

    results = try_all(setting, say)
    found = rounded(figures(setting, results))
    print(f"\n{found['answer']['title']}.")
    for words in found["answer"]["lines"]:
        print(words)
    if json_file is not None:
        write_json(json_file, found)
    if page is not None:
        write_page(found, setting, results, page)


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["policy"],
        missed(one["missed"]),
        f"{one['lost']:,.0f}",
        f"{one['replica_hours']:,.1f}",
        f"{one['over_clairvoyant']:.2f}",
        usd(one["usd"]),
        str(one["most_pods"]),
        str(one["changes"]),
    )
