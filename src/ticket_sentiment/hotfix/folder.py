"""The folder in which a hotfix is made: a small repository of the champion's own data, beside the month's.

It lies below var/hotfix/, named by champion and corrections, and looks to every stage like the root of the
repository. DVC's cache is the repository's: what was made once is made no more. Its graph is dvc.yaml,
in which the stages of dvc.hotfix.yaml take the place of those that would make a month.
"""

import configparser
import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing, sha256_tree, write_json, write_text
from ticket_sentiment.hotfix.champion import Champion, fetch_bundle
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.registry.lineage import read_snapshot, snapshot_tag
from ticket_sentiment.registry.store import Store
from ticket_sentiment.tickets.dvc import bring
from ticket_sentiment.tickets.erased import erasures
from ticket_sentiment.tickets.schema import FEEDBACK, TICKET_TABLE
from ticket_sentiment.yaml_files import dump_yaml, read_yaml

FOLDERS = Path("var/hotfix")
STAGES = Path("dvc.hotfix.yaml")
RECIPE = ("train", "prune", "quantize")  # sections of params.yaml by which the champion was made
KEPT = ("models/frontier/frontier.csv", "reports/validation/result.json")  # files of its snapshot
BUNDLE = Path("models/champion/bundle")
LIVE = Path("data/live")
# Keys of DVC's configuration that it reads relative to the file's own folder (`dvc.config`).
DVC_PATHS = (
    "url", "dir", "credentialpath", "keyfile", "configpath", "cert_path", "key_path",
    "gdrive_user_credentials_file", "gdrive_service_account_json_file_path",
)  # fmt: skip
COST_FILES = ("prices", "profile")  # keys of section `costs` that may name a file, read by stage price
BEHAVIOUR = Path("data/behaviour.yaml")  # the tests of now, as the code is the one of now


def graph(month: dict[str, Any], hotfix: dict[str, Any]) -> dict[str, Any]:
    """The stages of dvc.yaml with those of dvc.hotfix.yaml.

    One with a command takes the place of its namesake, one without adds to it, and null takes it out.
    """
    stages = dict(month["stages"])
    for name, stage in hotfix["stages"].items():
        if stage is None:
            del stages[name]
        elif "cmd" in stage:
            stages[name] = stage
        else:
            own = stages[name]
            stages[name] = own | {key: [*own.get(key, []), *more] for key, more in stage.items()}
    return {"stages": stages}


def recipe(present: dict[str, Any], champion: dict[str, Any]) -> dict[str, Any]:
    """params.yaml as it is now, but the champion made as it was; keys that it did not know are as now."""
    made = {
        section: {key: champion.get(section, {}).get(key, value) for key, value in present[section].items()}
        for section in RECIPE
    }
    return present | made


def dvc_config(root: Path) -> str:
    """The repository's remotes and cache for a folder elsewhere: what is relative there becomes absolute."""
    config = configparser.ConfigParser(interpolation=None)  # a % of a password or token is one
    config.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    for section in config.sections():
        for key in DVC_PATHS:
            value = os.path.expanduser(config.get(section, key, fallback=""))
            if value and not re.match(r"\w+://", value):
                config.set(section, key, os.path.normpath((root / ".dvc").resolve() / value))
    for section, key, value in (
        ("core", "no_scm", "true"),
        ("cache", "dir", config.get("cache", "dir", fallback=str((root / ".dvc/cache").resolve()))),
    ):
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, key, value)
    lines = [f"[{name}]\n" + "".join(f"    {k} = {v}\n" for k, v in config[name].items()) for name in config]
    return "".join(line for line in lines if "=" in line)


def _pointer(entry: dict[str, Any], name: str) -> str:
    out = {key: entry[key] for key in ("md5", "size", "nfiles", "hash") if key in entry}
    return yaml.safe_dump({"outs": [out | {"path": name}]}, sort_keys=False)


def lay_out(store: Store, champion: Champion, corrections: dict[str, Any], digest: str, root: Path) -> Path:
    """Make the folder of a hotfix, or bring it up to date, with all that its stages read.

    Args:
        store: of the registry.
        champion: what it starts from.
        corrections: DVC's entry of the file of corrected tickets.
        digest: `corrections.content_digest` of them.
        root: the repository.

    Returns:
        The folder. Those of other hotfixes are gone: DVC's cache and the registry hold what they made.

    Raises:
        Unavailable: DVC's remote did not bring the champion's weights or tickets.
        TicketSentimentError: they are nowhere to be found, or are not those that its bundle was made from,
            or some were erased since; or params.yaml names a file outside of the repository by a relative
            path.
    """
    tickets = champion.require(root, TICKET_TABLE.pointer.as_posix()).decode()
    _refuse_erased(root, champion, tickets)
    folder = root / FOLDERS / f"{champion.digest[:12]}-{digest[:12]}"
    for other in (root / FOLDERS).glob("*"):
        if other != folder:
            shutil.rmtree(other)
    with replacing(folder / ".dvc/config", mode=0o600) as temporary:  # with the secrets of config.local
        temporary.write_text(dvc_config(root), encoding="utf-8")
    present = read_yaml(root / "params.yaml")
    _link(root, folder, champion, present)
    stages = [yaml.safe_load((root / name).read_text(encoding="utf-8")) for name in ("dvc.yaml", STAGES)]
    write_text(folder / "dvc.yaml", yaml.safe_dump(graph(*stages), sort_keys=False))
    write_text(folder / "params.yaml", dump_yaml(recipe(present, champion.params)))
    for path in KEPT:
        write_text(folder / path, champion.require(root, path).decode())
    own = root / BEHAVIOUR
    write_text(folder / BEHAVIOUR, own.read_text(encoding="utf-8") if own.is_file() else "tests: []\n")
    write_text(folder / TICKET_TABLE.pointer, tickets)
    labels = read_snapshot(root, champion.commit, f"{FEEDBACK}.dvc")
    if labels is None:  # nobody had labelled anything
        (folder / FEEDBACK).mkdir(parents=True, exist_ok=True)
    else:
        write_text(folder / f"{FEEDBACK}.dvc", labels.decode())
    for path, entry in champion.outputs.items():
        name = Path(path).name
        write_text(folder / f"champion/{name}.dvc", _pointer(entry, name))
    write_text(folder / "data/corrections.parquet.dvc", _pointer(corrections, "corrections.parquet"))
    about = {"version": champion.version, "digest": champion.digest, "snapshot": champion.commit}
    (folder / LIVE).mkdir(parents=True, exist_ok=True)  # nothing live was fetched for a hotfix
    write_json(folder / "champion/version.json", about | {"corrections_sha256": digest})
    _bring(folder, champion)
    fetch_bundle(store, champion, folder / BUNDLE)
    if load_bundle(folder / BUNDLE).manifest.training_data != sha256_tree(folder / "champion/prepared"):
        raise TicketSentimentError(
            f"the snapshot {snapshot_tag(champion.version)} holds other tickets than the champion, version "
            f"{champion.version}, was made from: the git tag was moved; run `make retrain`"
        )
    return folder


def _refuse_erased(root: Path, champion: Champion, tickets: str) -> None:
    """What has been erased since the champion was made would come back, and be learnt again."""
    present = root / TICKET_TABLE.pointer
    since = erasures(present.read_text(encoding="utf-8")) - erasures(tickets) if present.is_file() else None
    if since:
        raise TicketSentimentError(
            f"the champion, version {champion.version}, was made before the erasure of {max(since)}, and a "
            "hotfix would learn again what was erased: run `make retrain`, let its version become the "
            "champion, and run this again"
        )


def _link(root: Path, folder: Path, champion: Champion, present: dict[str, Any]) -> None:
    """The code, and what params.yaml names of the repository, are where they are."""
    for path in folder.iterdir():
        if path.is_symlink():  # a release before this one linked whole folders, into which stages wrote
            path.unlink()
    named = {"train.base_model": champion.params["train"]["base_model"]}
    named |= {f"costs.{key}": present["costs"][key] for key in COST_FILES}
    for key, name in {"": "src", **named}.items():
        _link_one(root, folder, key, Path(os.path.normpath(name)))


def _link_one(root: Path, folder: Path, key: str, path: Path) -> None:
    """Link this very file or folder and nothing beside it: stages write into the folders above it."""
    if path.is_absolute() or not (root / path).exists():  # `office`, `package:name` or a hub id is no file
        return
    if ".." in path.parts:
        raise TicketSentimentError(
            f"params.yaml: {key}: {path} lies outside of the repository, where a hotfix does not find it: "
            "name it by its absolute path, or put it into the repository"
        )
    link = folder / path
    if link.is_symlink():
        link.unlink()
    if not link.exists():  # what lies in src is there already
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((root / path).resolve())


def _bring(folder: Path, champion: Champion) -> None:
    """Weights and tickets out of DVC's cache, else from its remote."""
    tag = snapshot_tag(champion.version)
    remedy = (
        f"where the version was made, run `git checkout {tag} && dvc push`, and run this again; or run "
        "`make retrain`"
    )
    for pointer in sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.dvc")):
        bring(folder, pointer, remedy, f" of the champion, version {champion.version},")
