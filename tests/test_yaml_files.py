from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.yaml_files import read_yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def read(tmp_path):
    def of(text: str):
        path = tmp_path / "some.yaml"
        path.write_text(text)
        return read_yaml(path, "see the manual")

    return of


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("1e-4", 1e-4),
        ("1e5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("1_000", 1000),
        ("12:30", "12:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
    ],
)
def test_words_mean_what_dvc_reads(read, written, value):
    text = f"key: {written}\n"
    assert read(text) == {"key": value} == YAML(typ="safe").load(text)
    assert type(read(text)["key"]) is type(value)


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "data/behaviour.yaml", "data/expectations.yaml"])
def test_files_of_the_repository_mean_what_dvc_reads(name):
    assert read_yaml(ROOT / name) == YAML(typ="safe").load((ROOT / name).read_text())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "line 5: the key c is in line 3"),
        ("{a: 1, a: 1}", "line 1: the"),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_file_and_line(read, text, line):
    with pytest.raises(TicketSentimentError, match=rf"some\.yaml {line}.*: keep one of them"):
        read(text)


def test_a_merged_mapping_may_be_changed(read):
    assert read("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("text", ["a: [1,\n", "a: b: c", "\0"])
def test_what_is_no_yaml_is_named_in_one_line(read, text):
    with pytest.raises(
        TicketSentimentError, match=r"^[^\n]*some\.yaml is not valid YAML: .*: see the manual"
    ):
        read(text)
