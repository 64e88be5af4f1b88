import threading

from ticket_sentiment.dvc_locks import mend_dvc_locks


def test_a_half_written_dvc_lock_goes_and_a_whole_one_stays(tmp_path):
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
