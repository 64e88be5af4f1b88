import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.hotfix.conftest import judged
from tests.support.project import git
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_tree, write_json, write_text
from ticket_sentiment.hotfix.start import finish, since_when, start
from ticket_sentiment.registry.lineage import NONE
from ticket_sentiment.registry.registry import ASKED_BY, export_champion
from ticket_sentiment.registry.store import CHAMPION, base_tag

LIST = {"contents": ["a" * 64], "tickets": ["b" * 64, "c" * 64]}
CSV = "text,label\nIt broke.,negative\n"


@pytest.fixture
def begin(champion, monkeypatch):
    """`begin()`: a hotfix of one corrected ticket."""
    monkeypatch.chdir(champion.root)
    monkeypatch.delenv("TICKET_SENTIMENT_EVENTS_URL", raising=False)
    file = champion.root / "fixes.csv"

    def run(content=CSV):
        write_text(file, content)
        return start(champion.params, file, root=champion.root)

    return run


def made(project, folder, seed=5, decision="pass") -> None:
    """What the stages leave in the folder."""
    shutil.copytree(project.root / "data/prepared", folder / "data/prepared", dirs_exist_ok=True)
    months = {"train": ["2026-01"], "tune": ["2026-02"], "holdout": ["2026-03"]}
    hashes = {"train": "1" * 64, "tune": "2" * 64, "holdout": "3" * 64}
    write_json(
        folder / "data/prepared/split.json", {"months": months, "sha256": hashes, "corrected": {"rows": 1}}
    )
    for device, precision in (("cpu", "int8"), ("gpu", "fp16"), ("edge", "int8")):
        make_tiny_bundle(
            folder / "models/release" / device,
            seed=seed,
            precision=precision,
            training_data=sha256_tree(project.root / "data/prepared"),
        )
    for name in ("evaluation/metrics.json", "gate.json"):
        write_json(folder / "reports" / name, read_json(project.root / "reports" / name))
    judged(folder, decision)
    write_text(folder / "dvc.lock", git(project.root, "show", "model/v1:dvc.lock"))


def test_a_hotfix_becomes_a_version_that_leads_back_to_its_champion(champion, begin):
    started = begin()
    assert started.lines[0].endswith("fixes.csv: 1 corrected tickets")
    assert "reach this hotfix only" in started.lines[1]
    made(champion, started.folder)
    month = {name: sha256_tree(champion.root / name) for name in ("models", "reports")}
    found = finish(champion.params, started.folder, champion.root)
    assert (found.version, found.alias, found.created) == (2, None, True)
    store = champion.store
    version, first = (store.client.get_model_version(store.model, number) for number in ("2", "1"))
    assert version.tags["release.kind"] == "hotfix"
    assert version.tags[ASKED_BY] not in ("", NONE)  # its rollout begins with the next reconcile
    assert version.tags["hotfix.champion.version"] == "1"
    assert version.tags["hotfix.champion.digest"] == first.tags["bundle.cpu.digest"]
    assert len(version.tags["hotfix.corrections.sha256"]) == 64
    assert version.tags["hotfix.corrections.rows"] == "1"
    assert "release.kind" not in first.tags
    assert "hotfix of version 1" in version.description
    assert {name: sha256_tree(champion.root / name) for name in month} == month
    files = git(champion.root, "ls-tree", "-r", "--name-only", "model/v2").splitlines()
    for name in ("champion/dense.dvc", "champion/version.json", "data/corrections.parquet.dvc", "dvc.lock"):
        assert name in files
    assert not [name for name in files if name.startswith("var/")]
    assert "hotfix-train" in git(champion.root, "show", "model/v2:dvc.yaml")
    assert "hotfix-train" not in git(champion.root, "show", "HEAD:dvc.yaml")


def test_the_same_corrections_on_the_same_champion_are_the_same_version(champion, begin):
    for _ in range(2):
        started = begin()
        made(champion, started.folder)
        found = finish(champion.params, started.folder, champion.root)
    assert (found.version, found.created) == (2, False)
    assert len(list((champion.root / "data/hotfix").glob("*.parquet"))) == 1


def test_once_it_is_the_champion_there_is_nothing_to_do(champion, begin):
    started = begin()
    made(champion, started.folder)
    finish(champion.params, started.folder, champion.root)
    store = champion.store
    store.client.set_registered_model_alias(store.model, "champion", "2")
    again = begin()
    assert again.folder is None
    assert again.lines[-1] == "the champion, version 2, was made from these corrections: nothing to do"
    of_the_hotfix = begin(CSV.replace("broke", "burst")).folder
    assert read_json(of_the_hotfix / "champion/version.json")["version"] == "2"
    assert read_json(of_the_hotfix / "champion/dense/training.json") == {"name": "dense"}


@pytest.fixture
def hotfix_champion(champion, begin):
    """Version 2 is a hotfix and the champion, and another candidate lies in models/release."""
    started = begin()
    made(champion, started.folder)
    write_json(started.folder / "data/prepared/learnt.json", LIST)
    finish(champion.params, started.folder, champion.root)
    champion.store.client.set_registered_model_alias(champion.store.model, "champion", "2")
    champion.result(seed=9)
    judged(champion.root)
    return champion


def artifact(project) -> Path:
    """The list of version 2 where MLflow keeps it."""
    client, model = project.store.client, project.store.model
    run = client.get_run(client.get_model_version(model, "2").run_id)
    return Path(run.info.artifact_uri.removeprefix("file://")) / "lineage/learnt.json"


def test_what_a_hotfix_learnt_lies_beside_its_bundle_next_month_and_goes_with_it(hotfix_champion):
    project, client = hotfix_champion, hotfix_champion.store.client
    learnt = project.root / "models/champion/learnt.json"
    digest = export_champion(project.params, project.root)
    assert read_json(learnt) == LIST | {"bundle_digest": digest}
    gone = artifact(project)
    gone.rename(gone.with_suffix(".away"))  # what is here already is not fetched again
    export_champion(project.params, project.root)
    assert read_json(learnt) == LIST | {"bundle_digest": digest}
    monthly = project.register()  # of the month after: it is no hotfix
    client.set_registered_model_alias(project.store.model, "champion", str(monthly.version))
    project.result(seed=11)
    assert export_champion(project.params, project.root) != digest
    assert not learnt.exists()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda path: path.unlink(), "cannot be had"),
        (lambda path: write_json(path, LIST | {"tickets": []}), "not the one that was registered"),
    ],
)
def test_a_list_that_is_gone_or_another_is_told_until_it_is_restored(hotfix_champion, harm, why):
    project = hotfix_champion
    path = artifact(project)
    content = path.read_bytes()
    harm(path)
    digest = export_champion(project.params, project.root)
    learnt = project.root / "models/champion/learnt.json"
    told = read_json(learnt)
    assert set(told) == {"bundle_digest", "unknown"} and told["bundle_digest"] == digest
    assert why in told["unknown"] and "restore lineage/learnt.json of run" in told["unknown"]
    path.write_bytes(content)
    export_champion(project.params, project.root)
    assert read_json(learnt) == LIST | {"bundle_digest": digest}


def test_a_hotfix_of_before_there_were_lists_is_told(champion, begin):
    started = begin()
    made(champion, started.folder)
    finish(champion.params, started.folder, champion.root)
    champion.store.client.set_registered_model_alias(champion.store.model, "champion", "2")
    champion.result(seed=9)
    export_champion(champion.params, champion.root)
    told = read_json(champion.root / "models/champion/learnt.json")
    assert told["unknown"] == "version 2 was registered before such lists were kept"


def test_a_champion_that_came_meanwhile_is_not_challenged_by_a_hotfix_of_the_old_one(champion, begin):
    started = begin()
    made(champion, started.folder)
    champion.result(seed=9)
    other = champion.register()
    store = champion.store
    store.client.set_registered_model_alias(store.model, "champion", str(other.version))
    with pytest.raises(TicketSentimentError, match=r"champion is version 2 now, .* made of version 1"):
        finish(champion.params, started.folder, champion.root)
    assert len(store.client.search_model_versions(f"name = '{store.model}'")) == 2


def test_an_alias_that_was_refused_makes_no_champion(champion, begin):
    store = champion.store
    store.client.set_registered_model_tag(store.model, base_tag(CHAMPION), "1")
    started = begin()
    made(champion, started.folder)
    champion.result(seed=9)
    other = champion.register()
    store.client.set_registered_model_alias(store.model, CHAMPION, str(other.version))  # the ledger says 1
    assert begin().folder == started.folder
    assert finish(champion.params, started.folder, champion.root).version == 3


def test_a_hotfix_that_fails_becomes_no_version(champion, begin):
    started = begin()
    made(champion, started.folder, decision="fail")
    assert finish(champion.params, started.folder, champion.root).version is None


def test_other_corrections_are_another_hotfix(champion, begin):
    first, second = begin(), begin(CSV.replace("negative", "positive"))
    assert first.folder != second.folder
    assert not first.folder.exists()


def test_corrections_that_the_champion_answers_right_are_refused_before_anything_is_trained(begin):
    with pytest.raises(TicketSentimentError, match=r"version 1, answers all of the 2 .* nothing to correct"):
        begin("text,label\nIt is terrible,negative\nThanks great,positive\n")
    assert begin("text,label\nIt is terrible,negative\nThanks great,negative\n").folder


def test_one_source_of_corrections_is_named(champion):
    for file, since in ((None, None), (champion.root / "fixes.csv", "2026-01-01")):
        with pytest.raises(TicketSentimentError, match="one of both"):
            start(champion.params, file, since, champion.root)


def test_a_date_is_read_in_utc_and_what_is_none_is_refused():
    assert since_when("2026-01-01") == datetime(2026, 1, 1, tzinfo=UTC)
    assert since_when("2026-01-01T02:00:00+02:00") == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(TicketSentimentError, match="expected a date such as"):
        since_when("last week")
    with pytest.raises(TicketSentimentError, match="in the future"):
        since_when((datetime.now(UTC) + timedelta(days=2)).isoformat())
