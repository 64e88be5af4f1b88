"""What each command of `ticket-sentiment` does.

Everything is imported only when it is called: `status` does not wait for what `search` needs.
"""

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

from ticket_sentiment.environment import flow_environment
from ticket_sentiment.errors import TicketSentimentError

TRAFFIC = {  # options of `simulate`, fields of rollout.scenario.Traffic
    "tickets_per_day": (float, "2000"),
    "customers": (int, "who send them, a few of them most; 2000"),
    "label_share": (float, "of the audited tickets that ever get a label; 0.8"),
    "label_hours": (float, "median time to a label; 12"),
    "looks_per_day": (int, "how often the rollout is looked at; 2"),
}


def collect(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.feedback.export import main as export
    from ticket_sentiment.feedback.export import replacements
    from ticket_sentiment.files import exclusive
    from ticket_sentiment.params import load_params
    from ticket_sentiment.pipeline import RETRAIN_LOCK, RETRAINING
    from ticket_sentiment.tickets.collect import main as collect
    from ticket_sentiment.tickets.collect import require_months
    from ticket_sentiment.tickets.drop import main as drop
    from ticket_sentiment.tickets.drop import require_names

    if arguments.drop:
        if arguments.month or arguments.replace:
            raise TicketSentimentError("--drop collects nothing: run it without --month and --replace")
        dropped = replacements(arguments.drop)
        require_names(*dropped)
        with exclusive(RETRAIN_LOCK, RETRAINING):
            drop(*dropped)
        return
    params = load_params()
    tickets, labels = replacements(arguments.replace)
    require_months(arguments.month, tickets, labels)
    with exclusive(RETRAIN_LOCK, RETRAINING):  # or an erasure's tickets would come back
        export(params, labels)
        collect(params, arguments.month, tickets)


def erase(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.erasure.command import main as erase
    from ticket_sentiment.params import load_params

    erase(load_params(), arguments.customer, arguments.ticket, arguments.without_events)


def label_queue(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.labelling.queue import main as label_queue
    from ticket_sentiment.params import load_params

    label_queue(load_params(), arguments.out, arguments.count, arguments.since)


def label_import(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.labelling.intake import main as label_import
    from ticket_sentiment.params import load_params

    label_import(load_params(), arguments.file, arguments.source)


def search(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.search.search import main as search

    search(load_params(), arguments.table)


def serve(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.build import serve

    serve(load_params())


def score(arguments: argparse.Namespace) -> None:
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


def images(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.images import build_images
    from ticket_sentiment.registry.store import DEVICES

    devices = arguments.device or DEVICES
    print("building; the first time takes minutes, as every package is installed", file=sys.stderr)
    built = build_images(load_params(), devices, arguments.engine, arguments.base_image)
    print("\n".join(image.name for image in built.images.values()))


def edge(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.edge.pack import main as edge
    from ticket_sentiment.params import load_params

    edge(load_params(), arguments.bundle)


def scan(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.supply.scan import main as scan
    from ticket_sentiment.supply.scan import read_tickets

    tickets = None if arguments.without_tickets else read_tickets()
    scan({target: target for target in arguments.target or _bentos()}, arguments.engine, tickets)


def _bentos() -> list[str]:
    """Folders of the champion's Bentos, which hold all of an image that is ours."""
    import bentoml

    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.build import build_champion

    return [bentoml.get(tag).path for tag in build_champion(load_params()).values()]


def sbom(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.supply.sbom import main as sbom

    sbom(arguments.image, arguments.out, arguments.engine)


def status(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.status import status

    print(status(load_params()))


def compare(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.compare.command import main as compare
    from ticket_sentiment.params import load_params

    names = (arguments.a, arguments.b)
    compare(load_params(), names, arguments.data, arguments.out, arguments.show_text, arguments.speed)


def rollout_page(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.page import write_page
    from ticket_sentiment.promotion.progress import present

    params = load_params()
    print(write_page(present(params), params, arguments.out))


def rollback(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.rollback import main as rollback

    rollback(load_params(), arguments.reason, arguments.to)


def releases(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.releases import main as releases

    releases(load_params())


def keygen(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.signing.keys import generate
    from ticket_sentiment.tickets.sources.exposed import require_outside

    require_outside(arguments.file)
    public = generate(arguments.file, arguments.name)
    print(f"{arguments.file}: the secret half; {public}: the line for those who serve")


def sign(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.signing import sign

    sign(load_params(), arguments.version, trust_mlflow=arguments.trust_mlflow)


def verify(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.registry.signing import verify

    verify(load_params(), arguments.version)


def webhook(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.promotion.webhook import announce
    from ticket_sentiment.registry.store import connect

    params = load_params()
    print(f"MLflow calls {announce(connect(params), params, arguments.url)} when an alias moves")


def cloudwatch(_: argparse.Namespace) -> None:
    from ticket_sentiment.params import load_params
    from ticket_sentiment.serving.emf import main as cloudwatch

    params = load_params()
    cloudwatch(params.serve, params.objectives.cloudwatch)


def alert_test(_: argparse.Namespace) -> None:
    from ticket_sentiment.alerts.tell import main as alert_test
    from ticket_sentiment.params import load_params

    alert_test(load_params())


def hotfix(arguments: argparse.Namespace) -> None:
    """The flow, in a process of its own: the library does not know Prefect."""
    from ticket_sentiment.params import load_params

    load_params()  # elsewhere than in the repository there is none, and no flow
    given = [str(arguments.file)] if arguments.file else []
    given += ["--feedback-since", arguments.feedback_since] if arguments.feedback_since else []
    done = subprocess.run([sys.executable, "-m", "flows.hotfix", *given], env=flow_environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def cost(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.costs.command import ask
    from ticket_sentiment.costs.options import given
    from ticket_sentiment.costs.update import update_prices
    from ticket_sentiment.params import load_params

    params = load_params()
    if arguments.update_prices:
        print(update_prices(arguments.update_prices, Path(params.costs.prices)))
        return
    print(ask(params, given(arguments), arguments.json, arguments.page, arguments.benchmark))


def autoscale(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.autoscaling.command import main as autoscale
    from ticket_sentiment.costs.options import given
    from ticket_sentiment.params import load_params

    traffic = given(arguments, ("tickets_per_day", "profile"))
    autoscale(load_params(), traffic, arguments.policy, arguments.benchmark, arguments.json, arguments.page)


def simulate(arguments: argparse.Namespace) -> None:
    from ticket_sentiment.costs.options import given
    from ticket_sentiment.params import load_params
    from ticket_sentiment.rollout.scenario import Traffic
    from ticket_sentiment.rollout.simulation import main as simulate

    traffic = Traffic(**given(arguments, TRAFFIC))
    simulate(load_params(), traffic, arguments.runs, arguments.seed, arguments.hotfix)
