import json
import subprocess
import sys
import threading
import time

import pytest

from ticket_sentiment.dvc_locks import mend_dvc_locks
from ticket_sentiment.errors import TicketSentimentError


def test_a_dvc_that_is_at_work_is_waited_for_and_one_that_is_gone_is_not(tmp_path, capsys):
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    other = subprocess.Popen([*wait, "dvc"], stdin=subprocess.PIPE)
    another_program = subprocess.Popen(wait, stdin=subprocess.PIPE)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock = tmp_path / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    held = {
        str(pid): [{"pid": pid, "cmd": "dvc repro"}] for pid in (other.pid, gone.pid, another_program.pid)
    }
    lock.write_text(json.dumps({"read": held, "write": {"a": {"pid": gone.pid, "cmd": "dvc"}, "b": {}}}))
    ended = threading.Event()

    def end() -> None:
        time.sleep(1)
        ended.set()
        other.communicate()

    threading.Thread(target=end).start()
    mend_dvc_locks(tmp_path)
    assert ended.is_set()
    assert capsys.readouterr().out == f"waiting for another dvc here (PID {other.pid})\n"
    assert not lock.exists()  # DVC would take the other program for one of its own, and refuse for ever
    mend_dvc_locks(tmp_path)
    lock.write_text('{"read": ')
    mend_dvc_locks(tmp_path)
    assert capsys.readouterr().out == ""
    another_program.communicate()


def test_a_dvc_lock_with_both_sides_of_a_merge_stays_for_a_person(tmp_path):
    path = tmp_path / "dvc.lock"
    merged = "schema: '2.0'\nstages:\n<<<<<<< HEAD\n  a:\n=======\n  b:\n>>>>>>> other\n"
    path.write_text(merged)
    with pytest.raises(TicketSentimentError, match=r"dvc\.lock holds the two sides of a merge"):
        mend_dvc_locks(tmp_path)
    assert path.read_text() == merged


def test_a_half_written_dvc_lock_goes_and_a_whole_one_stays(tmp_path, capsys):
    path = tmp_path / "dvc.lock"
    whole = (
        "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    deps:\n    - path: b\n      hash: md5\n      md5: c\n"
    )
    path.write_text(whole)
    mend_dvc_locks(tmp_path)
    assert path.read_text() == whole
    path.write_text("")
    writer = threading.Timer(0.2, path.write_text, [whole])  # another DVC is just writing it
    writer.start()
    mend_dvc_locks(tmp_path)
    writer.join()
    assert path.read_text() == whole
    for half in ("", whole[:10], whole[:-9], whole[:60]):
        path.write_text(half)
        mend_dvc_locks(tmp_path)
        assert not path.exists(), half
        assert capsys.readouterr().out == "removed dvc.lock, which was half written: it is made anew\n"
