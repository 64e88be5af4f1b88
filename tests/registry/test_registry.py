"""What registering does for each decision, once, twice and interrupted."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import list_artifacts
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

from tests.support.project import TICKET, Project, git, make_project
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.files import write_json, write_text
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.registry import registry
from ticket_sentiment.registry.build import build_services
from ticket_sentiment.registry.registry import export_champion, register
from ticket_sentiment.registry.store import (
    all_versions,
    champion_version,
    connect,
    download_bundle,
    registered_version,
    release_digests,
    require_champion,
)

# Every method by which `register` changes something.
WRITES = (
    "create_experiment",
    "create_run",
    "delete_run",
    "log_batch",
    "log_artifacts",
    "set_terminated",
    "create_registered_model",
    "create_model_version",
    "update_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)


class Killed(BaseException):
    """Stands for kill -9: nothing in the library catches it."""


def runs(project: Project) -> list[Any]:
    client = project.store.client
    return client.search_runs([item.experiment_id for item in client.search_experiments()])


def tags(project: Project, version: int) -> dict[str, str]:
    return project.store.client.get_model_version(project.store.model, str(version)).tags


def files(project: Project, run_id: str, path: str = "") -> set[str]:
    found: set[str] = set()
    for item in list_artifacts(run_id=run_id, artifact_path=path, tracking_uri=project.store.uri):
        found |= files(project, run_id, item.path) if item.is_dir else {item.path}
    return found


def outcome(project: Project) -> Any:
    """Everything a later step could see, but for the run's random id."""
    active = runs(project)
    known = {run.info.run_id: run.data.tags["result_key"] for run in active}
    return {
        "runs": [(run.info.status, run.data.tags["result_key"], run.data.metrics) for run in active],
        "artifacts": [files(project, run.info.run_id) for run in active],
        "versions": [
            (v.version, v.description, sorted(v.aliases), {**v.tags, "gate.run": known[v.tags["gate.run"]]})
            for v in all_versions(project.store)
        ],
        "source": [known[v.run_id] for v in all_versions(project.store)],
        "snapshot": git(project.root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"),
    }


def test_first_pass_becomes_champion(project: Project) -> None:
    project.result()
    found = project.register()
    assert (found.version, found.alias, found.decision, found.created) == (1, "champion", "pass", True)
    assert project.aliases() == {"champion": 1}


def test_a_later_pass_asks_for_a_rollout_and_gets_no_alias(project: Project) -> None:
    for seed in range(3):
        project.result(seed=seed)
        assert project.register().alias == ("champion" if seed == 0 else None)
    assert project.aliases() == {"champion": 1}
    assert [tags(project, version)["rollout.asked_by"] for version in (1, 2, 3)] == ["monthly flow"] * 3


def test_review_waits_for_a_person(project: Project) -> None:
    project.result(decision="review")
    found = project.register()
    assert (found.version, found.alias, found.created) == (1, None, True)
    assert project.aliases() == {}
    assert (tags(project, 1)["awaiting"], tags(project, 1)["rollout.asked_by"]) == ("person", "none")
    description = project.store.client.get_model_version(project.store.model, "1").description
    assert "recall of `neutral`" in description
    assert "move the alias `champion`" in description


def test_labels_that_mlflow_takes_for_no_name_are_one_value(project: Project) -> None:
    theirs = {"Good, I am satisfied 🙂": "positive", "Bad (with comment)": "negative"}
    tickets = project.params.tickets.model_copy(update={"labels": theirs})
    project.params = project.params.model_copy(update={"tickets": tickets})
    project.result()
    project.register()
    found = runs(project)[0].data.params
    assert json.loads(found["tickets.labels"]) == theirs
    assert found["tickets.source.kind"] == "demo" and "tickets.labels.Bad (with comment)" not in found


def test_fail_leaves_a_run_and_no_version(project: Project) -> None:
    project.result(decision="fail")
    found = project.register()
    assert (found.version, found.alias, found.created) == (None, None, False)
    assert len(runs(project)) == 1
    assert all_versions(project.store) == []
    assert "reports/gate.json" in files(project, found.run_id)


def test_fail_without_bundles_is_still_logged(project: Project) -> None:
    gate = {"decision": "fail", "bundle_digest": None, "gpu_bundle_digest": None, "reasons": ["no bundle"]}
    write_text(project.root / "reports/gate.json", json.dumps(gate))
    assert project.register().version is None
    assert len(runs(project)) == 1


def test_registering_twice_changes_nothing(project: Project) -> None:
    project.result()
    first = project.register()
    before = outcome(project)
    second = project.register()
    assert (second.version, second.run_id, second.created) == (first.version, first.run_id, False)
    assert outcome(project) == before


def test_registering_again_keeps_what_a_person_moved(project: Project) -> None:
    project.result(seed=0)
    project.register()
    project.result(seed=1)
    project.register()
    client, model = project.store.client, project.store.model
    client.set_registered_model_alias(model, "champion", "2")
    client.set_registered_model_alias(model, "challenger", "1")
    project.register()
    assert project.aliases() == {"champion": 2, "challenger": 1}
    client.set_registered_model_alias(model, "champion", "1")  # rolled back
    client.delete_registered_model_alias(model, "challenger")
    project.register()
    assert project.aliases() == {"champion": 1}


def test_a_better_verdict_on_the_same_bundle_moves_its_version(project: Project) -> None:
    project.result(seed=0)
    project.register()
    project.result(seed=1, decision="review")
    project.register()
    project.result(seed=1, decision="pass")
    found = project.register()
    assert (found.version, found.created, found.alias) == (2, False, None)
    assert (tags(project, 2)["awaiting"], tags(project, 2)["rollout.asked_by"]) == ("none", "monthly flow")
    assert tags(project, 2)["gate.run"] == found.run_id
    project.result(seed=1, decision="fail")
    assert project.register().alias is None
    assert tags(project, 2)["rollout.asked_by"] == "none"
    assert project.aliases() == {"champion": 1}


def test_a_worse_verdict_never_takes_the_champion_away(project: Project) -> None:
    project.result()
    project.register()
    project.result(decision="fail")
    assert project.register().version == 1
    assert project.aliases() == {"champion": 1}


def test_version_tags_lead_back(project: Project) -> None:
    project.result()
    project.register()
    found = tags(project, 1)
    assert found["git.commit"] == git(project.root, "rev-parse", "HEAD")
    assert found["git.snapshot"] == git(project.root, "rev-parse", "model/v1")
    assert found["dvc.data.md5"] == "0123abcd.dir"
    assert found["data.train.months"] == "2026-01 2026-02"
    assert found["bundle.cpu.digest"] == load_bundle(project.root / "models/release/cpu").digest
    assert found["holdout.sha256"] == "c" * 64


def test_run_shows_params_metrics_plots_reports_bundles(project: Project) -> None:
    project.result()
    found = project.register()
    run = project.store.client.get_run(found.run_id)
    assert run.data.params["train.max_length"] == str(project.params.train.max_length)
    assert run.data.params["validate.min_rows"] == str(project.params.validate_.min_rows)
    assert run.data.metrics["evaluation/models.compressed.macro_f1.value"] == 0.7
    assert run.data.metrics["evaluation/slice.channel.tweets__EN_.right"] == 0.65
    assert run.data.metrics["benchmark/size_ratio"] == 12.5
    curve = project.store.client.get_metric_history(found.run_id, "training/dense.macro_f1")
    assert [(point.step, point.value) for point in curve] == [(5, 0.5), (9, 0.6)]
    expected = {
        f"bundles/{device}/{name}"
        for device in ("cpu", "gpu", "edge")
        for name in ("model.onnx", "bundle.json")
    }
    expected |= {
        "reports/release.html",
        "reports/card.md",
        "reports/gate.json",
        "lineage/dvc.lock",
        "lineage/params.yaml",
    }
    expected |= {"plots/confusion.png", "plots/learning_curve.png", "plots/reliability.png"}
    assert expected <= files(project, found.run_id)


def test_channels_of_any_script_and_length_are_metrics_of_their_own(tmp_path: Path) -> None:
    names = ["客服", "电话", "x" * 300]
    slices = [{"slice": "channel", "value": name, "right": {"value": 0.5}, "rows": 60} for name in names]
    write_json(tmp_path / registry.evidence.METRIC_FILES["evaluation"], {"slices": slices})
    keys = [metric.key for metric in registry.evidence.run_metrics(tmp_path)]
    assert len(set(keys)) == 6 and max(map(len, keys)) <= 250
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", key) for key in keys)


def test_no_ticket_text_in_params_tags_metrics_or_description(project: Project) -> None:
    project.result()
    found = project.register()
    run = project.store.client.get_run(found.run_id)
    version = project.store.client.get_model_version(project.store.model, "1")
    shown = f"{run.data.params} {run.data.tags} {run.data.metrics} {version.tags} {version.description}"
    assert TICKET not in shown


def test_registered_bundle_comes_back_verified(project: Project, tmp_path: Path) -> None:
    project.result()
    project.register()
    version = all_versions(project.store)[0]
    for device in ("cpu", "gpu", "edge"):
        (tmp_path / device).mkdir()
        bundle = download_bundle(project.store, version, device, tmp_path / device)
        assert bundle.digest == load_bundle(project.root / "models/release" / device).digest


def test_lost_and_changed_artifacts_are_named(project: Project, tmp_path: Path) -> None:
    project.result()
    project.register()
    version = all_versions(project.store)[0]
    stored = next((project.root / "var/mlartifacts").glob("*/artifacts/bundles/cpu"))
    (stored / "tokenizer.json").write_text("{}")
    with pytest.raises(TicketSentimentError, match="SHA-256 differs"):
        download_bundle(project.store, version, "cpu", tmp_path)
    for path in stored.iterdir():
        path.unlink()
    stored.rmdir()
    with pytest.raises(TicketSentimentError, match="restore MLflow's artifacts") as gone:
        download_bundle(project.store, version, "cpu", tmp_path)
    assert not isinstance(gone.value, Unavailable), "what is gone does not come back"


@pytest.mark.parametrize("where", ["s3://bucket/bundles", "mlflow-artifacts://127.0.0.1:9/bundles"])
def test_a_store_of_artifacts_that_is_away_may_come_back(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "nobody")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the first keys that it found
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    project.store.client.create_registered_model(project.store.model)
    version = project.store.client.create_model_version(project.store.model, where)
    with pytest.raises(Unavailable, match="see that their store answers"):
        download_bundle(project.store, version, "cpu", tmp_path)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql+psycopg://nobody:s3cret@127.0.0.1:9/none"])
def test_mlflow_that_is_away_may_come_back(
    project: Project, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 0)  # ten take minutes
    for ask in (registered_version, release_digests):
        with pytest.raises(Unavailable, match="MLflow") as away:
            ask(connect(project.params, project.root), "1")
        assert "s3cret" not in str(away.value)


@pytest.mark.parametrize("ask", [export_champion, register, lambda *where: build_services(where[0], 1)])
def test_what_mlflow_says_of_its_address_is_not_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., object]
) -> None:
    project.result()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unavailable, match="MLflow does not do what it was asked") as away:
        ask(project.params, project.root)
    assert "s3cret" not in str(away.value)


def test_a_version_that_is_not_there_is_named(project: Project) -> None:
    for number in ("9", "nine"):
        with pytest.raises(TicketSentimentError, match=f"has no version {number}") as absent:
            registered_version(project.store, number)
        assert not isinstance(absent.value, Unavailable)


def test_a_candidate_that_the_gate_did_not_judge_is_refused(project: Project) -> None:
    project.result()
    judged = (project.root / "reports/gate.json").read_text()
    project.result(seed=1)
    write_text(project.root / "reports/gate.json", judged)
    with pytest.raises(TicketSentimentError, match=r"reports/gate\.json judged bundle"):
        project.register()
    assert runs(project) == []


def test_a_card_about_another_bundle_or_decision_is_refused(project: Project) -> None:
    project.result(seed=1)
    card = project.root / "reports/card.md"
    foreign = card.read_text()
    project.result()
    own = card.read_text()
    for content in (foreign, own.replace("decision: pass", "decision: review"), "# no card"):
        write_text(card, content)
        with pytest.raises(TicketSentimentError, match=r"card\.md is (about|no model card)"):
            project.register()
    card.unlink()
    with pytest.raises(TicketSentimentError, match=r"card\.md is missing"):
        project.register()
    assert runs(project) == []


def test_a_version_s_description_begins_as_its_card(project: Project) -> None:
    project.result()
    project.register()
    described = project.store.client.get_model_version(project.store.model, "1").description
    assert "## Intended use\n\nTo sort tickets." in described and "## Limits\n\nNone." in described


def test_without_a_verdict_nothing_is_registered(project: Project) -> None:
    with pytest.raises(TicketSentimentError, match="dvc repro"):
        project.register()


def kill_after(patch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """Make the client die right after its `number`-th write. Returns a counter of the writes."""
    count = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            result = original(*arguments, **options)
            count += 1
            if count == number:
                raise Killed
            return result

        return call

    for name in WRITES:
        patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
    return lambda: count


def scenario_first(project: Project) -> None:
    project.result()


def scenario_second(project: Project) -> None:
    project.result()
    project.register()
    project.result(seed=1)


def scenario_new_verdict(project: Project) -> None:
    project.result(decision="review")
    project.register()
    project.result(decision="pass")


@pytest.mark.parametrize("prepare", [scenario_first, scenario_second, scenario_new_verdict])
def test_killed_after_any_write_and_run_again_is_as_if_undisturbed(
    prepare: Callable[[Project], None], tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # Drawing takes most of the time and is tested above.
    monkeypatch.setattr(registry.evidence, "figures", lambda root: {})
    calm = make_project(tmp_path / "calm", empty_database)
    prepare(calm)
    with pytest.MonkeyPatch.context() as patch:
        writes = kill_after(patch, -1)
        calm.register()
        total = writes()
    assert total >= 6
    expected = outcome(calm)
    for number in range(1, total + 1):
        project = make_project(tmp_path / str(number), empty_database)
        prepare(project)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, number)
            project.register()
        project.register()
        assert outcome(project) == expected, f"killed after write {number} of {total}"


def test_export_without_champion_leaves_only_the_readme(project: Project) -> None:
    project.result()
    assert registry.export_champion(project.params, project.root) is None
    assert [path.name for path in (project.root / "models/champion").iterdir()] == ["README.md"]


def test_export_leaves_the_folder_alone_while_the_candidate_is_the_champion(project: Project) -> None:
    project.result()
    project.register()
    digest = registry.export_champion(project.params, project.root)
    assert digest == load_bundle(project.root / "models/release/cpu").digest
    assert [path.name for path in (project.root / "models/champion").iterdir()] == ["README.md"]


def test_export_brings_the_champion_beside_a_new_candidate(project: Project) -> None:
    project.result()
    champion = load_bundle(project.root / "models/release/cpu").digest
    project.register()
    project.result(seed=1)
    folder = project.root / "models/champion"
    assert registry.export_champion(project.params, project.root) == champion
    assert (folder / "README.md").read_text() == "what lies here\n"
    assert load_bundle(folder / "bundle").digest == champion


def test_export_is_not_repeated_and_goes_when_the_champion_goes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.result()
    project.register()
    project.result(seed=1)
    registry.export_champion(project.params, project.root)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "place_bundle", None)
        registry.export_champion(project.params, project.root)
    project.store.client.delete_registered_model_alias(project.store.model, "champion")
    assert registry.export_champion(project.params, project.root) is None
    assert [path.name for path in (project.root / "models/champion").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("registration", "expected"),
    [
        (registry.Registration(None, "r", None, "fail", False), "the gate said fail"),
        (registry.Registration(2, "r", "challenger", "pass", True), "version 2, alias challenger (new)"),
        (registry.Registration(2, "r", None, "pass", True), "version 2, asks for its rollout (new)"),
        (registry.Registration(2, "r", None, "pass", False), "waits for its rollout, or has had it (known"),
        (registry.Registration(2, "r", None, "review", True), "waits for a person"),
        (registry.Registration(2, "r", None, "pass", True, True), "git tag model/v2 cannot make it again"),
    ],
)
def test_lines_say_what_became_of_the_result(registration: registry.Registration, expected: str) -> None:
    assert expected in "\n".join(registration.lines())


def test_status_lists_versions_newest_first(project: Project) -> None:
    assert "no version yet" in registry.status(project.params, project.root)
    project.result()
    project.register()
    project.result(seed=1, decision="review", macro_f1=0.715)
    project.register()
    registry.tag_bentos(project.params, 1, {"cpu": "ticket-sentiment:v1-x-cpu"}, project.root)
    lines = registry.status(project.params, project.root).splitlines()
    assert lines[1].split()[:3] == ["2", "-", "review"]
    assert "0.715 (0.680 to 0.720)" in lines[1]
    assert "champion" in lines[2]
    assert "ticket-sentiment:v1-x-cpu" in lines[2]
    assert "2026-01 to 2026-02" in lines[2]


def test_the_champion_is_whom_the_ledger_named_wherever_the_alias_lies(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    assert champion_version(project.store) is None
    for seed in range(3):
        project.result(seed=seed)
        project.register()
    client, model = project.store.client, project.store.model

    def found() -> str:
        champion = champion_version(project.store)
        assert champion
        return str(champion.version)

    assert found() == "1", "by the alias, as long as nobody was adopted"
    client.set_registered_model_tag(model, "ledger.champion", "1")
    require_champion(project.store)
    assert not caplog.messages
    client.set_registered_model_alias(model, "champion", "2")  # which was refused
    assert found() == str(require_champion(project.store).version) == "1"
    (said,) = caplog.messages
    assert "is on version 2, and version 1 is still the champion: `make reconcile`" in said
    client.delete_registered_model_alias(model, "champion")
    assert found() == "1"
    client.set_registered_model_tag(model, "ledger.champion", "none 1")  # killed while it is given back
    assert found() == "1"
    client.set_registered_model_tag(model, "ledger.champion", "1 3")  # the ledger has promoted version 3
    assert found() == "3"
    client.delete_model_version(model, "3")
    with pytest.raises(TicketSentimentError, match=r"version 3 .* was deleted"):
        champion_version(project.store)


def test_a_champion_that_nobody_has_the_alias_of_is_not_passed_over(project: Project) -> None:
    project.result(seed=0)
    project.register()
    project.result(seed=1)
    client, model = project.store.client, project.store.model
    client.set_registered_model_tag(model, "ledger.champion", "1")
    client.delete_registered_model_alias(model, "champion")
    with pytest.raises(TicketSentimentError, match=r"champion is version 1: run the reconcile flow"):
        registry.export_champion(project.params, project.root)
    assert project.register().alias is None and project.aliases() == {}


def test_a_candidate_is_judged_against_the_ledger_s_champion(project: Project) -> None:
    digests = []
    for seed in range(2):
        project.result(seed=seed)
        digests.append(load_bundle(project.root / "models/release/cpu").digest)
        project.register()
    project.result(seed=2)
    client, model = project.store.client, project.store.model
    client.set_registered_model_tag(model, "ledger.champion", "1")
    client.set_registered_model_alias(model, "champion", "2")  # which was refused
    assert registry.export_champion(project.params, project.root) == digests[0]


def test_mlflow_s_client_gives_up_in_time_unless_told_otherwise(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert project.store
    assert MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() == 1 and MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 77
