"""The page in a real browser: it answers as the service does, without a network, and updates whole or not."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.conftest import RUNTIME
from tests.support.browser import browser
from tests.support.tab import Page, static_server, tab
from tests.support.texts import AWKWARD, NOTHING
from ticket_sentiment.edge.pack import pack
from ticket_sentiment.files import sha256_file
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

pytestmark = [
    pytest.mark.skipif(browser() is None, reason="there is no Chromium"),
    pytest.mark.skipif(not RUNTIME.is_dir(), reason="onnxruntime-web is not here: `make edge` fetches it"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def web(packed: Path, tmp_path: Path) -> Path:
    """A copy of the page's folder, to be changed."""
    return Path(shutil.copytree(packed / "web", tmp_path / "web"))


def state(page: Page) -> str:
    """What the page says of the network, once it says it."""
    page.evaluate("ticketSentiment.then(() => 1)")
    return page.evaluate("document.getElementById('offline').textContent")


def classify(page: Page, texts: list[str]) -> list[dict | None]:
    script = """(async () => {
        const classifier = await ticketSentiment, answers = [];
        for (const text of %s) answers.push(await classifier.classify(text));
        return answers;
    })()"""
    return page.evaluate(script % json.dumps(texts))


def test_texts_are_read_and_answered_as_by_the_service(page, web, server):
    with static_server(web) as address:
        page.open(address)
        answers = classify(page, AWKWARD)
        read = [canonical(clean(text)) for text in AWKWARD]
        encode = f"(c) => {json.dumps(read)}.map((text) => c.tokenizer.encode(text))"
        ids = page.evaluate(f"ticketSentiment.then({encode})")
        assert classify(page, NOTHING) == [None] * len(NOTHING)
    assert [answer["text"] for answer in answers] == read
    assert ids == server.runtime.token_ids(read)
    expected = server.answers(read)
    assert [answer["label"] for answer in answers] == [answer.label for answer in expected]
    for ours, theirs in zip(answers, expected, strict=True):
        assert tuple(ours["probabilities"].values()) == pytest.approx(theirs.probabilities, abs=1e-4)


def test_a_vocabulary_of_half_a_million_pieces_is_read(page, web):
    script = """Promise.all([import("./wordpiece.js"), fetch("bundle/tokenizer.json").then((r) => r.json()),
        fetch("rules.json").then((r) => r.json())]).then(([{ WordPiece }, specification, { characters }]) => {
        for (let at = 0; at < 500000; at += 1) specification.model.vocab[`piece${at}`] = at;
        return new WordPiece(specification, 8, characters).pieces("piece499999");
    })"""
    with static_server(web) as address:
        page.open(address)
        assert page.evaluate(script) == [499_999]


def test_a_person_sees_answer_version_and_digest_on_any_width(page, web, bundle):
    with static_server(web) as address:
        page.open(address)
        state(page)
        ticket = json.dumps("Hello team, it is broken. Regards, Anna Smith")
        page.evaluate(f"document.getElementById('text').value = {ticket}")
        page.evaluate("document.getElementById('form').requestSubmit()")
        page.wait("!document.getElementById('answer').hidden")
        text = page.evaluate("document.body.innerText")
        for width in (390, 1000):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
            page.call("Emulation.setDeviceMetricsOverride", **size)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.call("Emulation.clearDeviceMetricsOverride")
    assert bundle.digest in text and "Nothing leaves this device" in text
    assert "it is broken." in text and "Regards" not in text
    assert all(label in text for label in ("negative", "neutral", "positive"))


def test_a_text_that_is_too_long_is_refused_and_not_cut(page, web, params):
    limit = params.serve.max_text_chars
    submit = """(() => { const text = document.getElementById("text");
        text.value = ""; text.focus(); document.execCommand("insertText", false, "🙂".repeat(%d));
        document.getElementById("form").requestSubmit(); return [...text.value].length; })()"""
    with static_server(web) as address:
        page.open(address)
        state(page)
        assert page.evaluate(submit % limit) == limit  # characters, of which each is two units in a browser
        page.wait("!document.getElementById('answer').hidden")
        assert page.evaluate(submit % (limit + 1)) == limit + 1
        page.wait("document.getElementById('answer').hidden")
        said = page.evaluate("document.getElementById('state').textContent")
    assert said == f"text: longer than {limit} characters: shorten it"


def test_it_answers_without_a_network_after_the_first_load(page, web):
    with static_server(web) as address:
        page.open(address)
        assert "is kept on this device" in state(page)
        online = classify(page, AWKWARD[:2])
    page.open(address)
    assert "there is none now" in state(page)
    assert classify(page, AWKWARD[:2]) == online


def test_two_pages_of_one_origin_keep_a_release_each(page, web, make_bundle, params, runtime, tmp_path):
    other = pack(make_bundle(1), "2", params, runtime, tmp_path / "other") / "web"
    both = tmp_path / "both"
    shutil.copytree(web, both / "a")
    shutil.copytree(other, both / "b")
    with static_server(both) as address:
        for name in "ab":
            page.open(f"{address}{name}/")
            assert "is kept on this device" in state(page)
    for name, version in (("a", "1"), ("b", "2")):
        page.open(f"{address}{name}/")
        assert "there is none now" in state(page)
        assert classify(page, ["hello"])[0]["model_version"] == version


def test_what_is_kept_under_the_shared_name_of_before_comes_over(page, web):
    # As a worker of before left it, with an entry of another page of the origin.
    go_back = """(async () => {
        await (await navigator.serviceWorker.getRegistration()).unregister();
        const [name] = await caches.keys(), own = await caches.open(name);
        const shared = await caches.open("ticket-sentiment-edge");
        for (const key of await own.keys()) await shared.put(key, await own.match(key));
        await shared.put("/b/release.json", new Response("{}"));
        await caches.delete(name);
        return (await shared.keys()).length;
    })()"""
    left = """caches.open("ticket-sentiment-edge").then((c) => c.keys()).then((k) => k.map((r) => r.url))"""
    with static_server(web) as address:
        page.open(address)
        state(page)
        assert page.evaluate(go_back) > 5
        (web / "rules.json").unlink()  # so that what was kept is not fetched again
        page.open(address)
        assert "works: the release is kept" in state(page)
        assert page.evaluate(left) == [f"{address}b/release.json"]
        page.evaluate("caches.open('ticket-sentiment-edge').then((c) => c.delete('/b/release.json'))")
        page.open(address)
        state(page)
        assert page.evaluate("caches.keys()") == [f"ticket-sentiment-edge {address}"]
    page.open(address)
    assert "there is none now" in state(page)


def test_a_release_that_cannot_be_kept_answers_with_a_network_all_the_same(page, web):
    (web / "edge.css").write_text("/* not what the manifest names */")
    with static_server(web) as address:
        page.open(address)
        said = state(page)
        assert "does not work yet" in said and "edge.css: SHA-256 differs" in said
        assert classify(page, ["hello"])[0]["label"]


def test_an_update_comes_whole_or_not_at_all(page, web, make_bundle, params, runtime, tmp_path):
    newer = pack(make_bundle(1), "2", params, runtime, tmp_path / "newer") / "web"
    with static_server(web) as address:
        page.open(address)
        state(page)
        before = classify(page, ["hello"])
        # The new manifest with the old model beside it: as when copying was interrupted.
        shutil.copyfile(newer / "release.json", web / "release.json")
        for _ in range(2):
            page.open(address)
            assert "the one before it stays" in state(page) and "SHA-256 differs" in state(page)
            assert classify(page, ["hello"]) == before
        shutil.copytree(newer, web, dirs_exist_ok=True)
        page.open(address)
        assert "version 2 is kept on this device" in state(page)
        assert classify(page, ["hello"]) == before  # this page goes on with what it verified
        page.open(address)
        (after,) = classify(page, ["hello"])
    assert after["model_version"] == "2" and after["probabilities"] != before[0]["probabilities"]


def test_a_kept_release_that_cannot_be_used_is_replaced_by_a_mended_one(page, web, tmp_path):
    mended = shutil.copytree(web, tmp_path / "mended")
    (web / "rules.json").write_text("{}")
    release = json.loads((web / "release.json").read_text())
    release["files"]["rules.json"]["sha256"] = sha256_file(web / "rules.json")
    (web / "release.json").write_text(json.dumps(release))
    read = "document.getElementById('state').textContent"
    with static_server(web) as address:
        for _ in range(2):  # as it is kept, and from what is kept
            page.open(address)
            page.evaluate("ticketSentiment.catch(() => 1)")
            assert "cannot be used" in page.evaluate(read) and "load this page again" not in page.evaluate(
                read
            )
        shutil.copytree(mended, web, dirs_exist_ok=True)
        page.open(address)
        page.evaluate("ticketSentiment.catch(() => 1)")
        assert "Version 1 has come in its place: load this page again" in page.evaluate(read)
        page.open(address)
        assert classify(page, ["hello"])[0]["label"]


def test_a_page_that_is_loaded_past_its_service_worker_says_what_is_true(page, web):
    """It has no controller and gets none; people are told to load the page again, and do it so."""
    with static_server(web) as address:
        page.open(address)
        state(page)
        begun = time.monotonic()
        page.reload_hard()
        assert "works: the release is kept on this device" in state(page)
        assert page.evaluate("navigator.serviceWorker.controller") is None
        assert time.monotonic() - begun < 8  # it had waited 10 s for one
        assert classify(page, ["hello"])[0]["label"]


@pytest.mark.parametrize("harm", ["c.delete(k)", "c.put(k, new Response('half'))"], ids=["gone", "damaged"])
@pytest.mark.parametrize("name", ["bundle/model.onnx", "rules.json"])
def test_a_kept_file_that_is_harmed_is_fetched_again_from_the_same_release(page, web, name, harm):
    """Else the page would be broken on this device until the server has another release."""
    key = f"sha256/{json.loads((web / 'release.json').read_text())['files'][name]['sha256']}"
    with static_server(web) as address:
        page.open(address)
        before = state(page) and classify(page, ["hello"])
        page.evaluate(
            f"caches.open('ticket-sentiment-edge {address}').then(async (c) => {{"
            f"const k = new URL('{key}', '{address}'); await {harm}; return 1; }})"
        )
        page.open(address)
        page.evaluate("ticketSentiment.catch(() => 1)")
        page.open(address)
        assert "works" in state(page) and classify(page, ["hello"]) == before
    page.open(address)  # without a network
    assert classify(page, ["hello"]) == before


@pytest.mark.parametrize(
    "name",
    ["bundle/model.onnx", "rules.json", "runtime/onnxruntime-web.wasm", "runtime/onnxruntime-web.js",
     "classifier.js", "text.js", "wordpiece.js"],
)  # fmt: skip
def test_a_file_that_is_not_what_the_manifest_names_answers_nothing(page, web, name):
    with (web / name).open("ab") as stream:
        stream.write(b" ")  # harmless to read: only its hash tells
    with static_server(web) as address:
        page.open(address)
        page.evaluate("ticketSentiment.catch(() => 1)")
        said = page.evaluate("document.getElementById('state').textContent")
        assert f"{name} is not what the manifest names (SHA-256 differs)" in said
        assert page.evaluate("document.getElementById('classify').disabled") is True


def test_code_is_fetched_once_and_run_as_it_was_hashed(page, web):
    fetched = "performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname)"
    with static_server(web) as address:
        page.open(address)
        state(page)
        paths = page.evaluate(fetched)
    for name in ("/classifier.js", "/text.js", "/wordpiece.js", "/runtime/onnxruntime-web.js"):
        assert paths.count(name) == 1, name
