"""ticket-sentiment: the stages of dvc.yaml and the commands for people."""

import argparse
import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ticket_sentiment.costs.options import add_options, given
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.processes import die_with_parent, lean_memory

# Stage or command: module with a `main(params)` that does it. Imported only when called, so that
# `prepare` does not wait for torch.
STAGES = {
    "validate": "ticket_sentiment.tickets.validate",
    "prepare": "ticket_sentiment.tickets.prepare",
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

TRAFFIC = {  # options of `simulate`, fields of rollout.world.Traffic
    "tickets_per_day": (float, "2000"),
    "customers": (int, "who send them, a few of them most; 2000"),
    "label_share": (float, "of the audited tickets that ever get a label; 0.8"),
    "label_hours": (float, "median time to a label; 12"),
    "looks_per_day": (int, "how often the rollout is looked at; 2"),
}

QUIET = {
    # None of these libraries calls home, and none asks a model hub unless told to.
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "false",
}

# As in the Makefile, unless the environment says where a server is.
LOCAL_STATE = {"PREFECT_HOME": "var/prefect", "BENTOML_HOME": "var/bentoml"}
PREFECT = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


def flow_environment() -> dict[str, str]:
    """Of a process that runs a flow: state is where the Makefile keeps it, unless ours says otherwise."""
    here = {name: str(Path(folder).resolve()) for name, folder in LOCAL_STATE.items()}
    for folder in here.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return {**here, **PREFECT, **os.environ}


def quiet_environment() -> None:
    """Switch off what phones home, unless the environment says otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _stage(place: str) -> Callable[[argparse.Namespace], None]:
    module, _, function = place.partition(":")

    def run(_: argparse.Namespace) -> None:
        from ticket_sentiment.params import load_params

        params = load_params()
        die_with_parent()
        lean_memory()
        getattr(importlib.import_module(module), function or "main")(params)

    return run


def _collect(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.feedback.export import main as export
    from ticket_sentiment.feedback.export import replacements
    from ticket_sentiment.params import load_params
    from ticket_sentiment.tickets.collect import main as collect

    params = load_params()
    tickets, labels = replacements(arguments.replace)
    collect(params, arguments.month, tickets)
    export(params, labels)


def _label_queue(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.labelling.queue import main as label_queue
    from ticket_sentiment.params import load_params

    label_queue(load_params(), arguments.out, arguments.count, arguments.since)


def _label_import(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.labelling.intake import main as label_import
    from ticket_sentiment.params import load_params

    label_import(load_params(), arguments.file, arguments.source)


def _column(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if field not in ("ticket_id", "customer_id", "text") or not equals or not name:
        raise argparse.ArgumentTypeError("expected FIELD=NAME with the field ticket_id, customer_id or text")
    return field, name


def _from_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1")
    return int(text)


def _search(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.search.search import main as search

    search(load_params(), arguments.table)


def _serve(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.build import serve

    serve(load_params())


def _score(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.batch.job import Model, score_files
    from ticket_sentiment.model.bundle import load_bundle
    from ticket_sentiment.params import load_params

    params = load_params()
    with contextlib.ExitStack() as stack:
        if arguments.bundle:  # a machine that only scores needs no MLflow
            model = Model(load_bundle(arguments.bundle), None)
        else:
            from ticket_sentiment.registry.releases import registered_bundle

            model = Model(*stack.enter_context(registered_bundle(params, arguments.version)))
        columns = dict(arguments.column)
        summary = score_files(
            params, arguments.input, arguments.out, model, columns=columns, replace=arguments.replace
        )
    print("\n".join(summary.lines()))


def _images(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.images import build_images
    from ticket_sentiment.registry.store import DEVICES

    devices = arguments.device or DEVICES
    print("building; the first time takes minutes, as every package is installed", file=sys.stderr)
    images = build_images(load_params(), devices, arguments.engine, arguments.base_image)
    print("\n".join(images.values()))


def _edge(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.edge.pack import main as edge
    from ticket_sentiment.params import load_params

    edge(load_params(), arguments.bundle)


def _scan(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.supply.scan import main as scan
    from ticket_sentiment.supply.scan import read_tickets

    tickets = None if arguments.without_tickets else read_tickets()
    scan(arguments.target or _bentos(), arguments.engine, tickets)


def _bentos() -> list[str]:
    """Folders of the champion's Bentos, which hold all of an image that is ours."""
    import bentoml

    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.build import build_champion

    return [bentoml.get(tag).path for tag in build_champion(load_params()).values()]


def _sbom(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.supply.sbom import main as sbom

    sbom(arguments.image, arguments.out, arguments.engine)


def _status(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.status import status

    print(status(load_params()))


def _compare(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.compare.command import main as compare
    from ticket_sentiment.params import load_params

    names = (arguments.a, arguments.b)
    compare(load_params(), names, arguments.data, arguments.out, arguments.show_text, arguments.speed)


def _rollout_page(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.page import write_page
    from ticket_sentiment.promotion.progress import present

    params = load_params()
    print(write_page(present(params), params, arguments.out))


def _rollback(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.rollback import main as rollback

    rollback(load_params(), arguments.reason, arguments.to)


def _releases(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.releases import main as releases

    releases(load_params())


def _keygen(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.signing.keys import generate

    public = generate(arguments.file, arguments.name)
    print(f"{arguments.file}: the secret half; {public}: the line for those who serve")


def _sign(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.signing import sign

    sign(load_params(), arguments.version)


def _verify(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.signing import verify

    verify(load_params(), arguments.version)


def _webhook(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.webhook import announce
    from ticket_sentiment.registry.store import connect

    params = load_params()
    print(f"MLflow calls {announce(connect(params), params, arguments.url)} when an alias moves")


def _cloudwatch(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.serving.emf import main as cloudwatch

    params = load_params()
    cloudwatch(params.serve, params.objectives.cloudwatch)


def _alert_test(_: argparse.Namespace) -> None:
    from ticket_sentiment.alerts.tell import main as alert_test
    from ticket_sentiment.params import load_params

    alert_test(load_params())


def _hotfix(arguments: argparse.Namespace) -> None:
    """The flow, in a process of its own: the library does not know Prefect."""
    given = [str(arguments.file)] if arguments.file else []
    given += ["--feedback-since", arguments.feedback_since] if arguments.feedback_since else []
    done = subprocess.run([sys.executable, "-m", "flows.hotfix", *given], env=flow_environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _cost(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.costs.command import ask
    from ticket_sentiment.costs.update import update_prices
    from ticket_sentiment.params import load_params

    params = load_params()
    if arguments.update_prices:
        print(update_prices(arguments.update_prices, Path(params.costs.prices)))
        return
    print(ask(params, given(arguments), arguments.json, arguments.page, arguments.benchmark))


def _simulate(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.rollout.simulation import main as simulate
    from ticket_sentiment.rollout.world import Traffic

    given = {key: getattr(arguments, key) for key in TRAFFIC if getattr(arguments, key) is not None}
    simulate(load_params(), Traffic(**given), arguments.runs, arguments.seed, arguments.hotfix)


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
    collect.set_defaults(run=_collect)
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
        type=_from_one,
        metavar="DAYS",
        help="how far to look back; labelling.since_days by default",
    )
    queue.set_defaults(run=_label_queue)
    labels = commands.add_parser("label-import", help="bring the labels of a filled queue back")
    labels.add_argument("file", type=Path, metavar="FILE", help="CSV, or Label Studio's JSON or JSON-MIN")
    labels.add_argument("--source", default="audit", help="who labelled; audit by default")
    labels.set_defaults(run=_label_import)
    search = commands.add_parser("search", help="measure the frontier of size, speed and quality, for hours")
    search.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="of texts and labels (CSV, JSON Lines, Parquet), instead of the prepared tickets",
    )
    search.set_defaults(run=_search)
    commands.add_parser("serve", help="answer with the registered champion").set_defaults(run=_serve)
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
    score.set_defaults(run=_score)
    images = commands.add_parser("images", help="build the container images of the registered champion")
    images.add_argument("--device", choices=["cpu", "gpu"], action="append", help="both by default")
    images.add_argument("--engine", metavar="NAME", help="docker, podman or buildah; by default what is here")
    images.add_argument("--base-image", metavar="IMAGE", help="another one with Python 3.11 in it")
    images.set_defaults(run=_images)
    scan = commands.add_parser("scan", help="look for secrets and tickets in what is delivered")
    scan.add_argument(
        "target", nargs="*", help="an image, a saved image or a folder; by default the champion's Bentos"
    )
    scan.add_argument("--engine", metavar="NAME", help="docker or podman; by default what is here")
    scan.add_argument("--without-tickets", action="store_true", help="look for secrets alone")
    scan.set_defaults(run=_scan)
    sbom = commands.add_parser("sbom", help="write the bill of materials of an image, as CycloneDX")
    sbom.add_argument("image", help="of the engine, or a saved one")
    sbom.add_argument("--out", type=Path, metavar="FILE", default=Path("var/sbom.cdx.json"))
    sbom.add_argument("--engine", metavar="NAME", help="docker or podman; by default what is here")
    sbom.set_defaults(run=_sbom)
    commands.add_parser(
        "status", help="what serves where, since when and why; and what is registered"
    ).set_defaults(run=_status)
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
    compare.set_defaults(run=_compare)
    rollback = commands.add_parser(
        "rollback", help="end the rollout that is on, else bring the champion before back; in seconds"
    )
    rollback.add_argument("--to", metavar="VERSION", help="of the registry, instead of the champion before")
    rollback.add_argument("--reason", metavar="TEXT", default="No reason given.", help="for the history")
    rollback.set_defaults(run=_rollback)
    commands.add_parser(
        "releases", help="bring the bundles that the ledger names to where running services find them"
    ).set_defaults(run=_releases)
    keygen = commands.add_parser("keygen", help="make a key that signs models: docs/security.md")
    keygen.add_argument("file", type=Path, metavar="FILE", help="a new one, outside of the repository")
    keygen.add_argument(
        "--name", metavar="NAME", required=True, help="by which signatures name it, as 2026-11"
    )
    keygen.set_defaults(run=_keygen)
    for name, does, run in (
        ("sign", "sign the bundles of a version of the registry", _sign),
        ("verify", "verify the bundles of a version of the registry and their signatures", _verify),
    ):
        command = commands.add_parser(name, help=does)
        command.add_argument("version", metavar="VERSION")
        command.set_defaults(run=run)
    webhook = commands.add_parser(
        "webhook", help="have MLflow tell `python -m flows.webhook` at once when an alias moves"
    )
    webhook.add_argument("url", help="of that listener, as MLflow's server reaches it: https://host:port")
    webhook.set_defaults(run=_webhook)
    edge = commands.add_parser("edge", help="pack the champion for devices and browsers: docs/edge.md")
    edge.add_argument("--bundle", type=Path, metavar="FOLDER", help="instead of the registered champion's")
    edge.set_defaults(run=_edge)
    commands.add_parser(
        "cloudwatch", help="print the service's metrics as log lines of which CloudWatch makes metrics"
    ).set_defaults(run=_cloudwatch)
    commands.add_parser(
        "alert-test", help="send a harmless alert by every way that is configured"
    ).set_defaults(run=_alert_test)
    cost = commands.add_parser(
        "cost", help="what a month costs, and what it would cost otherwise: docs/costs.md"
    )
    add_options(cost)
    cost.set_defaults(run=_cost)
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
    hotfix.set_defaults(run=_hotfix)
    page = commands.add_parser("rollout-page", help="write the page of the rollout, which opens in a browser")
    page.add_argument("--out", type=Path, metavar="FILE", default=Path("var/rollout.html"))
    page.set_defaults(run=_rollout_page)
    simulate = commands.add_parser(
        "simulate", help="what the rollout policy of params.yaml would do with good and bad models"
    )
    simulate.add_argument("--runs", type=int, default=200, help="rollouts of each kind of model; 200")
    simulate.add_argument("--seed", type=int, default=7)
    simulate.add_argument("--hotfix", action="store_true", help="with the steps of rollout.hotfix")
    for name, (kind, text) in TRAFFIC.items():
        simulate.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    simulate.set_defaults(run=_simulate)
    for graph, stages in (("dvc.yaml", STAGES), ("dvc.hotfix.yaml", HOTFIX_STAGES)):
        for name, place in stages.items():
            commands.add_parser(name, help=f"stage of {graph} ({place})").set_defaults(run=_stage(place))
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a problem that a person can fix is one line on standard error and exit status 2."""
    quiet_environment()
    parsed = parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except TicketSentimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
