"""Versions are signed as they are registered, or later, and their signatures reach builds and releases."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.project import Project, git
from tests.support.signing import key_of, public_half
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By, Model
from ticket_sentiment.promotion.releases import bring_releases
from ticket_sentiment.registry import build
from ticket_sentiment.registry.releases import put_release, registered_bundle
from ticket_sentiment.registry.signing import sign, verify
from ticket_sentiment.rollout.releases import load_release
from ticket_sentiment.signing.signature import signature_path

OLD, NEW = key_of("2026"), key_of("2027")
OLD_KEYS, NEW_KEYS = ({key.name: public_half(key)} for key in (OLD, NEW))


@pytest.fixture
def required(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose services ask for the signature of either key, and whose flow has none yet."""
    serve = project.params.serve.model_copy(update={"require_signature": True})
    project.params = project.params.model_copy(update={"serve": serve})
    monkeypatch.setenv(serve.public_keys_env, f"{OLD.public_line}\n{NEW.public_line}\n")
    monkeypatch.delenv(project.params.registry.signing_key_env, raising=False)
    project.result()
    return project


def use(project: Project, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv(project.params.registry.signing_key_env, line)


def put(project: Project) -> str:
    return put_release(project.store, project.params, 1, project.root)


def test_a_version_is_signed_as_it_is_registered(
    required: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(required, monkeypatch, OLD.line)
    required.register()
    folder, name = required.root / required.params.serve.releases, put(required)
    for device in ("cpu", "gpu"):
        load_release(folder, name, device, OLD_KEYS)
        with pytest.raises(TicketSentimentError, match="none of the public keys"):
            load_release(folder, name, device, NEW_KEYS)
    with registered_bundle(required.params, root=required.root) as (_, version):
        assert version == "1"
    verify(required.params, "1", required.root)
    assert capsys.readouterr().out.count("is signed with key 2026") == 2
    tags = required.store.client.get_model_version(required.store.model, "1").tags
    assert OLD.line.split()[-1] not in json.dumps(dict(tags))


def test_what_a_key_signed_that_does_not_count_is_no_release(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services would refuse it: a rollout of it would never be heard."""
    use(required, monkeypatch, NEW.line)
    required.register()
    monkeypatch.setenv(required.params.serve.public_keys_env, f"{OLD.public_line}\n")
    with pytest.raises(TicketSentimentError, match="none of the public keys"):
        put(required)
    assert not list((required.root / required.params.serve.releases).glob("*"))


def test_without_a_key_nothing_is_signed_and_services_that_ask_get_nothing(required: Project) -> None:
    required.register()
    with pytest.raises(TicketSentimentError, match=r"version 1 is not signed.*sign 1"):
        put(required)
    with (
        pytest.raises(TicketSentimentError, match=r"version 1 is not signed.*sign 1"),
        registered_bundle(required.params, root=required.root),
    ):
        pass
    with pytest.raises(TicketSentimentError, match="no signing key is here"):
        sign(required.params, "1", required.root)
    with pytest.raises(TicketSentimentError, match=r"tag signature\.cpu, is missing"):
        verify(required.params, "1", required.root)


def test_what_should_be_a_key_and_is_none_registers_nothing(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(required, monkeypatch, "hush")
    with pytest.raises(TicketSentimentError, match="holds no signing key"):
        required.register()
    assert required.aliases() == {}


def test_signing_again_with_another_key_reaches_the_release_that_is_there(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(required, monkeypatch, OLD.line)
    required.register()
    folder, name = required.root / required.params.serve.releases, put(required)
    before = (folder / name).stat().st_ino
    use(required, monkeypatch, NEW.line)
    sign(required.params, "1", required.root)
    assert (folder / name).stat().st_ino == before
    load_release(folder, name, "cpu", NEW_KEYS)


def swapped(project: Project) -> None:
    """Other weights in the place of version 1's, with the tags of their digests."""
    store = project.store
    project.result(seed=5)
    project.register()
    for device in ("cpu", "gpu"):
        tag = f"bundle.{device}.digest"
        other = store.client.get_model_version(store.model, "2").tags[tag]
        store.client.set_model_version_tag(store.model, "1", tag, other)
        source, target = (
            Path(store.client.get_run(store.client.get_model_version(store.model, number).run_id).info
                 .artifact_uri.removeprefix("file://")) / "bundles" / device
            for number in ("2", "1")
        )  # fmt: skip
        shutil.rmtree(target)
        shutil.copytree(source, target)


@pytest.mark.parametrize("trust_mlflow", [False, True])
@pytest.mark.parametrize("snapshot", [True, False], ids=["git knows it", "its signature"])
def test_what_took_the_place_of_a_version_is_not_signed(
    required: Project, monkeypatch: pytest.MonkeyPatch, snapshot: bool, trust_mlflow: bool
) -> None:
    use(required, monkeypatch, OLD.line)
    required.register()
    swapped(required)
    if not snapshot:
        git(required.root, "tag", "-d", "model/v1")
    use(required, monkeypatch, NEW.line)
    with pytest.raises(TicketSentimentError, match=r"may not be what was registered: (git|its signature)"):
        sign(required.params, "1", required.root, trust_mlflow)


@pytest.mark.parametrize("lost", ["cpu", "gpu"])
def test_what_neither_git_nor_a_signature_knows_is_signed_on_demand_alone(
    required: Project, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Whoever can put other weights into MLflow can also delete the tags of their signatures."""
    use(required, monkeypatch, OLD.line)
    required.register()
    git(required.root, "tag", "-d", "model/v1")
    required.store.client.delete_model_version_tag(required.store.model, "1", f"signature.{lost}")
    with pytest.raises(
        TicketSentimentError, match=rf"nor a signature knows the {lost} bundle .*--trust-mlflow"
    ):
        sign(required.params, "1", required.root)
    with pytest.raises(TicketSentimentError, match=rf"signature\.{lost}, is missing"):
        verify(required.params, "1", required.root)
    sign(required.params, "1", required.root, trust_mlflow=True)
    verify(required.params, "1", required.root)


def test_a_report_in_git_that_names_no_digest_knows_nothing(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    required.register()
    report = required.root / "reports/gate.json"
    gate = json.loads(report.read_text())
    report.write_text(json.dumps({key: gate[key] for key in gate if key != "gpu_bundle_digest"}))
    git(required.root, "add", "--force", str(report))
    git(required.root, "commit", "--quiet", "-m", "an older report")
    git(required.root, "tag", "--force", "model/v1")
    use(required, monkeypatch, OLD.line)
    with pytest.raises(TicketSentimentError, match="knows the gpu bundle that was registered"):
        sign(required.params, "1", required.root)


def test_a_release_of_old_weights_under_a_new_name_is_refused(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the folder has genuine, signed, old bundles at hand."""
    use(required, monkeypatch, OLD.line)
    required.register()
    folder, first = required.root / required.params.serve.releases, put(required)
    required.result(seed=5)
    required.register()
    second = put_release(required.store, required.params, 2, required.root)
    (folder / second / "gpu").rename(folder / "aside")
    (folder / first / "gpu").rename(folder / second / "gpu")
    old = signature_path(folder / first / "gpu").read_text()
    signature_path(folder / second / "gpu").write_text(old)
    manifest = json.loads((folder / second / "release.json").read_text())
    manifest["bundles"]["gpu"] = load_bundle(folder / second / "gpu").digest
    (folder / second / "release.json").write_text(json.dumps(manifest))
    load_release(folder, second, "gpu")  # hashes alone do not see it
    with pytest.raises(TicketSentimentError, match=r"is not of version 2 \(gpu"):
        load_release(folder, second, "gpu", OLD_KEYS)


def test_a_version_that_is_not_there_is_said(required: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    use(required, monkeypatch, OLD.line)
    required.register()
    with pytest.raises(TicketSentimentError, match="has no version 9"):
        sign(required.params, "9", required.root)


def test_a_build_carries_the_signatures_of_what_it_holds(project: Project, tmp_path: Path) -> None:
    project.result()
    bundle = load_bundle(project.root / "models/release/cpu")
    signed, plain = build.Release("1", bundle, None, "signed"), build.Release("2", bundle)
    build.stage_context(tmp_path / "context", project.params, signed, project.root, plain)
    assert (tmp_path / "context/bundle.signature.json").read_text() == "signed"
    assert not (tmp_path / "context/challenger.signature.json").exists()


def with_serve(params: Params, **changes: object) -> Params:
    return params.model_copy(update={"serve": params.serve.model_copy(update=changes)})


def test_a_signature_made_on_another_machine_comes_to_the_release_that_lies_here(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, unsigned = str(required.register().version), with_serve(required.params, require_signature=False)
    name = put_release(required.store, unsigned, number, required.root)
    ledger = Ledger(f"sqlite:///{required.root}/events.db")
    entry = moves.adopt(ledger, None, Model(number, name), By("somebody", "Because."))
    ledger.close()
    use(required, monkeypatch, OLD.line)
    sign(with_serve(required.params, releases="elsewhere"), number, required.root)
    assert bring_releases(required.store, required.params, entry, required.root) == []
    for device in ("cpu", "gpu"):
        load_release(required.root / required.params.serve.releases, name, device, OLD_KEYS)


def test_a_release_is_of_the_version_that_is_registered_now(
    required: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bundles whose version was deleted in MLflow and registered anew."""
    use(required, monkeypatch, OLD.line)
    required.register()
    put(required)
    client, model = required.store.client, required.store.model
    client.delete_registered_model_alias(model, "champion")
    client.delete_model_version(model, "1")
    number = str(required.register().version)
    name = put_release(required.store, required.params, number, required.root)
    for device in ("cpu", "gpu"):
        _, version = load_release(required.root / required.params.serve.releases, name, device, OLD_KEYS)
        assert version == number == "2"
