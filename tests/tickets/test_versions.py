"""What DVC knows of the months, asked from wherever the process stands."""

import shutil

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.dvc import data_status, has_remote
from ticket_sentiment.tickets.versions import MonthVersions


@pytest.mark.parametrize("place", [".", "data", "/"])
def test_what_differs_is_seen_from_any_working_directory(run, exported, dvc, monkeypatch, place):
    run()
    (exported / "other.txt").write_text("of no month")
    dvc(exported, "add", "other.txt")
    (exported / "other.txt").unlink()
    (exported / "data/tickets/2026-02.parquet").unlink()
    (exported / "data/tickets/2026-03.parquet").write_bytes(b"another")
    shutil.copy(exported / "data/tickets/2026-01.parquet", exported / "data/tickets/2025-12.parquet")
    monkeypatch.chdir(exported if place == "." else exported / place)
    root = exported if place != "." else exported.relative_to(exported)
    seen = MonthVersions(root)._status()
    assert (seen["deleted"], seen["modified"], seen["added"]) == ({"2026-02"}, {"2026-03"}, {"2025-12"})
    assert seen["uncached"] == set()
    shutil.rmtree(exported / ".dvc/cache/files")
    assert "unlisted" in MonthVersions(root)._status()["folder"]  # the list of months lay there, too


def test_what_dvc_cannot_tell_is_one_line(run, exported):
    run()
    (exported / "data/tickets.dvc").write_text("outs: [\n")
    with pytest.raises(
        TicketSentimentError, match=r"cannot tell the state of data/tickets \(.*dvc data status"
    ) as caught:
        data_status(exported, "data/tickets")
    assert "\n" not in str(caught.value)


def test_a_default_remote_is_found_in_any_of_the_files_that_dvc_reads(repository, dvc, tmp_path):
    assert not has_remote(repository)
    dvc(repository, "remote", "add", "store", str(tmp_path / "store"))
    assert not has_remote(repository)
    dvc(repository, "config", "--local", "core.remote", "store")
    assert has_remote(repository)
    (repository / ".dvc/config").write_text("[core\n")
    assert not has_remote(repository)
