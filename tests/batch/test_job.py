"""Whole jobs: what comes out, how often, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.batch.jobs import Jobs, content, tickets, write
from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.batch import code, job
from ticket_sentiment.batch.job import Model
from ticket_sentiment.batch.runners import LocalRunner
from ticket_sentiment.batch.scorer import unpack
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import exclusive, sha256_file

MIXED = [
    {
        "ticket_id": "1",
        "customer_id": "c",
        "text": "Hello team, it is great and fast. Kind regards, Anna Smith",
    },
    {"ticket_id": "2", "customer_id": None, "text": "terrible, call +49 30 1234567 &amp; refund a@b.example"},
    {"ticket_id": "3", "customer_id": "c", "text": "  "},
    {"ticket_id": None, "customer_id": "c", "text": "CANARY without an id"},
    {"ticket_id": "5", "customer_id": "d", "text": "CANARY" * 4000},
    {"ticket_id": "6", "customer_id": "d", "text": "qwertz"},
    {"ticket_id": "6", "customer_id": "d", "text": "qwertz"},
    {"ticket_id": "8", "customer_id": "e", "text": "\u200bthe \U0001f600 invoice was slow\nbut best"},
]


def test_the_answers_are_the_service_s(jobs: Jobs):
    write_params(jobs.root)
    source = write(jobs.root / "in.jsonl", MIXED)
    jobs.score(source)
    answers = iter(jobs.answers())
    environment = {"TICKET_SENTIMENT_BUNDLE": str(jobs.bundle.path)}
    with Server(SERVICE, jobs.root / "log", jobs.root, **environment) as server:
        server.wait_until_ready()
        for number, ticket in enumerate(MIXED, 1):
            said = httpx.post(
                f"{server.url}/v1/classify", json={"ticket_id": ticket["ticket_id"], "text": ticket["text"]}
            )
            if said.status_code != 200:
                assert str(number) in [row for _, row, _ in jobs.rejects()]
            elif ticket["ticket_id"]:  # without one there is nothing to join an answer with
                ours, theirs = next(answers), said.json()
                assert {name: ours[f"p_{name}"] for name in theirs["probabilities"]} == theirs[
                    "probabilities"
                ]
                for name in ("ticket_id", "label", "confidence", "abstain", "bundle_digest"):
                    assert ours[name] == theirs[name]
    assert next(answers, None) is None


def test_rejects_say_where_and_why_and_nothing_holds_the_text(jobs: Jobs):
    source = write(jobs.root / "in.jsonl", MIXED)
    with source.open("ab") as stream:
        stream.write(b'["CANARY"]\n{"ticket_id": "10", "text": {"CANARY": 1}}\n{"text": "\xff"}\n')
    summary = jobs.score(source)
    assert jobs.rejects() == [
        ["in.jsonl", "3", "text is empty"],
        ["in.jsonl", "4", "ticket_id is empty"],
        ["in.jsonl", "5", "text has 24000 characters, more than 20000"],
        ["in.jsonl", "9", "is no JSON object"],
        ["in.jsonl", "10", "text is not text"],
        ["in.jsonl", "11", "is no JSON object"],
    ]
    assert (summary.manifest["rows"], summary.manifest["rejects"]) == (5, 6)
    for path in (jobs.root / "out").iterdir():
        assert b"CANARY" not in path.read_bytes()
    assert "CANARY" not in "".join(summary.lines())
    assert set(jobs.answers()[0]) == {
        "ticket_id", "customer_id", "label", "p_negative", "p_neutral", "p_positive", "confidence", "abstain",
        "model_version", "bundle_digest",
    }  # fmt: skip


def test_only_the_row_is_bad_whose_text_is_in_another_encoding(jobs: Jobs):
    (jobs.root / "in.csv").write_bytes(b"ticket_id,text\n1,great\n2,gr\xfcn\n3\n4,slow\n")
    jobs.score(jobs.root / "in.csv")
    assert [answer["ticket_id"] for answer in jobs.answers()] == ["1", "4"]
    assert jobs.rejects() == [
        ["in.csv", "3", "text is not in the file's encoding"],
        ["in.csv", "4", "has 1 fields, the header has 2"],
    ]


def test_a_row_that_is_wrong_in_two_ways_stops_no_job(jobs: Jobs):
    rows = b"1,great\n2,gr\xfcn\n3,fine,extra\xfc\n4,slow\n\xfc\n"
    (jobs.root / "in.csv").write_bytes(b"ticket_id,text\n" + rows)
    summary = jobs.score(jobs.root / "in.csv")
    assert [answer["ticket_id"] for answer in jobs.answers()] == ["1", "4"]
    assert jobs.rejects() == [
        ["in.csv", "3", "text is not in the file's encoding"],
        ["in.csv", "4", "has 3 fields, the header has 2"],
        ["in.csv", "6", "has 1 fields, the header has 2"],
    ]
    assert (summary.manifest["rows"], summary.manifest["rejects"]) == (2, 3)


def test_every_kind_of_file_gives_the_same_answers(jobs: Jobs):
    rows = [{**row, "ticket_id": number} for number, row in enumerate(tickets(6))]  # numbers, as many exports
    for kind in ("csv", "jsonl", "parquet"):
        jobs.score(write(jobs.root / f"in.{kind}", rows), kind, changes={"texts_at_once": 4})
    assert jobs.answers("csv") == jobs.answers("jsonl") == jobs.answers("parquet")
    assert [answer["ticket_id"] for answer in jobs.answers("csv")] == [str(number) for number in range(6)]


def test_a_finished_job_is_not_done_again_and_what_is_lost_is_made_anew(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(10))
    assert jobs.score(source).scored == 10
    first = content(jobs.root / "out")
    again = jobs.score(source)
    assert again.scored == 0
    assert again.lines()[-1] == "all of it was there already"
    (jobs.root / "out/part-000001.parquet").write_bytes(b"PAR1")
    (jobs.root / "out/part-000002.parquet").unlink()
    assert jobs.score(source).scored == 6
    assert content(jobs.root / "out") == first


def damage(path: Path, column: str) -> None:
    """The last bytes of a column's values."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    (found,) = [one for one in columns if one.path_in_schema == column]
    end = (found.dictionary_page_offset or found.data_page_offset) + found.total_compressed_size
    content = bytearray(path.read_bytes())
    content[end - 4 : end] = bytes(255 - byte for byte in content[end - 4 : end])
    path.write_bytes(content)


@pytest.mark.parametrize("column", ["p_neutral", "label", "ticket_id", "abstain"])
def test_a_part_that_was_damaged_before_the_end_is_made_anew(jobs: Jobs, column: str):
    source = write(jobs.root / "in.csv", tickets(60))
    jobs.score(source, changes={"chunk_rows": 20})
    whole = content(jobs.root / "out")
    (jobs.root / "out/_manifest.json").unlink()  # as if it had been killed before
    damage(jobs.root / "out/part-000001.parquet", column)
    assert jobs.score(source, changes={"chunk_rows": 20}).scored == 20
    assert content(jobs.root / "out") == whole


def test_a_damaged_manifest_is_made_anew_and_a_damaged_job_is_another_s(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(10))
    jobs.score(source)
    whole = content(jobs.root / "out")
    (jobs.root / "out/_manifest.json").write_text("{")
    assert jobs.score(source).scored == 0
    assert content(jobs.root / "out") == whole
    (jobs.root / "out/_job.json").write_text("{")
    with pytest.raises(
        TicketSentimentError, match=r"_job\.json is damaged; name another folder, or .*--replace"
    ):
        jobs.score(source)
    assert jobs.score(source, replace=True).scored == 10
    assert content(jobs.root / "out") == whole


def test_answers_that_a_glob_reaches_are_no_input(jobs: Jobs):
    exports = jobs.root / "exports"
    exports.mkdir()
    write(exports / "in.parquet", tickets(10))
    for _ in range(2):
        assert jobs.score(f"{exports}/**/*.parquet", "exports/scores").manifest["rows"] == 10
    assert jobs.score(f"{exports}/**/*", "exports/scores").scored == 0


def test_outputs_of_two_jobs_are_never_mixed(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(10))
    jobs.score(source)
    (jobs.root / "out/part-000001.parquet").unlink()
    before = content(jobs.root / "out")
    other = Model(make_tiny_bundle(jobs.root / "other", seed=1), "4")
    for options, named in (
        ({"model": other}, "the model is another"),
        ({"model": Model(jobs.bundle, "4")}, "the model is another"),
        ({"changes": {"chunk_rows": 5}}, "chunk_rows is set otherwise"),
        ({"columns": {"text": "customer_id"}}, "columns is set otherwise"),
    ):
        with pytest.raises(TicketSentimentError, match=f"output of another job: {named}"):
            jobs.score(source, **options)
    write(source, tickets(11))
    with pytest.raises(TicketSentimentError, match=r"the input is another \(in\.csv\)"):
        jobs.score(source)
    assert content(jobs.root / "out") == before
    jobs.score(source, replace=True, model=other)
    jobs.score(source, "fresh", model=other)
    assert content(jobs.root / "out") == content(jobs.root / "fresh")


@pytest.mark.parametrize(
    "name", ["source.py", "csv_check.py", "json_lines.py", "formats.py", "scorer.py", "output.py"]
)
def test_code_that_cuts_answers_or_writes_otherwise_does_not_go_on(jobs: Jobs, monkeypatch, name: str):
    source = write(jobs.root / "in.csv", tickets(10))
    jobs.score(source)

    def changed(path: Path) -> str:
        return "0" * 64 if path.name == name else sha256_file(path)

    monkeypatch.setattr(code, "sha256_file", changed)
    monkeypatch.setattr(job, "code_digest", code.code_digest.__wrapped__)
    with pytest.raises(TicketSentimentError, match="output of another job: the product's code"):
        jobs.score(source)


def test_a_part_of_another_job_is_not_taken_for_one_s_own(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(10))
    jobs.score(source)
    jobs.score(source, "other", model=Model(make_tiny_bundle(jobs.root / "bundle", seed=1), "4"))
    first = content(jobs.root / "out")
    (jobs.root / "out/_manifest.json").unlink()
    (jobs.root / "other/part-000001.parquet").replace(jobs.root / "out/part-000001.parquet")
    assert jobs.score(source).scored == 4
    assert content(jobs.root / "out") == first


def test_a_folder_that_is_none_of_ours_is_refused(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(1))
    (jobs.root / "out").mkdir()
    (jobs.root / "out/thesis.txt").write_text("years of work")
    with pytest.raises(TicketSentimentError, match=r"out holds thesis\.txt, which no job has made"):
        jobs.score(source, replace=True)
    with pytest.raises(TicketSentimentError, match="lies in the input"):
        jobs.score(jobs.root)
    with (
        exclusive(jobs.root / "out/_lock", "a job"),
        pytest.raises(TicketSentimentError, match="already run"),
    ):
        jobs.score(source)


def test_a_worker_gets_its_next_chunk_when_the_answers_before_are_written(jobs: Jobs, monkeypatch):
    """So that a kill costs at most one chunk a worker."""
    seen: list[int] = []

    class Watched(LocalRunner):
        last: dict[int, int]

        def score(self, lane: int, packed: bytes) -> bytes:
            self.last = getattr(self, "last", {})
            if lane in self.last:
                assert (jobs.root / f"out/part-{self.last[lane]:06d}.parquet").exists()
            self.last[lane] = (unpack(packed)["row"][0].as_py() - 2) // 4
            seen.append(self.last[lane])
            return super().score(lane, packed)

    monkeypatch.setattr(job, "LocalRunner", Watched)
    jobs.score(write(jobs.root / "in.csv", tickets(40)), changes={"workers": 2})
    assert sorted(seen) == list(range(10))


def test_a_worker_that_is_killed_ends_the_job_and_the_rest_is_kept(jobs: Jobs, monkeypatch):
    class Killed(LocalRunner):
        def score(self, lane: int, packed: bytes) -> bytes:
            if unpack(packed)["row"][0].as_py() > 10:
                os.kill(self.pids[lane], signal.SIGKILL)
            return super().score(lane, packed)

    source = write(jobs.root / "in.csv", tickets(20))
    with monkeypatch.context() as patch:
        patch.setattr(job, "LocalRunner", Killed)
        with pytest.raises(TicketSentimentError, match="a scoring process ended with status -9"):
            jobs.score(source)
    assert jobs.score(source).scored == 8
    jobs.score(source, "fresh")
    assert content(jobs.root / "out") == content(jobs.root / "fresh")


def start(jobs: Jobs) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "ticket_sentiment.cli",
        "score",
        "in.csv",
        "out",
        "--bundle",
        str(jobs.bundle.path),
    ]
    return subprocess.Popen(command, cwd=jobs.root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def parts(out: Path) -> int:
    return len(list(out.glob("part-*.parquet")))


def interrupt(jobs: Jobs, number: int, more: int) -> str:
    """Start the job, wait for `more` parts than there are, send the signal; what it said then."""
    out = jobs.root / "out"
    before, until, process = parts(out), time.monotonic() + 60, start(jobs)
    while parts(out) < before + more:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert parts(out) < 150 and not (out / "_manifest.json").exists()
    return said


def test_killed_or_told_to_stop_and_run_again_ends_as_if_undisturbed(jobs: Jobs):
    write(jobs.root / "in.csv", tickets(3000))
    write_params(jobs.root, batch={"chunk_rows": 20, "workers": 2})
    interrupt(jobs, signal.SIGKILL, 3)
    said = interrupt(jobs, signal.SIGTERM, 3)
    done = parts(jobs.root / "out")
    assert said.splitlines()[-1].startswith(f"error: stopped: {done * 20:,} of 3,000 tickets")
    process = start(jobs)
    printed, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert "3,000 tickets scored by bundle" in printed
    model = Model(jobs.bundle, None)
    jobs.score(jobs.root / "in.csv", "fresh", model=model, changes={"chunk_rows": 20})
    assert content(jobs.root / "out") == content(jobs.root / "fresh")


def test_killed_while_it_binds_the_folder_and_run_again_it_goes_on(jobs: Jobs):
    source = write(jobs.root / "in.csv", tickets(8))
    program = (
        "import os, signal, sys; from pathlib import Path; from ticket_sentiment.batch.output import Output;"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "Output(Path(sys.argv[1]), {'model': None}).open()"
    )
    out = jobs.root / "out"
    out.mkdir()
    assert subprocess.run([sys.executable, "-c", program, out]).returncode == -signal.SIGKILL
    (left,) = [path.name for path in out.iterdir()]
    assert left.startswith("._job.json.")
    assert jobs.score(source).scored == 8
    assert left not in content(out)


def test_a_folder_that_is_no_output_loses_nothing(jobs: Jobs):
    out = jobs.root / "out"
    out.mkdir()
    for name in (".part-000000.parquet.crc", "mine.txt"):
        (out / name).write_text("mine")
    with pytest.raises(TicketSentimentError, match=r"holds mine\.txt, which no job has made"):
        jobs.score(write(jobs.root / "in.csv", tickets(1)))
    assert {path.name for path in out.iterdir()} >= {".part-000000.parquet.crc", "mine.txt"}


@pytest.mark.parametrize("out", ["s3://bucket/scores", "https://example.com/scores"])
def test_an_output_that_is_an_address_is_refused_before_the_first_ticket(jobs: Jobs, monkeypatch, out):
    source = write(jobs.root / "in.csv", tickets(3))
    monkeypatch.chdir(jobs.root)
    with pytest.raises(TicketSentimentError, match="is an address: the output is a folder of this machine"):
        job.score_files(jobs.params(), str(source), Path(out), Model(jobs.bundle, "3"), tell=print)
    assert sorted(path.name for path in jobs.root.iterdir()) == ["in.csv"]


def test_a_folder_with_a_colon_is_a_folder(jobs: Jobs, monkeypatch):
    source = write(jobs.root / "in.csv", tickets(3))
    monkeypatch.chdir(jobs.root)
    for scored in (3, 0):
        done = job.score_files(jobs.params(), str(source), Path("out:1"), Model(jobs.bundle, "3"), tell=print)
        assert (done.manifest["rows"], done.scored) == (3, scored)


def test_a_job_without_a_ticket_says_no_more_than_that(jobs: Jobs):
    (jobs.root / "in.csv").write_text("ticket_id,text")
    assert jobs.score(jobs.root / "in.csv").lines() == [
        f"0 tickets scored by version 3 {jobs.bundle.digest[:12]} in {jobs.root / 'out'}"
    ]
