"""ticket-sentiment: the stages of dvc.yaml and the commands for people."""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from ticket_sentiment import actions
from ticket_sentiment.costs.options import add_options
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.errors import TicketSentimentError, of_files
from ticket_sentiment.processes import die_with_parent, few_collections, lean_memory, lines_in_order

# Stage or command: module with a `main(params)` that does it. Imported only when called, so that
# `prepare` does not wait for torch.
STAGES = {
    "validate": "ticket_sentiment.tickets.validate",
    "prepare": "ticket_sentiment.tickets.prepare",
    "inspect": "ticket_sentiment.gates.inspection",
    "train": "ticket_sentiment.model.train",
    "prune": "ticket_sentiment.model.prune",
    "quantize": "ticket_sentiment.model.quantize",
    "evaluate": "ticket_sentiment.gates.evaluate",
    "behaviour": "ticket_sentiment.gates.behave",
    "drift": "ticket_sentiment.gates.drift",
    "benchmark": "ticket_sentiment.gates.benchmark",
    "price": "ticket_sentiment.costs.command",
    "gate": "ticket_sentiment.gates.gate",
    "report": "ticket_sentiment.gates.report",
}

# Of dvc.hotfix.yaml, where they are called prepare, train, prune and compare.
HOTFIX_STAGES = {
    "hotfix-prepare": "ticket_sentiment.tickets.hotfix",
    "hotfix-train": "ticket_sentiment.model.hotfix:main_dense",
    "hotfix-prune": "ticket_sentiment.model.hotfix:main_pruned",
    "hotfix-compare": "ticket_sentiment.gates.comparison",
}


def _stage(place: str) -> Callable[[argparse.Namespace], None]:
    module, _, function = place.partition(":")

    def run(_: argparse.Namespace) -> None:
        from ticket_sentiment.params import load_params

        few_collections()
        params = load_params()
        die_with_parent()
        lean_memory()
        getattr(importlib.import_module(module), function or "main")(params)

    return run


def _column(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if field not in ("ticket_id", "customer_id", "text") or not equals or not name:
        raise argparse.ArgumentTypeError("expected FIELD=NAME with the field ticket_id, customer_id or text")
    return field, name


def _from_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1")
    return int(text)


def _days(text: str) -> int:
    if (number := _from_one(text)) > 36_500:
        raise argparse.ArgumentTypeError("expected at most 36500, a hundred years")
    return number


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError("expected a whole number from 0, below 2**32")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(prog="ticket-sentiment", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="command")
    collect = commands.add_parser(
        "collect", help="bring tickets and people's labels into data/tickets and data/feedback, versioned"
    )
    collect.add_argument("--month", metavar="YYYY-MM", help="the source holds this one month and no other")
    collect.add_argument(
        "--replace",
        metavar="[feedback/]YYYY-MM",
        action="append",
        default=[],
        help="a versioned month, of tickets or of people's labels, that may change",
    )
    collect.add_argument(
        "--drop",
        metavar="[feedback/]YYYY-MM",
        action="append",
        default=[],
        help="collect nothing, remove this stored month; demo: all months of the demo",
    )
    collect.set_defaults(run=actions.collect)
    erase = commands.add_parser("erase", help="take a customer out of everything kept here: docs/security.md")
    for name, of in (("customer", "as your source and callers spell it"), ("ticket", "one ticket")):
        erase.add_argument(f"--{name}", metavar="ID", action="append", default=[], help=of)
    erase.add_argument("--without-events", action="store_true", help="there is no event database")
    erase.set_defaults(run=actions.erase)
    queue = commands.add_parser("label-queue", help="write tickets that are worth a person's label to a file")
    queue.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        required=True,
        help="a new file: .csv for a spreadsheet, .json for Label Studio",
    )
    queue.add_argument("--count", type=_from_one, metavar="N", help="tickets; labelling.count by default")
    queue.add_argument(
        "--since",
        type=_days,
        metavar="DAYS",
        help="how far to look back; labelling.since_days by default",
    )
    queue.set_defaults(run=actions.label_queue)
    labels = commands.add_parser("label-import", help="bring the labels of a filled queue back")
    labels.add_argument("file", type=Path, metavar="FILE", help="CSV, or Label Studio's JSON or JSON-MIN")
    labels.add_argument("--source", help="who labelled; rollout.audit_source by default")
    labels.set_defaults(run=actions.label_import)
    search = commands.add_parser("search", help="measure the frontier of size, speed and quality, for hours")
    search.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="of texts and labels (CSV, JSON Lines, Parquet), instead of the prepared tickets",
    )
    search.set_defaults(run=actions.search)
    commands.add_parser("serve", help="answer with the registered champion").set_defaults(run=actions.serve)
    score = commands.add_parser("score", help="score files of tickets, of any size: docs/batch.md")
    score.add_argument("input", metavar="IN", help="Parquet, CSV or JSON Lines: a file, a folder or a glob")
    score.add_argument("out", type=Path, metavar="OUT", help="a folder for the answers, as Parquet")
    score.add_argument("--version", metavar="VERSION", help="of the registry, instead of the champion")
    score.add_argument(
        "--bundle", type=Path, metavar="FOLDER", help="a bundle, instead of one of the registry"
    )
    score.add_argument(
        "--column",
        type=_column,
        metavar="FIELD=NAME",
        action="append",
        default=[],
        help="the column that holds ticket_id, customer_id or text; tickets.columns by default",
    )
    score.add_argument("--replace", action="store_true", help="throw away another job's answers in OUT")
    score.set_defaults(run=actions.score)
    images = commands.add_parser("images", help="build the container images of the registered champion")
    images.add_argument("--device", choices=["cpu", "gpu"], action="append", help="both by default")
    images.add_argument("--engine", metavar="NAME", help="docker, podman or buildah; by default what is here")
    images.add_argument("--base-image", metavar="IMAGE", help="another one with Python 3.11 in it")
    images.set_defaults(run=actions.images)
    scan = commands.add_parser("scan", help="look for secrets and tickets in what is delivered")
    scan.add_argument(
        "target", nargs="*", help="an image, a saved image or a folder; by default the champion's Bentos"
    )
    scan.add_argument("--engine", metavar="NAME", help="docker, podman or buildah; by default what is here")
    scan.add_argument("--without-tickets", action="store_true", help="look for secrets alone")
    scan.set_defaults(run=actions.scan)
    sbom = commands.add_parser("sbom", help="write the bill of materials of an image, as CycloneDX")
    sbom.add_argument("image", help="of the engine, or a saved one")
    sbom.add_argument("--out", type=Path, metavar="FILE", default=Path("var/sbom.cdx.json"))
    sbom.add_argument("--engine", metavar="NAME", help="docker, podman or buildah; by default what is here")
    sbom.set_defaults(run=actions.sbom)
    commands.add_parser(
        "status", help="what serves where, since when and why; and what is registered"
    ).set_defaults(run=actions.status)
    compare = commands.add_parser("compare", help="what differs between two versions, on any table")
    for name in ("a", "b"):
        compare.add_argument(
            name, metavar=name.upper(), help="a version, an alias, or a folder with a bundle in it"
        )
    compare.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="of tickets (CSV, JSON Lines, Parquet), labelled or not; the newest holdout by default",
    )
    compare.add_argument("--out", type=Path, metavar="FILE", default=Path("var/compare.html"))
    compare.add_argument("--show-text", action="store_true", help="masked excerpts of tickets in the page")
    compare.add_argument("--speed", action="store_true", help="measure that, too, in a minute or two")
    compare.set_defaults(run=actions.compare)
    rollback = commands.add_parser(
        "rollback", help="end the rollout that is on, else bring the champion before back; in seconds"
    )
    rollback.add_argument("--to", metavar="VERSION", help="of the registry, instead of the champion before")
    rollback.add_argument("--reason", metavar="TEXT", default="No reason given.", help="for the history")
    rollback.set_defaults(run=actions.rollback)
    commands.add_parser(
        "releases", help="bring the bundles that the ledger names to where running services find them"
    ).set_defaults(run=actions.releases)
    keygen = commands.add_parser("keygen", help="make a key that signs models: docs/security.md")
    keygen.add_argument("file", type=Path, metavar="FILE", help="a new one, outside of the repository")
    keygen.add_argument(
        "--name", metavar="NAME", required=True, help="by which signatures name it, as 2026-11"
    )
    keygen.set_defaults(run=actions.keygen)
    for name, does, run in (
        ("sign", "sign the bundles of a version of the registry", actions.sign),
        ("verify", "verify the bundles of a version of the registry and their signatures", actions.verify),
    ):
        command = commands.add_parser(name, help=does)
        command.add_argument("version", metavar="VERSION")
        command.set_defaults(run=run)
        if name == "sign":
            command.add_argument(
                "--trust-mlflow",
                action="store_true",
                help="sign what MLflow holds where neither git nor a signature knows what was registered",
            )
    webhook = commands.add_parser(
        "webhook", help="have MLflow tell `python -m flows.webhook` at once when an alias moves"
    )
    webhook.add_argument("url", help="of that listener, as MLflow's server reaches it: https://host:port")
    webhook.set_defaults(run=actions.webhook)
    edge = commands.add_parser("edge", help="pack the champion for devices and browsers: docs/edge.md")
    edge.add_argument("--bundle", type=Path, metavar="FOLDER", help="instead of the registered champion's")
    edge.set_defaults(run=actions.edge)
    commands.add_parser(
        "cloudwatch", help="print the service's metrics as log lines of which CloudWatch makes metrics"
    ).set_defaults(run=actions.cloudwatch)
    commands.add_parser(
        "alert-test", help="send a harmless alert by every way that is configured"
    ).set_defaults(run=actions.alert_test)
    cost = commands.add_parser(
        "cost", help="what a month costs, and what it would cost otherwise: docs/costs.md"
    )
    add_options(cost)
    cost.set_defaults(run=actions.cost)
    autoscale = commands.add_parser(
        "autoscale", help="try the autoscaling policy on days of traffic: docs/autoscaling.md"
    )
    autoscale.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="a manifest, instead of params.yaml's",
    )
    autoscale.add_argument("--tickets-per-day", type=float, metavar="N", help="of a mean day")
    autoscale.add_argument("--profile", metavar="NAME", help="office, flat, or a CSV, as of `cost`")
    autoscale.add_argument("--benchmark", type=Path, metavar="FILE", default=Path("reports/benchmark.json"))
    autoscale.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    autoscale.add_argument(
        "--page", type=Path, metavar="FILE", help="write the page, which opens in a browser"
    )
    autoscale.set_defaults(run=actions.autoscale)
    hotfix = commands.add_parser("hotfix", help="let the champion learn corrected tickets: docs/hotfix.md")
    hotfix.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="CSV, JSON Lines or Parquet with text, label and, if known, ticket_id",
    )
    hotfix.add_argument(
        "--feedback-since",
        metavar="DATE",
        help="instead: tickets that people have labelled otherwise since",
    )
    hotfix.set_defaults(run=actions.hotfix)
    page = commands.add_parser("rollout-page", help="write the page of the rollout, which opens in a browser")
    page.add_argument("--out", type=Path, metavar="FILE", default=Path("var/rollout.html"))
    page.set_defaults(run=actions.rollout_page)
    simulate = commands.add_parser(
        "simulate", help="what the rollout policy of params.yaml would do with good and bad models"
    )
    simulate.add_argument("--runs", type=int, default=200, help="rollouts of each kind of model; 200")
    simulate.add_argument("--seed", type=_seed, default=7)
    simulate.add_argument("--hotfix", action="store_true", help="with the steps of rollout.hotfix")
    for name, (kind, text) in actions.TRAFFIC.items():
        simulate.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    simulate.set_defaults(run=actions.simulate)
    for graph, stages in (("dvc.yaml", STAGES), ("dvc.hotfix.yaml", HOTFIX_STAGES)):
        for name, place in stages.items():
            commands.add_parser(name, help=f"stage of {graph} ({place})").set_defaults(run=_stage(place))
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a problem that a person can fix is one line on standard error and exit status 2."""
    quiet_environment()
    lines_in_order()
    parsed = parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except TicketSentimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if (words := of_files(error) or _of_mlflow(error)) is None:
            raise
        print(f"error: {words}", file=sys.stderr)
        return 2
    return 0


def _of_mlflow(error: Exception) -> str | None:
    """What to say of an error of MLflow, which quotes its address with the password; None of another."""
    module = sys.modules.get("mlflow.exceptions")
    if module is None or not isinstance(error, module.MlflowException):
        return None
    return (
        f"MLflow does not do what it was asked ({error.error_code}): see that its server or database answers "
        "and lets you in (registry.tracking_uri, MLFLOW_TRACKING_URI, its user and password)"
    )


if __name__ == "__main__":
    sys.exit(main())
