import contextlib
import json
import os
import subprocess
import sys

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import (
    exclusive,
    finite_or_none,
    read_json,
    replacing,
    replacing_folder,
    require_space,
    rounded,
    sha256_tree,
    write_json,
)


def test_figures_are_rounded_wherever_they_lie():
    assert rounded({"a": {"b": 0.000123456789}, "c": 7, "d": "0.123456789", "e": [1.23456789, (None,)]}) == {
        "a": {"b": 0.00012346}, "c": 7, "d": "0.123456789", "e": [1.2346, [None]],
    }  # fmt: skip


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_fails_leaves_the_old_folder_and_no_other(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), replacing_folder(folder) as temporary:
        (temporary / "new").touch()
        raise RuntimeError
    assert os.listdir(folder) == ["old"]
    assert os.listdir(tmp_path) == ["a"]
    with replacing_folder(folder) as temporary:
        (temporary / "new").touch()
    assert os.listdir(folder) == ["new"]


def test_json_is_the_same_bytes_for_the_same_value_and_holds_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [2.5, None]})
    write_json(tmp_path / "b.json", {"a": [2.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == json.loads('{"a": [2.5, null], "b": 1}')
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert read_json(tmp_path / "a.json")["b"] == 1
    assert finite_or_none(float("inf")) is None
    assert finite_or_none(0.5) == 0.5


def test_missing_and_broken_json_name_the_file(tmp_path):
    with pytest.raises(TicketSentimentError, match=r"no\.json is missing"):
        read_json(tmp_path / "no.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(TicketSentimentError, match=r"bad\.json is not JSON"):
        read_json(tmp_path / "bad.json")


def test_a_tree_s_hash_knows_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = sha256_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = sha256_tree(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, sha256_tree(tmp_path)}) == 3


def test_too_little_space_is_said_before_writing(tmp_path):
    require_space(tmp_path / "not/yet/there", 1)
    with pytest.raises(TicketSentimentError, match=r"no space for .*there: .* MB needed, .* MB free"):
        require_space(tmp_path / "not/yet/there", 10**18)


def test_a_lock_is_refused_while_held_and_free_after_a_kill(tmp_path):
    path = tmp_path / "lock"
    hold = (
        "import sys, time; from pathlib import Path; from ticket_sentiment.files import exclusive\n"
        f"with exclusive(Path({str(path)!r}), 'it'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TicketSentimentError, match="it is already running"), exclusive(path, "it"):
        pass
    holder.kill()
    holder.communicate()
    with exclusive(path, "it"):
        pass


def test_a_lock_is_waited_for_until_its_holder_ends(tmp_path, monkeypatch, capsys):
    path, looks = tmp_path / "lock", []
    with contextlib.ExitStack() as held:
        held.enter_context(exclusive(path, "a retraining"))

        def look_again(_):
            looks.append(1)
            if len(looks) == 3:
                held.close()

        monkeypatch.setattr("ticket_sentiment.files.time.sleep", look_again)
        with exclusive(path, "a retraining", wait_s=7200):
            assert len(looks) == 3
            with pytest.raises(TicketSentimentError, match="already running"), exclusive(path, "it"):
                pass
    captured = capsys.readouterr()
    (said,) = captured.err.splitlines()
    assert not captured.out, "which others may read"
    assert said == f"a retraining is running here ({path} is locked): waiting for its end, 2 hours at most"


def test_a_lock_that_stays_held_is_refused_after_the_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("ticket_sentiment.files.LOCK_POLL_S", 0.01)
    path = tmp_path / "lock"
    with (
        exclusive(path, "it"),
        pytest.raises(TicketSentimentError, match="it is already running"),
        exclusive(path, "it", wait_s=0.05),
    ):
        pass
