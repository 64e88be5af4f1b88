import importlib.metadata
import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.saved_image import save_image
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.supply.sbom import bill_of_materials, main

SITE = "app/.venv/lib/python3.11/site-packages"
OS = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
STATUS = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 3.0.17-1~deb12u2
Description: a library
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""
BUNDLE = {
    "files": {"model.onnx": "a" * 64}, "base_model": "mini", "precision": "int8", "training_data": "b" * 64,
}  # fmt: skip
LAYERS = [
    {
        "usr/lib/os-release": OS,
        "var/lib/dpkg/status": STATUS,
        f"{SITE}/old_one-1.0.dist-info/METADATA": b"Name: old-one\nVersion: 1.0\n\n",
        f"{SITE}/dir/pip-1.0.dist-info/METADATA": b"Name: vendored\nVersion: 1\n\n",
    },
    {
        f"{SITE}/old_one-1.0.dist-info/.wh.METADATA": b"",
        f"{SITE}/new_one-2.0.dist-info/METADATA": b"Name: New_One\nVersion: 2.0\nLicense-Expression: MIT\n\n",
        "home/bentoml/bento/src/bundle/bundle.json": json.dumps(BUNDLE).encode(),
    },
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_image(tmp_path / "image.tar", LAYERS)


def test_it_names_what_a_container_would_find(image: Path) -> None:
    bom = json.loads(bill_of_materials(image, "ticket-sentiment:v3-abc-cpu"))
    found = {component["bom-ref"]: component for component in bom["components"]}
    debian = "pkg:deb/debian/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=debian-12"
    model = "model:home/bentoml/bento/src/bundle/bundle.json"
    assert set(found) == {"pkg:pypi/new-one@2.0", debian, model}
    assert found["pkg:pypi/new-one@2.0"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found[model]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert bom["metadata"]["component"]["name"] == "ticket-sentiment"
    assert bom["metadata"]["component"]["version"] == "3"


def test_it_is_valid_against_the_official_schema_and_a_change_is_not(image: Path) -> None:
    validator, text = JsonStrictValidator(SchemaVersion.V1_6), bill_of_materials(image, "x:1")
    assert validator.validate_str(text) is None
    broken = json.loads(text)
    broken["components"][0]["type"] = "thing"
    assert validator.validate_str(json.dumps(broken)) is not None


def test_the_same_image_gives_the_same_bytes(image: Path) -> None:
    assert bill_of_materials(image, "x:1") == bill_of_materials(image, "x:1")


def test_packages_of_ubuntu_are_ubuntu_s(tmp_path: Path) -> None:
    """With Debian's name a scanner would find no advisory of theirs."""
    system = {"usr/lib/os-release": b'ID=ubuntu\nVERSION_ID="24.04"\n', "var/lib/dpkg/status": STATUS}
    bom = json.loads(bill_of_materials(save_image(tmp_path / "image.tar", [system]), "x:1"))
    purl = "pkg:deb/ubuntu/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=ubuntu-24.04"
    assert [component["purl"] for component in bom["components"]] == [purl]


def test_a_whiteout_deletes_nothing_of_its_own_layer(tmp_path: Path) -> None:
    package = b"Name: {}\nVersion: 1\n\n"
    old, new = (
        {f"{SITE}/{name}-1.dist-info/METADATA": package.replace(b"{}", name.encode())}
        for name in ("old", "new")
    )
    image = save_image(tmp_path / "image.tar", [old, {**new, f"{SITE}/.wh..wh..opq": b""}])
    bom = json.loads(bill_of_materials(image, "x:1"))
    assert [component["name"] for component in bom["components"]] == ["new"]


def test_real_metadata_is_read(tmp_path: Path) -> None:
    """Of packages as they are installed here, some with no licence, some with a text in its place."""
    names = ("numpy", "pydantic", "bentoml", "onnxruntime", "pyyaml", "cffi")
    files = {}
    for name in names:
        distribution = importlib.metadata.distribution(name)
        files[f"{SITE}/{name}-1.dist-info/METADATA"] = distribution.read_text("METADATA").encode()
    text = bill_of_materials(save_image(tmp_path / "image.tar", [files]), "x:1")
    assert {component["purl"] for component in json.loads(text)["components"]} == {
        f"pkg:pypi/{name}@{importlib.metadata.version(name)}" for name in names
    }
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_an_empty_bill_is_none(tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = save_image(tmp_path / "empty.tar", [{"etc/hosts": b""}])
    with pytest.raises(TicketSentimentError, match="neither Python's nor Debian's packages"):
        bill_of_materials(empty, "x:1")
    with pytest.raises(TicketSentimentError, match="is a folder"):
        main(str(tmp_path), tmp_path / "out.json")
    main(str(image), tmp_path / "out.json")
    assert "3 components" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["bomFormat"] == "CycloneDX"
