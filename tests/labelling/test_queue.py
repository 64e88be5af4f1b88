import csv
import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.events.events import NOON, OTHER, change, feedback, prediction, state
from tests.support.evidence import validation
from tests.support.params import params_file
from ticket_sentiment.cli import main as cli
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.feedback.database import NoEventDatabase
from ticket_sentiment.files import write_json
from ticket_sentiment.gates.evidence import VALIDATION
from ticket_sentiment.labelling.formats import escaped, unescaped, write_queue
from ticket_sentiment.labelling.queue import LEARNT, make_queue
from ticket_sentiment.tickets.schema import (
    COLUMNS,
    FEEDBACK,
    FEEDBACK_SCHEMA,
    FEEDBACK_TABLE,
    TICKETS,
    write_month,
    write_tickets,
)

VARIABLE = "TICKET_SENTIMENT_EVENTS_URL"
NOW = NOON + timedelta(days=1)


@pytest.fixture
def settings(params):
    """Half of all tickets are audited: with few tickets each reason has some."""
    labelling = params.labelling.model_copy(update={"count": 20})
    rollout = params.rollout.model_copy(update={"audit_share": 0.5})
    return params.model_copy(update={"labelling": labelling, "rollout": rollout})


@pytest.fixture
def make(url, settings, tmp_path):
    def run(labelling=None, audit_share=0.5, **options):
        rollout = settings.rollout.model_copy(update={"audit_share": audit_share})
        chosen = settings.model_copy(
            update={"labelling": labelling or settings.labelling, "rollout": rollout}
        )
        return make_queue(chosen, root=tmp_path, now=NOW, environ={VARIABLE: url}, **options)

    return run


def tickets(*rows: tuple[str, str | None]) -> pd.DataFrame:
    """Collected tickets: id and label."""
    made = [(id_, None, NOON, "chat", f"collected {id_}", label, label and "import") for id_, label in rows]
    return pd.DataFrame(made, columns=list(COLUMNS)).astype({"created_at": "datetime64[us, UTC]"})


def test_each_ticket_answered_lately_is_there_once_with_its_text(make, answered):
    for number in range(10):
        answered(f"T-{number}")
        answered(f"T-{number}", minutes=1)
    answered("old", minutes=-60 * 24 * 40)
    queue = make()
    assert sorted(row.ticket_id for row in queue.rows) == [f"T-{number}" for number in range(10)]
    assert {row.text for row in queue.rows} == {f"text of T-{number}" for number in range(10)}
    assert {row.answered_at for row in queue.rows} == {NOON + timedelta(minutes=1)}
    assert all((row.probability is not None) == (row.why == "audit") for row in queue.rows)
    assert len(make(since_days=60).rows) == 11
    assert len(make(count=4).rows) <= 4


def test_the_margin_and_the_disagreement_are_those_of_the_last_answer(make, answered, settings):
    """`sure` was unsure before; the arms disagree on one request of `split`, and on none of `agreed`."""
    answered("sure", p=(0.34, 0.33, 0.33))
    answered("sure", p=(0.01, 0.01, 0.98), minutes=1)
    answered("doubt", p=(0.34, 0.33, 0.33))
    for name, p in (("split", (0.8, 0.1, 0.1)), ("agreed", (0.1, 0.1, 0.8))):
        answered(name, p=(0.0, 0.1, 0.9))
        answered(name, p=p, shadow=True, arm="champion", bundle_digest=OTHER)
    answered("later", p=(0.0, 0.1, 0.9))
    answered("later", p=(0.8, 0.1, 0.1), shadow=True, request_id="another")
    quotas = settings.labelling.quotas.model_copy(update={"disagreement": 0.5})
    chosen = make(settings.labelling.model_copy(update={"quotas": quotas}), audit_share=1e-12, count=2)
    assert {row.ticket_id: row.why for row in chosen.rows} == {"split": "disagreement", "doubt": "uncertain"}


def test_labelled_tickets_are_left_out_wherever_the_label_is(make, answered, store, tmp_path):
    for name in ("open", "said", "exported", "merged", "bare"):
        answered(name, text=None if name == "bare" else f"text of {name}")
    store.feedback(feedback("1", ticket_id="said", at=NOON))
    write_tickets(
        tmp_path / TICKETS / "2026-11.parquet",
        tickets(("open", None), ("exported", "neutral"), ("merged", None)),
    )
    said = pd.DataFrame([("merged", "neutral", NOON, NOON, "agent", "1", None, None, None)])
    said.columns = FEEDBACK_SCHEMA.names
    write_month(tmp_path / FEEDBACK / "2026-11.parquet", said, FEEDBACK_TABLE)
    queue = make(audit_share=1e-12)
    (row,) = queue.rows
    assert (row.ticket_id, row.text, row.channel) == ("open", "collected open", "chat")
    assert (queue.labelled, queue.without_text) == (3, 1)
    assert "3 labelled already, 1 without text here" in "\n".join(queue.lines(Path("q.csv")))


def test_a_text_that_many_send_is_asked_for_once_but_in_the_audit(make, answered):
    """Its answers are alike, too: where the model is unsure of it, it would be all of the queue."""
    for number in range(10):
        answered(f"T-{number}", p=(0.34, 0.33, 0.33), text=f"Hi, any news{'?' * number}")
    answered("other", p=(0.0, 0.1, 0.9))
    queue = make(audit_share=1e-12, count=5)
    assert sorted(row.text[:8] for row in queue.rows) == ["Hi, any ", "text of "]
    assert queue.repeated == 9
    assert "9 with the text of another" in "\n".join(queue.lines(Path("q.csv")))
    assert make(audit_share=1.0, count=100).waiting + len(make(audit_share=1.0, count=100).rows) == 11


def test_a_ticket_of_the_audit_is_asked_for_until_the_audit_has_labelled_it(make, answered, store, tmp_path):
    """Agents and customers speak up where the answer was wrong: without it the audit would be no draw."""
    for name in ("agent's", "audit's", "exported", "merged"):
        answered(name)
    store.feedback(feedback("1", ticket_id="agent's", at=NOON))
    store.feedback(feedback("2", ticket_id="audit's", at=NOON, source="audit"))
    write_tickets(
        tmp_path / TICKETS / "2026-11.parquet", tickets(("exported", "neutral"), ("merged", "neutral"))
    )
    said = pd.DataFrame([("merged", "neutral", NOON, NOON, "audit", "1", None, None, None)])
    said.columns = FEEDBACK_SCHEMA.names
    write_month(tmp_path / FEEDBACK / "2026-11.parquet", said, FEEDBACK_TABLE)
    report = validation("a" * 64)
    report["label_noise"]["suspects"] = [{"ticket_id": "exported"}]
    write_json(tmp_path / VALIDATION, report)
    queue = make(audit_share=1.0, count=100)
    assert {row.ticket_id: row.why for row in queue.rows} == {"agent's": "audit", "exported": "audit"}
    assert (queue.labelled, queue.waiting) == (2, 0)


def test_a_ticket_that_a_hotfix_corrected_is_asked_for_all_the_same(
    make, answered, store, settings, tmp_path
):
    """Else the audit would lack those that the champion gets wrong: a rollout does not count corrections."""
    source = settings.hotfix.source
    for name in ("stored", "merged"):
        answered(name)
    store.feedback(feedback("1", ticket_id="stored", at=NOON, source=source))
    write_tickets(tmp_path / TICKETS / "2026-11.parquet", tickets(("merged", None)))
    said = pd.DataFrame([("merged", "neutral", NOON, NOON, source, "1", None, None, None)])
    said.columns = FEEDBACK_SCHEMA.names
    write_month(tmp_path / FEEDBACK / "2026-11.parquet", said, FEEDBACK_TABLE)
    assert sorted(row.ticket_id for row in make().rows) == ["merged", "stored"]


def test_nothing_to_label_is_an_error_that_says_why(make, answered):
    answered("bare", text=None)
    with pytest.raises(
        TicketSentimentError, match=r"of 1 tickets .* 0 have a label and 1 no text here.*--since"
    ):
        make()


def test_no_database_is_an_error_and_none_is_made(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoEventDatabase, match="no event database yet"):
        make_queue(settings, root=tmp_path, environ={})
    assert not (tmp_path / "var").exists()


def test_an_audit_that_has_no_place_is_said(make, answered):
    for number in range(60):
        answered(f"T-{number}")
    queue = make(count=10)
    assert queue.waiting > 10
    assert f"{queue.waiting} more audited tickets wait" in "\n".join(queue.lines(Path("q.csv")))
    assert make(count=2000).waiting == 0


def test_tickets_unlike_the_learnt_ones_are_chosen(make, store, settings, tmp_path):
    """With the text of the database for some and that of the collected tickets for others."""
    learnt = tickets(*((f"L-{number}", "neutral") for number in range(150)))
    usual = ["the order came late and the printer is broken", "thanks for the quick refund of my order"]
    learnt["text"] = [f"{usual[number % 2]} {number}" for number in range(150)]
    write_tickets(tmp_path / LEARNT, learnt)
    for number in range(150):
        text = "zorp blix 12345 quux ??? flarn" * 5 if number < 5 else usual[number % 2]
        store.predicted(prediction(ticket_id=f"T-{number}", at=NOON, shadow=False, text=f"{text} {number}"))
    assert store.flush(10)
    quotas = settings.labelling.quotas.model_copy(update={"audit": 0.0, "disagreement": 0.0, "drifted": 1.0})
    few = settings.labelling.model_copy(update={"quotas": quotas})
    queue = make(few, audit_share=1e-12, count=5)
    assert queue.compared
    assert {row.ticket_id for row in queue.rows} == {f"T-{number}" for number in range(5)}
    assert {row.why for row in queue.rows} == {"drifted"}
    drawn = make(few.model_copy(update={"drift_rows": 100}), audit_share=1e-12, count=150)
    assert sum(row.why == "drifted" for row in drawn.rows) == 100
    (tmp_path / LEARNT).unlink()
    assert not make(few, count=5).compared


def test_labels_that_seem_wrong_are_asked_for_again_until_somebody_gave_one(make, answered, store, tmp_path):
    names = [f"C-{number}" for number in range(4)]
    write_tickets(tmp_path / TICKETS / "2026-10.parquet", tickets(*((name, "neutral") for name in names)))
    report = validation("a" * 64)
    report["label_noise"]["suspects"] = [{"ticket_id": name} for name in (*names, "gone")]
    write_json(tmp_path / VALIDATION, report)
    answered("T-1")
    store.feedback(feedback("1", ticket_id="C-0", at=NOON))
    queue = make(audit_share=1e-12)
    doubted = {row.ticket_id: row for row in queue.rows if row.why == "doubted"}
    assert sorted(doubted) == ["C-1", "C-2"]  # a tenth of twenty; C-3 waits
    assert doubted["C-1"].text == "collected C-1" and doubted["C-1"].answered_at is None
    assert not [row for row in make(audit_share=1.0).rows if row.why == "doubted"], (
        "the audit is a random draw"
    )
    write_queue(tmp_path / "queue.csv", queue.rows)
    (tmp_path / VALIDATION).write_text("{}")
    with pytest.raises(TicketSentimentError, match="dvc repro -f -s validate"):
        make()


def test_equal_data_give_an_equal_queue(make, answered):
    for number in range(80):
        answered(f"T-{number}")
    assert make(count=30) == make(count=30)


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+49 30",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "Der Router ist tot;=HYPERLINK(A1);danke",
        'a; "=1";\'=2;\t@x',
        "''=1",
        "＝1",
        "plain",
        "'plain",
        "it's",
        "'",
        "",
    ],
)
def test_no_cell_is_a_formula_and_all_come_back(cell):
    safe = escaped(cell)
    for part in re.split(r"[;\t] *\"?", f";{safe}")[1:]:  # as most spreadsheets of Europe cut it
        assert not part.startswith(("=", "+", "-", "@", "\r", "＝"))
    assert not safe.startswith("\t")
    assert unescaped(safe) == cell


def test_the_spreadsheet_has_what_a_person_needs_and_runs_nothing(make, answered, tmp_path):
    answered("=HYPERLINK(1)", text='=cmd|"/c calc"!A1\u2028, and "quotes",\nlines')
    out = tmp_path / "queue.csv"
    write_queue(out, make().rows)
    assert out.read_bytes().startswith(b"\xef\xbb\xbfticket_id,text,channel,label,labelled_at,why,")
    with out.open(encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["ticket_id"] == "'=HYPERLINK(1)"
    assert row["text"].startswith("'=cmd|")
    assert (row["label"], row["labelled_at"]) == ("", "")
    assert "customer" not in out.read_text(encoding="utf-8-sig") and "positive" not in out.read_text(
        "utf-8-sig"
    )


def test_label_studio_gets_a_list_of_tasks(make, answered, tmp_path):
    answered("T-1", text="call 555-123-4567")
    write_queue(tmp_path / "queue.json", make().rows)
    (task,) = json.loads((tmp_path / "queue.json").read_text())
    assert set(task) == {"data"}
    assert set(task["data"]) == {"ticket_id", "text", "channel", "why", "probability", "answered_at"}
    assert task["data"]["text"] == "call [PHONE]"


def test_the_command_writes_a_new_file_and_shows_no_text(url, store, tmp_path, monkeypatch, capsys, caplog):
    store.predicted(prediction(ticket_id="canary-id", at=datetime.now(UTC), shadow=False, text="canary text"))
    assert store.flush(10)
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, url)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    assert cli(["label-queue", "--out", "queue.csv", "--count", "5", "--since", "2"]) == 0
    assert "canary text" in (tmp_path / "queue.csv").read_text("utf-8-sig")
    printed = capsys.readouterr().out
    assert printed.startswith("queue.csv: 1 tickets (1 ")
    assert "canary" not in printed + caplog.text
    assert cli(["label-queue", "--out", "queue.csv"]) == 2
    assert "queue.csv is there already, and people's labels may be in it" in capsys.readouterr().err
    assert cli(["label-queue", "--out", "queue.xlsx"]) == 2
    assert ".csv (spreadsheet) or .json (Label Studio)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli(["label-queue", "--out", "q.csv", "--count", "0"])


def test_a_database_without_answers_is_an_error(make, store):
    with pytest.raises(
        TicketSentimentError, match="of 0 tickets answered in the last 30 days 0 have a label"
    ):
        make()


def test_a_ticket_that_was_answered_with_several_texts_is_not_asked_for(make, answered):
    """A label of the second text would be held against the first answer, or learnt with the other text."""
    for number in range(12):
        answered(f"T-{number}", text=f"it is broken {number}")
        answered(f"T-{number}", minutes=5, text=f"thanks, solved {number}", request_id="again")
        answered(f"S-{number}", text=f"Same, {number}")
        answered(f"S-{number}", minutes=5, text=f"same, {number}", request_id="again")
    queue = make()
    assert {row.ticket_id for row in queue.rows} == {f"S-{number}" for number in range(12)}
    assert queue.rewritten == 12
    assert "left out: 12 that were answered with several texts" in "\n".join(queue.lines(Path("queue.csv")))


def test_a_text_that_others_sent_is_asked_for_once_without_the_rewritten_ticket(make, answered):
    answered("T-0", p=(0.34, 0.33, 0.33), text="Any news?")
    answered("T-0", p=(0.34, 0.33, 0.33), minutes=5, text="It is broken", request_id="again")
    answered("T-1", p=(0.1, 0.4, 0.5), text="It is broken!")
    queue = make(audit_share=1e-12)
    assert [row.ticket_id for row in queue.rows] == ["T-1"]
    assert (queue.rewritten, queue.repeated) == (1, 0)


def test_where_all_were_answered_with_several_texts_that_is_said(make, answered):
    answered("T-0")
    answered("T-0", minutes=5, text="thanks", request_id="again")
    with pytest.raises(TicketSentimentError, match="and 1 were answered with several texts under one id"):
        make()


def test_in_a_rollout_the_audit_asks_first_for_what_it_counts(url, make, answered, settings):
    answered_before = [f"old-{number}" for number in range(60)]
    for id_ in answered_before:
        answered(id_, minutes=-60)
    ledger = Ledger(url)
    ledger.change(replace(state(1, None), since=NOON - timedelta(hours=2)), change("adopt", rollout=None), 0)
    ledger.change(replace(state(2, 0.0), since=NOON), change("start", rollout=2), 1)
    ledger.close()
    for number in range(12):
        answered(f"new-{number}", minutes=1)
    few = settings.labelling.model_copy(update={"count": 10})  # four places of the audit
    audit = [row.ticket_id for row in make(labelling=few).rows if row.why == "audit"]
    assert len(audit) == 4 and all(id_.startswith("new-") for id_ in audit)
