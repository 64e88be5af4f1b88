"""That a flow failed is told of every flow, also of one that is added."""

from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.utilities.importtools import import_object

from flows.failures import tell_failure

DEPLOYMENTS = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("entrypoint", sorted({each["entrypoint"] for each in DEPLOYMENTS}))
def test_people_are_told_when_it_fails_and_when_it_crashes(entrypoint: str) -> None:
    path, _, name = entrypoint.partition(":")
    found = import_object(f"{path.removesuffix('.py').replace('/', '.')}.{name}")
    assert isinstance(found, Flow)
    assert found.on_failure_hooks == found.on_crashed_hooks == [tell_failure]
