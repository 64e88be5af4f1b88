import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dvc.config import Config

from tests.hotfix.conftest import dvc
from tests.support.project import REPOSITORY, git
from ticket_sentiment.costs.prices import load_prices
from ticket_sentiment.costs.traffic import read_traffic
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.files import read_json, sha256_tree, write_text
from ticket_sentiment.hotfix.champion import read_champion
from ticket_sentiment.hotfix.folder import DVC_PATHS, dvc_config, graph, lay_out, recipe
from ticket_sentiment.hotfix.intake import keep
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.params import load_params
from ticket_sentiment.registry.lineage import snapshot, snapshot_files
from ticket_sentiment.tickets.corrections import COLUMNS, content_digest, load_corrections
from ticket_sentiment.tickets.erased import erasures, mark_erasure

CORRECTIONS = pd.DataFrame([("7", "It broke", "negative")], columns=list(COLUMNS))


def stages(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / name).read_text())


def test_the_stages_of_a_hotfix_take_the_place_of_those_of_a_month():
    made = graph(stages("dvc.yaml"), stages("dvc.hotfix.yaml"))["stages"]
    assert list(made) == [*[name for name in stages("dvc.yaml")["stages"] if name != "validate"], "compare"]
    assert made["train"]["cmd"] == "ticket-sentiment hotfix-train"
    assert made["evaluate"] == stages("dvc.yaml")["stages"]["evaluate"]
    gate, month = made["gate"], stages("dvc.yaml")["stages"]["gate"]
    assert gate["cmd"] == month["cmd"]
    assert gate["deps"] == [*month["deps"], "champion/version.json", "reports/hotfix.json"]
    outs = [next(iter(out)) if isinstance(out, dict) else out for one in made.values() for out in one["outs"]]
    assert len(outs) == len(set(outs))


def test_the_champion_is_corrected_by_its_own_recipe_and_judged_by_present_limits():
    present = {"train": {"max_length": 96, "new": 1}, "prune": {}, "quantize": {}, "gate": {"min": 2}}
    champion = {"train": {"max_length": 64, "gone": 3}, "gate": {"min": 1}}
    made = recipe(present, champion)
    assert made["train"] == {"max_length": 64, "new": 1}
    assert made["gate"] == {"min": 2}


def test_the_folder_shares_cache_and_remotes_of_the_repository(tmp_path):
    text = "[core]\n    remote = near\n['remote \"near\"']\n    url = ../var/remote\n"
    write_text(tmp_path / ".dvc/config", text + "['remote \"far\"']\n    url = s3://bucket/tickets\n")
    write_text(tmp_path / ".dvc/config.local", "['remote \"far\"']\n    access_key_id = someone\n")
    found = dvc_config(tmp_path)
    assert f"url = {tmp_path / 'var/remote'}\n" in found
    assert "url = s3://bucket/tickets\n" in found and "access_key_id = someone" in found
    assert f"dir = {tmp_path / '.dvc/cache'}\n" in found
    assert "no_scm = true" in found and "remote = near" in found


@pytest.mark.parametrize("where", ["../keys/one.json", "~/keys/one.json", "/etc/keys/one.json"])
@pytest.mark.parametrize("key", sorted({*DVC_PATHS} - {"dir"}))
def test_every_path_of_the_configuration_is_the_one_that_dvc_reads(tmp_path, key, where):
    lines = "".join(f"    {name} = {value}\n" for name, value in ({"url": "gs://box"} | {key: where}).items())
    write_text(tmp_path / "root/.dvc/config.local", f"['remote \"far\"']\n{lines}")
    write_text(tmp_path / "root/var/hotfix/one/.dvc/config", dvc_config(tmp_path / "root"))
    there, here = (
        Config(str(tmp_path / folder / ".dvc"), validate=False)["remote"]["far"]
        for folder in ("root", "root/var/hotfix/one")
    )
    assert here == there and Path(here[key]).is_absolute()


def test_a_percent_sign_in_the_configuration_is_one(tmp_path):
    text = "['remote \"far\"']\n    url = azure://box/tickets\n    sas_token = sv=2024&sig=ab%3Dcd\n"
    write_text(tmp_path / ".dvc/config.local", text)
    assert "sas_token = sv=2024&sig=ab%3Dcd\n" in dvc_config(tmp_path)


@pytest.fixture
def laid_out(champion):
    def run() -> Path:
        store = champion.store
        held = read_champion(store, champion.root)
        entry = keep(CORRECTIONS, champion.root)
        return lay_out(store, held, entry, content_digest(CORRECTIONS), champion.root)

    return run


def test_it_holds_the_champion_as_it_was_made_whatever_lies_in_models_now(champion, laid_out):
    root = champion.root
    prepared, cpu = sha256_tree(root / "data/prepared"), load_bundle(root / "models/release/cpu").digest
    for name in ("models/dense", "models/pruned", "data/prepared", "models/release"):
        shutil.rmtree(root / name)
        write_text(root / name / "other.txt", "another month")
    write_text(root / "dvc.lock", "stages: {}\n")
    month = sha256_tree(root / "models")
    folder = laid_out()
    assert (folder / ".dvc/config").stat().st_mode & 0o777 == 0o600, "config.local's secrets are in it"
    assert sha256_tree(folder / "champion/prepared") == prepared
    assert read_json(folder / "champion/dense/training.json") == {"name": "dense"}
    assert read_json(folder / "champion/pruned/training.json") == {"name": "pruned"}
    assert load_bundle(folder / "models/champion/bundle").digest == cpu
    assert load_corrections(folder / "data/corrections.parquet")["label"].tolist() == ["negative"]
    assert (folder / "data/tickets/2026-01.parquet").is_file()
    assert read_json(folder / "champion/version.json")["version"] == "1"
    assert sha256_tree(root / "models") == month


def test_it_is_made_again_after_a_kill_and_those_of_others_go(champion, laid_out):
    folder = laid_out()
    shutil.rmtree(folder / "champion/dense")
    (folder / "champion/pruned/training.json").write_text("half")
    (folder / "dvc.yaml").unlink()
    write_text(folder.parent / "other/file.txt", "of another hotfix")
    assert laid_out() == folder
    assert read_json(folder / "champion/dense/training.json") == {"name": "dense"}
    assert read_json(folder / "champion/pruned/training.json") == {"name": "pruned"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_weights_come_from_the_remote_where_the_cache_is_empty(champion, laid_out, tmp_path):
    root = champion.root
    dvc(root, "remote", "add", "--default", "near", str(tmp_path / "remote"))
    folder = laid_out()
    (folder / "dvc.yaml").unlink()  # its stages have not run
    dvc(folder, "push")
    shutil.rmtree(folder)
    shutil.rmtree(root / ".dvc/cache")
    assert read_json(laid_out() / "champion/dense/training.json") == {"name": "dense"}


def test_weights_that_are_nowhere_are_said_with_their_remedy(champion, laid_out, tmp_path):
    keep(CORRECTIONS, champion.root)
    for path in (champion.root / ".dvc/cache/files/md5").rglob("*.dir"):
        path.unlink()
    with pytest.raises(
        TicketSentimentError, match=r"champion/dense of the champion, version 1, is neither"
    ) as gone:
        laid_out()
    assert not isinstance(gone.value, Unavailable)
    dvc(champion.root, "remote", "add", "--default", "empty", str(tmp_path / "remote"))
    with pytest.raises(Unavailable, match=r"champion/dense of the champion, version 1, is neither"):
        laid_out()
    dvc(champion.root, "remote", "add", "--default", "away", "http://127.0.0.1:9/store")
    with pytest.raises(Unavailable, match="dvc push failed"):
        laid_out()


def test_a_champion_without_a_way_back_is_said_with_its_remedy(champion):
    store = champion.store
    version = store.client.get_model_version(store.model, "1")
    held = read_champion(store, champion.root)
    assert held.commit == version.tags["git.snapshot"]
    store.client.set_model_version_tag(store.model, "1", "git.snapshot", "0" * 40)
    with pytest.raises(TicketSentimentError, match="git fetch origin tag model/v1"):
        read_champion(store, champion.root)
    store.client.set_model_version_tag(store.model, "1", "git.snapshot", "none")
    with pytest.raises(TicketSentimentError, match="outside of a git repository"):
        read_champion(store, champion.root)
    store.client.delete_registered_model_alias(store.model, "champion")
    with pytest.raises(TicketSentimentError, match="no champion to correct"):
        read_champion(store, champion.root)


def test_a_snapshot_of_other_tickets_is_refused(champion, laid_out):
    root, store = champion.root, champion.store
    lock = yaml.safe_load(git(root, "show", "model/v1:dvc.lock"))
    lock["stages"]["prepare"]["outs"][0] |= lock["stages"]["train"]["outs"][0] | {"path": "data/prepared"}
    write_text(root / "dvc.lock", yaml.safe_dump(lock))
    other = snapshot(root, snapshot_files(root), "model/v1")
    store.client.set_model_version_tag(store.model, "1", "git.snapshot", other)
    with pytest.raises(TicketSentimentError, match="holds other tickets than the champion"):
        laid_out()


def test_a_champion_from_before_an_erasure_is_refused_until_one_from_after_it(champion, laid_out):
    """Its snapshot holds the tickets that were erased since."""
    root, store = champion.root, champion.store
    laid_out()
    mark_erasure(root)
    with pytest.raises(
        TicketSentimentError, match=r"version 1, was made before the erasure of 20.* run `make retrain`"
    ):
        laid_out()
    retrained = snapshot(root, snapshot_files(root), "model/v1")
    store.client.set_model_version_tag(store.model, "1", "git.snapshot", retrained)
    folder = laid_out()
    assert erasures((folder / "data/tickets.dvc").read_text()), "the snapshot of the hotfix names it, too"
    (root / "data/tickets.dvc").unlink()  # nothing was collected in this clone
    laid_out()


def set_params(path: Path, section: str, **values: str) -> None:
    params = yaml.safe_load(path.read_text())
    params[section] |= values
    write_text(path, yaml.safe_dump(params, sort_keys=False))


def test_what_older_yaml_takes_for_a_truth_value_stays_a_word(champion, laid_out):
    path = champion.root / "params.yaml"
    text = path.read_text()
    write_text(path, text.replace("feedback: optional", "feedback: off"))
    assert path.read_text() != text
    assert load_params(laid_out() / "params.yaml").tickets.feedback == "off"


def test_prices_and_traffic_of_one_s_own_are_there_for_stage_price(champion, laid_out, tmp_path, monkeypatch):
    root = champion.root
    shipped = (REPOSITORY / "src/ticket_sentiment/costs/prices.yaml").read_text()
    write_text(root / "src/ticket_sentiment/costs/prices.yaml", shipped)
    write_text(root / "costs/own.yaml", shipped)
    rows = "".join(f"{hour},{hour + 1}\n" for hour in range(24))
    write_text(root / "data/traffic.csv", "hour,tickets\n" + rows)
    set_params(root / "params.yaml", "costs", prices="costs/own.yaml", profile="data/traffic.csv")
    for _ in range(2):
        folder = laid_out()
        monkeypatch.chdir(folder)
        costs = load_params(Path("params.yaml")).costs
        assert load_prices(Path(costs.prices)) and read_traffic(costs.profile, None).tickets_per_day == 300
        monkeypatch.chdir(root)
    assert not (folder / "data").is_symlink() and not (folder / "costs").is_symlink()
    set_params(root / "params.yaml", "costs", prices="src/ticket_sentiment/costs/prices.yaml")
    assert (laid_out() / "src/ticket_sentiment/costs/prices.yaml").read_text() == shipped
    set_params(root / "params.yaml", "costs", profile=str(tmp_path / "elsewhere.csv"))
    laid_out()
    write_text(root.parent / "outside.csv", "hour,tickets\n" + rows)
    set_params(root / "params.yaml", "costs", profile="../outside.csv")
    with pytest.raises(TicketSentimentError, match=r"costs.profile: ../outside.csv lies outside"):
        laid_out()


@pytest.mark.parametrize("base", ["models/base-de", "data/base"])
def test_a_base_model_in_a_folder_of_the_month_lets_no_stage_write_there(champion, base):
    root, store = champion.root, champion.store
    write_text(root / base / "config.json", "{}")
    held = read_champion(store, root)
    held = replace(held, params=held.params | {"train": held.params["train"] | {"base_model": base}})
    month = {name: sha256_tree(root / name) for name in ("models", "data/tickets", "data/prepared")}
    pointer = (root / "data/tickets.dvc").read_text()

    def lay() -> Path:
        return lay_out(store, held, keep(CORRECTIONS, root), content_digest(CORRECTIONS), root)

    folder = lay()
    assert (folder / base / "config.json").read_text() == "{}"
    assert not any((folder / name).is_symlink() for name in ("models", "data"))
    shutil.rmtree(folder / Path(base).parent)
    (folder / Path(base).parent).symlink_to(root / Path(base).parent)  # as an earlier release left it
    assert lay() == folder
    write_text(folder / "models/dense/training.json", "of the hotfix")
    write_text(folder / "data/tickets.dvc", "of the hotfix")
    assert {name: sha256_tree(root / name) for name in month} == month
    assert (root / "data/tickets.dvc").read_text() == pointer


def test_all_that_its_stages_read_is_there_or_made_by_one_of_them(champion):
    """A stage of dvc.yaml that gets a new dependency must find it here as well."""
    root = champion.root
    held = read_champion(champion.store, root)
    folder = lay_out(champion.store, held, keep(CORRECTIONS, root), content_digest(CORRECTIONS), root)
    made = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].values()
    outs = {next(iter(out)) if isinstance(out, dict) else out for stage in made for out in stage["outs"]}
    read = {dep for stage in made for dep in stage["deps"] if not dep.startswith("src/")}  # a link
    missing = {dep for dep in read if not (folder / dep).exists()}
    assert missing == {dep for dep in missing if any(f"{dep}/".startswith(f"{out}/") for out in outs)}
