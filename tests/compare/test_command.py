from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tests.support.evidence import tickets
from tests.support.page import Page
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.compare import bundles
from ticket_sentiment.compare.command import compare, main
from ticket_sentiment.compare.page import lines, write_page
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_json
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.tickets.learnt import LEARNT, Learnt

PAGE = Path("page.html")
WRONG = {"slow": "positive", "fails": "positive"}  # what the second model thinks of these words
TEXT = "The app fails every time"


def lay(root: Path) -> Path:
    """The holdout below a folder."""
    path = root / "data/prepared/holdout.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    tickets(400, "2026-10", 3).to_parquet(path, index=False)
    return path


@pytest.fixture
def two(tmp_path, monkeypatch) -> tuple[str, str]:
    """Two bundles and a holdout; we are beside them."""
    monkeypatch.chdir(tmp_path)
    lay(tmp_path)
    make_tiny_bundle(Path("first"))
    make_tiny_bundle(Path("second"), seed=1, mistakes=WRONG)
    return "first", "second"


def test_versions_and_aliases_of_the_registry_are_found_and_others_named(project, monkeypatch):
    monkeypatch.chdir(project.root)
    lay(project.root)
    project.result()
    project.register()
    project.result(seed=1, mistakes=WRONG)
    project.register()
    found = compare(("champion", "2"), project.params)
    assert (found.a.name, found.b.name) == ("version 1 (champion)", "version 2")
    assert found.found.moves[0].before == "negative" and found.found.quality.difference.high < 0
    for name in ("9", "chamion"):
        with pytest.raises(TicketSentimentError, match="is no version and no alias"):
            compare(("1", name), project.params)


def test_what_a_hotfix_learnt_is_left_out_of_a_folder_that_has_the_list_beside_it(two, params):
    held = pd.read_parquet("data/prepared/holdout.parquet").head(100)
    learnt = Learnt.of(held.assign(text=held["ticket_id"])).as_json()
    Path("champion").mkdir()
    Path(two[0]).rename("champion/bundle")
    digest = load_bundle(Path("champion/bundle")).digest
    write_json(Path("champion") / LEARNT, learnt | {"bundle_digest": digest})
    assert compare(("champion/bundle", two[1]), params).by_heart == 100
    write_json(Path("champion") / LEARNT, learnt | {"bundle_digest": "0" * 64})
    assert compare(("champion/bundle", two[1]), params).by_heart == 0, "the list is another bundle's"


@pytest.mark.parametrize("known", [True, False])
def test_what_a_hotfix_learnt_by_heart_is_left_out_or_said_to_be_unknown(two, params, monkeypatch, known):
    """The first model is a hotfix of all negative tickets, many of which the second answers wrong."""
    held = pd.read_parquet("data/prepared/holdout.parquet")
    wrong = held["label"] == "negative"
    list_ = Learnt.of(held[wrong]).as_json() if known else {"unknown": "the list is lost"}
    monkeypatch.setattr(bundles, "connect", lambda *_: SimpleNamespace(client=SimpleNamespace(
        get_model_version=lambda _, number: SimpleNamespace(version=number)), model="m"))  # fmt: skip
    names = dict(zip("12", two, strict=True))
    monkeypatch.setattr(
        bundles, "download_bundle", lambda _s, version, *_: load_bundle(Path(names[version.version]))
    )
    monkeypatch.setattr(
        bundles, "learnt_by", lambda _s, version, _h: list_ if version.version == "1" else None
    )
    found = compare(("1", "2"), params)
    said = " ".join(lines(found))
    if known:
        assert found.by_heart == wrong.sum() > 50 and found.found.rows == (~wrong).sum()
        assert (
            found.found.quality.difference.high >= 0
            and f"{wrong.sum()} tickets that one of them learnt" in said
        )
    else:
        assert found.by_heart == 0 and found.found.quality.difference.high < 0
        assert (
            "Which tickets A learnt as a hotfix is not known, so none is left out: the list is lost." in said
        )
    write_page(found, PAGE, show_text=False)
    assert "learnt as a hotfix" in Page(PAGE.read_text()).text


def test_text_is_shown_on_the_page_alone_and_only_when_asked_for(two, params, capsys):
    main(params, two, None, PAGE, show_text=False, speed=False)
    said, page = capsys.readouterr().out, Page(PAGE.read_text())
    assert "400 tickets" in said and "negative → " in said and "macro-F1" in said
    assert TEXT not in said and TEXT not in page.text and "--show-text" in page.text
    main(params, two, None, PAGE, show_text=True, speed=False)
    assert TEXT in Page(PAGE.read_text()).text and TEXT not in capsys.readouterr().out


def test_one_bundle_twice_is_said_to_be_one(two, params, capsys):
    main(params, ("first", "first"), None, PAGE, show_text=False, speed=False)
    assert "same bundle" in Page(PAGE.read_text()).text and "100.0 %" in capsys.readouterr().out


def test_the_page_stands_alone_and_escapes_what_it_is_given(two, params):
    table = pd.DataFrame({"ticket_id": ["<script>"], "text": ["<svg onload=x> this is slow and it fails"]})
    table.to_json("hostile.jsonl", orient="records", lines=True)
    main(params, two, Path("hostile.jsonl"), PAGE, show_text=True, speed=False)
    source = PAGE.read_text()
    page = Page(source)
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    assert "<svg onload=x>" in page.text and "url(" not in source


def test_speed_is_measured_when_asked_for(two, params):
    benchmark = params.benchmark.model_copy(update={"texts": 10, "rounds": 2, "warmup": 1})
    faster = compare(two, params.model_copy(update={"benchmark": benchmark}), speed=True).faster
    assert 0 < faster["low"] <= faster["median"] <= faster["high"]


def test_a_damaged_bundle_and_a_missing_holdout_are_refused(two, params):
    Path("second/model.onnx").write_bytes(b"")
    with pytest.raises(TicketSentimentError, match="SHA-256"):
        compare(two, params)
    Path("data/prepared/holdout.parquet").unlink()
    with pytest.raises(TicketSentimentError, match="--data"):
        compare(two, params)
