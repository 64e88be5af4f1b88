"""Files of tickets to a folder of answers, by the champion."""

import argparse
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from flows.failures import HOOKS
from flows.program import run
from flows.retries import may_pass
from ticket_sentiment.batch.job import Model, score_files
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.registry.releases import registered_bundle


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def score(params: Params, source: str, out: str, version: str | None, replace: bool) -> list[str]:
    with registered_bundle(params, version) as (bundle, number):
        tell = get_run_logger().info
        model = Model(bundle, number)
        return score_files(params, source, Path(out), model, replace=replace, tell=tell).lines()


@flow(name="score-batch", **HOOKS)
def score_batch(source: str, out: str, version: str | int | None = None, replace: bool = False) -> str:
    """Score every ticket of the input once; a run that was killed goes on where it was.

    Args:
        source: a Parquet, CSV or JSON Lines file, a folder of them, or a glob.
        out: a folder, new or of the same job.
        version: of the registry; None is the champion. Prefect makes a number of `--param version=3`.
        replace: throw away what another job has left there.
    """
    quiet_environment()
    number = None if version is None else str(version)
    lines = score(load_params(), source, out, number, replace)
    create_markdown_artifact("\n\n".join(lines), key="score-batch", description="What was scored")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.score_batch", description=__doc__)
    parser.add_argument("source", metavar="IN")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--version")
    parser.add_argument("--replace", action="store_true")
    arguments = parser.parse_args()
    run(lambda: score_batch(**vars(arguments)))
