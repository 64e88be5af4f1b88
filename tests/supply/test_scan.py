"""Everything that must not go out is planted here, and found; nothing else is."""

import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.support.params import params_of_tests
from tests.support.saved_image import CONFIG, save_image
from tests.support.signing import key_of
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.supply import scan as module
from ticket_sentiment.supply.contents import opened
from ticket_sentiment.supply.scan import Finding, main, read_tickets, scan
from ticket_sentiment.supply.secrets import UNWELCOME, UNWELCOME_FOLDERS
from ticket_sentiment.supply.texts import LONGEST, Texts
from ticket_sentiment.tickets.privacy import PSEUDONYM_KEY

REPOSITORY = Path(__file__).parents[2]
PARAMS = params_of_tests()
TICKET = "Zwei Wochen, drei Anrufe, und der Router fällt immer noch jeden Abend aus."
PACKAGES = "app/.venv/lib/python3.11/site-packages"
# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "key that signs bundles": key_of("2026").line,
    "private key": "-----BEGIN EC " + "PRIVATE KEY-----\n" + "MHcCAQEE" * 8,
    "AWS access key": "AKIA" + "Q3EGRIQ7" * 2,
    "AWS access key of a session": "ASIA" + "Q3EGRIQ7" * 2,
    "GitHub token": "ghp" + "_" + "a1B2" * 9,
    "GitLab token": "glpat" + "-" + "x9Kd" * 5,
    "Slack token": "xoxb" + "-123456789012-" + "AbCd" * 5,
    "Slack webhook": "https://hooks.slack.com" + "/services/T02AB34CD/B05EF67GH/" + "a1B2c3" * 4,
    "Google API key": "AIza" + "Sy0_x" * 7,
    "Hugging Face token": "hf" + "_" + "aBcDeFg" * 4 + "aBcDeF",
    "PyPI token": "pypi" + "-AgE" + "IcHl" * 15,
    "Stripe key": "sk" + "_live_" + "4eC39HqL" * 3,
    "JSON web token": ".".join("eyJ" + part * 12 for part in ("hbGc", "zdWI", "c2ln")),
}
OWN = {
    "URL with a password": "postgresql+psycopg://app" + ":hunter22@db.internal/events",
    "value that looks like a secret": "api_key" + ' = "q8Zt3LwX0vB7nR5yK2mD"',
}


def found(place: Path, tickets: Texts | None = None) -> set[str]:
    return {finding.what for finding in scan(place, tickets).findings}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_anywhere_in_an_image(tmp_path: Path, kind: str) -> None:
    content = b"\0\1" * 900 + SECRETS[kind].encode() + b"\n" + b"x" * 900
    image = save_image(tmp_path / "image.tar", [{f"{PACKAGES}/a.so": content}])
    (finding,) = scan(image, None).findings
    assert finding == Finding(kind, f"{PACKAGES}/a.so (layer 1 of 1)")
    assert SECRETS[kind] not in str(finding)


def test_an_encrypted_key_in_pem_is_one_too(tmp_path: Path) -> None:
    head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0F1E2D3C\n\n"
    content = SECRETS["private key"].replace("KEY-----\n", f"KEY-----\n{head}")
    (finding,) = scan(save_image(tmp_path / "image.tar", [{"a.pem": content.encode()}]), None).findings
    assert finding.what == "private key"


def test_a_pgp_key_is_one_too(tmp_path: Path) -> None:
    content = "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\n\n" + "lQdGBGX0" * 8
    (finding,) = scan(save_image(tmp_path / "image.tar", [{"a.asc": content.encode()}]), None).findings
    assert finding.what == "private key"


@pytest.mark.parametrize("value", ["00112233445566778899aabbccddeeff", "q8Zt3LwX0vB7nR5y" * 20])
def test_a_value_of_hexadecimal_digits_alone_and_a_long_one_are_secrets_too(
    tmp_path: Path, value: str
) -> None:
    layer = {"home/bentoml/bento/src/settings.py": f'api_key = "{value}"'.encode()}
    (finding,) = scan(save_image(tmp_path / "image.tar", [layer]), None).findings
    assert finding.what == "value that looks like a secret"


@pytest.mark.parametrize("kind", OWN)
def test_what_also_fits_documentation_is_looked_for_in_what_is_ours(tmp_path: Path, kind: str) -> None:
    content = OWN[kind].encode()
    layer = {f"{PACKAGES}/readme.py": content, "home/bentoml/bento/src/settings.py": content}
    (finding,) = scan(save_image(tmp_path / "image.tar", [layer]), None).findings
    assert finding.what == kind
    assert finding.where.startswith("home/bentoml")


def test_what_a_later_layer_deletes_and_what_the_configuration_says_are_found(tmp_path: Path) -> None:
    layers = [{"tmp/token": SECRETS["GitHub token"].encode()}, {"tmp/.wh.token": b""}]
    image = save_image(tmp_path / "image.tar", layers)
    assert [str(finding) for finding in scan(image, None).findings] == [
        "tmp/token (layer 1 of 2): GitHub token"
    ]
    environment = {"Env": [f"DATABASE={OWN['URL with a password']}"], "Labels": {}}
    image = save_image(tmp_path / "image.tar", [{"a": b""}], CONFIG | {"config": environment})
    assert [finding.where for finding in scan(image, None).findings] == ["image configuration"]


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        (
            PSEUDONYM_KEY,
            "9f86d081884c7d659a2feaa0" + "c55ad015a3bf4f1b2b0b822c",
            "value that looks like a secret",
        ),
        (PARAMS.serve.remote.key_env, "Zk3vQ9sLx0aB" + "7mT2cR8yW4uE", "value that looks like a secret"),
        (PARAMS.registry.signing_key_env, "b7Qm2xV9tLc4" + "Rz8Kp1Wd6Hs3", "value that looks like a secret"),
        (PARAMS.cache.redis_url_env, "redis://:hunter22" + "@cache.internal:6379/0", "URL with a password"),
        (PARAMS.cache.redis_url_env, "redis://:pa$sw0rd!'x" + "@cache/0", "URL with a password"),
        (PARAMS.cache.redis_url_env, "redis://cache.internal:6379/0", None),
        (PARAMS.cache.redis_url_env, "redis://:$REDIS_PASSWORD@cache.internal:6379/0", None),
        ("MLFLOW_TRACKING_PASSWORD", "Sommer2026!" + "Katze", "value that looks like a secret"),
        ("DB_PASSWORD", "$ecret-" + "Pa55word", "value that looks like a secret"),
        ("DB_PASSWORD", "$" + "{VAULT_PASSWORD}", None),
        (PSEUDONYM_KEY, "correct horse " + "battery", "value that looks like a secret"),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D", None),
    ],
)
def test_a_setting_of_an_image_that_is_secret_is_found(
    tmp_path: Path, variable: str, value: str, kind: str | None
) -> None:
    environment = {"Env": [f"{variable}={value}"], "Labels": {}}
    image = save_image(tmp_path / "image.tar", [{"a": b""}], CONFIG | {"config": environment})
    findings = scan(image, None).findings
    assert [finding.what for finding in findings] == ([kind] if kind else [])
    assert value not in str(findings)


@pytest.mark.parametrize("name", [*UNWELCOME, *(f"{folder}/x" for folder in sorted(UNWELCOME_FOLDERS))])
def test_a_file_that_has_no_business_in_a_delivery_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bento/src" / name.replace("*", "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"anything")
    assert found(tmp_path / "bento") == {"has no business in a delivery"}


@pytest.mark.parametrize("before", [0, 5, module.CHUNK - 40, module.CHUNK - 1, module.CHUNK])
def test_a_ticket_is_found_wherever_it_begins(tmp_path: Path, before: int) -> None:
    other = "Another ticket, which is not in there but is long enough"
    (tmp_path / "data").write_bytes(b"x" * before + TICKET.encode() + b"y" * 9)
    assert found(tmp_path, Texts([other, f"  {TICKET}\n"])) == {"text of a ticket"}
    assert found(tmp_path, Texts([other, TICKET.replace("drei", "vier")])) == set()


def test_a_text_that_is_cut_or_too_short_to_mean_anything_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(TICKET.encode()[:-1] + b" good, thanks " + b"z" * 3 * LONGEST)
    assert Texts(["good, thanks"]).count == 0
    assert found(tmp_path, Texts([TICKET, "good, thanks"])) == set()
    assert found(tmp_path, Texts(["z" * 2 * LONGEST])) == {"text of a ticket"}


def test_a_table_of_tickets_gives_them_away(tmp_path: Path) -> None:
    """The prepared tickets are read, and found again in a table that was renamed."""
    texts = [f"{number}: {TICKET}" for number in range(50)]
    (tmp_path / "prepared").mkdir()
    pa.parquet.write_table(pa.table({"text": texts}), tmp_path / "prepared/train.parquet")
    tickets = read_tickets([tmp_path / "prepared"])
    assert tickets.count == 50
    (tmp_path / "bento").mkdir()
    (tmp_path / "prepared/train.parquet").rename(tmp_path / "bento/model.onnx")
    assert found(tmp_path / "bento", tickets) == {"text of a ticket"}
    with pytest.raises(TicketSentimentError, match="holds no tickets to look for"):
        read_tickets([tmp_path / "prepared"])


def test_the_product_s_own_files_are_clean(tmp_path: Path) -> None:
    """Code, settings and documentation as git has them: names of variables are no secrets."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    wanted = re.compile(r"(src|flows|deploy|scripts|docs|\.github|\.ci)/.*|[^/]+\.(yaml|toml|md)|Makefile")
    for name in filter(wanted.fullmatch, listed.stdout.split()):
        target = tmp_path / name.replace(".github", "github")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())
    result = scan(tmp_path, None)
    assert result.files > 200
    assert result.findings == ()


def test_people_read_what_was_looked_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("nothing")
    main({str(tmp_path): str(tmp_path)}, tickets=Texts([TICKET]))
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: 1 files, 0 MB, looked for secrets and 1 tickets",
        "nothing was found",
    ]
    (tmp_path / "b").write_text(TICKET)
    with pytest.raises(TicketSentimentError, match="1 things must not go out"):
        main({str(tmp_path): str(tmp_path)}, tickets=Texts([TICKET]))
    out = capsys.readouterr().out
    assert "b: text of a ticket" in out
    assert TICKET not in out


def test_what_cannot_be_looked_through_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TicketSentimentError, match="holds no file"):
        scan(tmp_path / "empty", None)
    with pytest.raises(TicketSentimentError, match="neither a folder nor a saved image"):
        scan(tmp_path / "away", None)
    (tmp_path / "image.tar").write_bytes(b"no archive")
    with pytest.raises(TicketSentimentError, match="is no saved image"):
        scan(tmp_path / "image.tar", None)
    image = save_image(tmp_path / "image.tar", [{"a": b"a"}])
    image.write_bytes(image.read_bytes().replace(b'"0.tar"', b'"7.tar"'))
    with pytest.raises(TicketSentimentError, match="is no saved image"):
        scan(image, None)


def test_a_layer_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path) -> None:
    """tarfile takes a damaged header for the end, and what comes behind would not be looked through."""
    image = save_image(tmp_path / "image.tar", [{"first": b"a" * 512, "second": b"b" * 512}])
    content = image.read_bytes()
    at = content.index(b"second")
    image.write_bytes(content[:at] + b"S" + content[at + 1 :])
    with pytest.raises(TicketSentimentError, match="is no saved image"):
        scan(image, None)


def test_an_image_that_buildah_built_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the engines that build it is the one without `save`."""
    saved = save_image(tmp_path / "saved.tar", [{"tmp/a": b"b"}])
    tool = tmp_path / "tools/buildah"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || {{ [ "$1" = push ] && to=${{4#docker-archive:}} && '
        f'cp {saved} "${{to%:x:1}}"; }}\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin")
    with opened("x:1", "buildah") as archive:
        assert scan(archive, None).files == 2
