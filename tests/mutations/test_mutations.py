"""Every damage that a small model can show is stopped by its gate; the whole suite runs on the demo."""

import contextlib

import pytest

from benchmarks.mutations.__main__ import passed, row, try_out
from benchmarks.mutations.catalogue import collect
from benchmarks.mutations.demo import bootstrap_head, released, set_champion, undamaged
from benchmarks.mutations.workplace import RELEASE
from tests.support.params import params_file, params_of_tests
from tests.support.small_world import make_small_world, reports_beside, small_params
from ticket_sentiment.gates.rules import GATES
from ticket_sentiment.model.bundle import load_bundle

SMALL = [one for one in collect() if not one.demo_only]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The undamaged project, its params, and what is known of it."""
    root, cache = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("cache")
    params = small_params(params_of_tests())
    (root / "params.yaml").write_bytes(params_file().read_bytes())
    with contextlib.chdir(root):
        make_small_world(root, params)
        known, labels, _ = released(root, cache, params, behaviour=False)
        champion = set_champion(known, bootstrap_head(known.features, labels, 1))
        reports_beside(load_bundle(RELEASE / "cpu").digest, champion.digest, cache)
        place = undamaged(root, params, known, cache)
        verdicts = place.judge()
    return root, params, known, verdicts


def test_the_undamaged_project_passes_every_gate(world):
    assert passed(world[3]) == []
    assert set(world[3]) == set(GATES) - {"behaviour", "hotfix"}


@pytest.mark.parametrize("mutation", SMALL, ids=lambda one: one.name)
def test_a_damage_is_stopped_by_the_gate_meant_for_it(world, mutation):
    root, params, known, _ = world
    found = try_out(root, mutation, params, known)
    assert found["decision"] in ("review", "fail"), row(found)


def test_the_suite_is_large_names_known_gates_and_reaches_every_one():
    names = [one.name for one in collect()]
    assert len(names) == len(set(names)) >= 40
    assert {one.gate for one in collect()} == set(GATES) - {"hotfix"}
