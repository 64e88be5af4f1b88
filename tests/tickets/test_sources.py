import json
import sqlite3
import sys
from datetime import date, datetime
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.params import DemoSource, FilesSource, SqlSource, Tickets
from ticket_sentiment.tickets.sources import map_rows, read_raw

HEADER = "ticket_id,created_at,text,label\n"
ROW = "T-1,2026-03-01 10:00:00,hello,positive\n"


@pytest.fixture
def read(tmp_path):
    """`read({"in.csv": content}, columns=..., encoding=...)`: the mapped rows of files in in/."""

    def run(files: dict[str, str | bytes], path: str = "in/*", **settings):
        for name, content in files.items():
            target = tmp_path / "in" / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        mapping = {key: settings.pop(key) for key in ("columns", "labels", "timezone") if key in settings}
        tickets = Tickets(source=FilesSource(kind="files", path=path, **settings), **mapping)
        return map_rows(read_raw(tickets, tmp_path), tickets)

    return run


def test_csv_with_quoted_newlines_delimiter_and_own_columns(read):
    content = (
        "id;when;who;said;mood\r\n"
        '7;2026-03-01T10:00:00Z;anna;"two\r\nlines; and ""quotes""";1\r\n'
        "8;2026-03-02;;fine;\r\n"
    )
    columns = {"ticket_id": "id", "created_at": "when", "customer_id": "who", "text": "said", "label": "mood"}
    frame = read({"a.csv": content}, columns=columns, labels={"1": "negative"}, delimiter=";")
    assert frame["text"].tolist() == ['two\r\nlines; and "quotes"', "fine"]
    assert frame["label"].tolist() == ["negative", None]
    assert frame["label_source"].tolist() == ["import", None]
    assert frame["customer_id"].tolist() == ["anna", None]
    assert frame["channel"].tolist() == ["unknown", "unknown"]
    assert frame["row"].tolist() == [2, 3]


def test_a_label_that_means_none_is_none(read):
    content = HEADER + ROW.replace("positive", "unrated") + ROW.replace("T-1", "T-2")
    frame = read({"a.csv": content}, labels={"unrated": None})
    assert frame["label"].tolist() == [None, "positive"]
    assert frame["label_source"].tolist() == [None, "import"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8", "utf-8-sig"])
def test_encodings(read, encoding):
    content = (HEADER + "T-1,2026-03-01,Grüße,positive\n").encode(encoding)
    setting = "utf-8" if encoding == "utf-8-sig" else encoding
    assert read({"a.csv": content}, encoding=setting)["text"].tolist() == ["Grüße"]


def test_files_are_read_in_order_of_name(read):
    second = ROW.replace("T-1", "T-2")
    frame = read({"b.csv": HEADER + second, "a.csv": HEADER + ROW})
    assert frame["ticket_id"].tolist() == ["T-1", "T-2"]
    assert frame["file"].tolist() == ["in/a.csv", "in/b.csv"]


def test_json_lines(read):
    content = (
        '{"ticket_id": 1, "created_at": "2026-03-01", "text": "a\\u2028b", "label": "neutral"}\n\n'
        '{"ticket_id": 2, "created_at": "2026-03-01", "text": "a\u2028b"}\n'
    )
    frame = read({"a.jsonl": content})
    assert frame["ticket_id"].tolist() == ["1", "2"]
    assert frame["text"].tolist() == ["a\u2028b", "a\u2028b"]
    assert frame["row"].tolist() == [1, 3]


def test_parquet_with_dates_and_integers_with_gaps(read, tmp_path):
    (tmp_path / "in").mkdir()
    table = pd.DataFrame(
        {
            "ticket_id": [1.0, 2.0],
            "created_at": [pd.Timestamp("2026-03-01 10:00"), pd.Timestamp("2026-03-02")],
            "text": ["a", "b"],
            "label": [1.0, None],
        }
    )
    table.to_parquet(tmp_path / "in/a.parquet")
    frame = read({}, labels={"1": "positive"})
    assert frame["ticket_id"].tolist() == ["1", "2"]
    assert frame["label"].tolist() == ["positive", None]
    assert frame["created_at"][0] == pd.Timestamp("2026-03-01 10:00", tz="UTC")


def test_parquet_whose_texts_are_bytes(read, tmp_path):
    """Impala and older Spark do not say that a column of bytes is text."""
    (tmp_path / "in").mkdir()
    columns = {"ticket_id": [b"T-1"], "created_at": [b"2026-03-01"], "text": ["zu groß\n".encode()]}
    pq.write_table(pa.table(columns), tmp_path / "in/a.parquet")
    frame = read({})
    assert frame.loc[0, ["ticket_id", "text"]].tolist() == ["T-1", "zu groß\n"]
    pq.write_table(pa.table(columns | {"text": [b"\xff"]}), tmp_path / "in/a.parquet")
    with pytest.raises(TicketSentimentError, match=r"row 1: column text: holds bytes that are no UTF-8"):
        read({})


@pytest.mark.parametrize("field", ["ticket_id", "customer_id", "created_at", "channel", "text", "label"])
def test_nested_values_are_no_cell(read, field):
    """Zendesk's `via` names the customer, and as a channel it would be stored."""
    row = {"ticket_id": 1, "created_at": "2026-03-01", "text": "a", "via": {"from": {"name": "Jane Doe"}}}
    with pytest.raises(TicketSentimentError, match=r"a\.jsonl row 1: column via: holds nested") as raised:
        read({"a.jsonl": json.dumps(row)}, columns={field: "via"})
    assert "Jane" not in str(raised.value)


def test_empty_rows_of_a_spreadsheet_are_none(read):
    frame = read({"a.csv": HEADER + ",,,\n" + ROW + ", ,,\n"})
    assert frame["row"].tolist() == [3]


def test_a_column_of_no_use_may_be_there_twice(read):
    """As Jira exports them: `Comment` once for each."""
    frame = read({"a.csv": HEADER.replace("\n", ",Comment,Comment,,\n") + ROW.replace("\n", ",a,b,,\n")})
    assert frame["text"].tolist() == ["hello"]


def test_a_column_that_is_there_twice_in_parquet(read, tmp_path):
    (tmp_path / "in").mkdir()
    names = ["ticket_id", "created_at", "text", "id", "id"]
    table = pa.Table.from_arrays([pa.array([value]) for value in ("1", "2026-03-01", "a", "x", "y")], names)
    pq.write_table(table, tmp_path / "in/a.parquet")
    assert read({})["ticket_id"].tolist() == ["1"]
    with pytest.raises(TicketSentimentError, match=r"several columns are named 'id': name them apart"):
        read({}, columns={"customer_id": "id"})


def test_dates_without_offset_are_in_the_configured_zone(read):
    rows = "1,2026-01-31 23:30:00,a,\n2,2026-07-01 00:30:00,a,\n3,2026-07-01T00:30:00+00:00,a,\n"
    frame = read({"a.csv": HEADER + rows}, timezone="Europe/Berlin")
    expected = ["2026-01-31 22:30", "2026-06-30 22:30", "2026-07-01 00:30"]
    assert frame["created_at"].dt.strftime("%Y-%m-%d %H:%M").tolist() == expected


BAD = {
    "missing column": (
        HEADER.replace("text", "body") + ROW,
        {},
        r"in/a\.csv: column 'text' is missing \(4 columns, of a known name: ticket_id, created_at, label\): "
        r"set tickets\.columns\.text",
    ),
    "no header": (
        ROW + ROW.replace("T-1", "T-2"),
        {},
        r"in/a\.csv: column 'ticket_id' is missing \(4 columns, none of a known name: a file without",
    ),
    "no header, two equal cells": (
        "hello,hello,T-1,\n" + ROW,
        {},
        r"in/a\.csv: column 'ticket_id' is missing \(3 columns, none of a known name: a file without",
    ),
    "mapped column missing": (
        HEADER + ROW,
        {"columns": {"label": "mood"}},
        r"in/a\.csv: column 'mood' is missing .* set tickets\.columns\.label",
    ),
    "unknown label": (
        HEADER + ROW + "".join(f"A-{number},2026-03-01,x,angry\n" for number in range(5)),
        {},
        r"in/a\.csv row 3: column label: label 'angry' is unknown: add it to tickets\.labels",
    ),
    "a text where a label is expected": (
        HEADER + ROW.replace("positive", "call me at 555-123-4567 as soon as you can please"),
        {},
        r"row 2: column label: label \(a text of 49 characters\) is unknown",
    ),
    "a short text where a label is expected": (
        HEADER + ROW.replace("positive", "hello"),
        {},
        r"row 2: column label: label \(a text of 5 characters\) is unknown",
    ),
    "a text where a date is expected": (
        HEADER + "T-1,hello Ms Miller,x,\n",
        {},
        r"row 2: column created_at: a text of 15 characters is no date",
    ),
    "a text where an id is expected": (
        HEADER + 2 * "hello Ms Miller,2026-03-01,x,\n",
        {},
        r"row 3: ticket_id \(a text of 15 characters\) was already in .* row 2 \(1 duplicate ids in all\)",
    ),
    "a telephone number where an id is expected": (
        HEADER + 2 * "555-123-4567,2026-03-01,x,\n",
        {},
        r"row 3: ticket_id \(a text of 12 characters\) was already in",
    ),
    "empty file": ("", {}, r"in/a\.csv is empty"),
    "header alone": (HEADER, {}, r"in/a\.csv is empty \(no rows\)"),
    "wrong encoding": (
        HEADER.encode() + ROW.encode() + b"T-2,2026-03-01,Gr\xfc\xdfe,positive\n",
        {},
        r"in/a\.csv is not utf-8: byte 88 \(line 3\) does not decode: set tickets\.source\.encoding",
    ),
    "unknown encoding": (HEADER, {"encoding": "klingon"}, r"tickets\.source\.encoding: 'klingon'"),
    "unquoted delimiter": (
        HEADER + ROW.replace("hello", "hello, you"),
        {},
        r"in/a\.csv row 2: 5 fields, the header has 4",
    ),
    "open quote": (
        HEADER + 'T-1,2026-03-01,"never closed,positive\n',
        {},
        r"in/a\.csv row 2 .*not valid CSV",
    ),
    "damaged UTF-8": (
        HEADER.encode() + "T-1,2026-03-01,hello größer,positive\n".encode() + b"T-2,2026-03-01,Gr\xfcn,\n",
        {},
        r"in/a\.csv is not utf-8: byte \d+ \(line 3\) does not decode: the file is damaged there",
    ),
    "UTF-8 as another encoding": (
        HEADER + "T-1,2026-03-01,hello größer,positive\n",
        {"encoding": "cp1252"},
        r"in/a\.csv is UTF-8, and would be garbled as cp1252: save it as cp1252, or, where all files",
    ),
    "column twice": (HEADER.replace("label", "text") + ROW, {}, r"a\.csv: several columns are named 'text'"),
    "another delimiter": (
        (HEADER + ROW).replace(",", ";"),
        {},
        r"a single column, of no known name: does tickets\.source\.delimiter hold for it\?",
    ),
    "no date": (
        HEADER + ROW + "T-2,03/31/2026,x,\n",
        {},
        r"in/a\.csv row 3: column created_at: a text of 10 characters is no date: expected ISO 8601",
    ),
    "empty date": (HEADER + "T-1,,x,\n", {}, r"row 2: column created_at: is empty"),
    "date outside the calendar": (
        HEADER + "T-1,0001-01-01T00:00:00+14:00,x,\n",
        {},
        r"row 2: column created_at",
    ),
    "empty id": (HEADER + " ,2026-03-01,x,\n", {}, r"in/a\.csv row 2: column ticket_id: is empty"),
    "id twice": (
        HEADER + ROW + ROW,
        {},
        r"in/a\.csv row 3: ticket_id 'T-1' was already in in/a\.csv row 2 \(1 duplicate ids in all: T-1\)",
    ),
    "zone": (HEADER + ROW, {"timezone": "Berlin"}, r"tickets\.timezone: 'Berlin' is no known time zone"),
}


@pytest.mark.parametrize(("content", "settings", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_in_one_line(read, content, settings, message):
    with pytest.raises(TicketSentimentError, match=message) as raised:
        read({"a.csv": content}, **settings)
    assert "\n" not in str(raised.value)
    assert "hello" not in str(raised.value)


def test_a_column_of_many_different_values_is_no_column_of_labels(read):
    """Customers that write often, say; they stand where the labels should."""
    slipped = [f"customer {number}" for number in range(21)] * 5
    rows = "".join(f"T-{row},2026-03-01,x,{name}\n" for row, name in enumerate(slipped))
    with pytest.raises(TicketSentimentError, match=r"row 2: column label: label \(a text of 10 characters\)"):
        read({"a.csv": HEADER + rows})


def test_an_id_twice_in_two_files_names_both(read):
    with pytest.raises(TicketSentimentError, match=r"in/b\.csv row 2: .* already in in/a\.csv row 2"):
        read({"a.csv": HEADER + ROW, "b.csv": HEADER + ROW})


def test_a_byte_order_mark_tells_the_encoding(read):
    with pytest.raises(TicketSentimentError, match=r"set tickets\.source\.encoding \(utf-16, as its first"):
        read({"a.csv": (HEADER + ROW).encode("utf-16")})


def test_truncated_parquet_is_named(read, tmp_path):
    (tmp_path / "in").mkdir()
    pd.DataFrame({"ticket_id": ["1"]}).to_parquet(tmp_path / "in/a.parquet")
    content = (tmp_path / "in/a.parquet").read_bytes()
    with pytest.raises(TicketSentimentError, match=r"in/a\.parquet is not a whole Parquet file"):
        read({"a.parquet": content[:-20]})


@pytest.mark.parametrize("line", ["not json", "[1, 2]", '{"ticket_id": ', "[" * 100_000])
def test_a_line_that_is_no_json_object_is_named(read, line):
    good = '{"ticket_id": 1, "created_at": "2026-03-01", "text": "a"}\n'
    with pytest.raises(TicketSentimentError, match=r"in/a\.jsonl row 2 is not a JSON object"):
        read({"a.jsonl": good + line})


def test_no_file_and_an_unknown_ending(read):
    with pytest.raises(TicketSentimentError, match=r"no file matches 'none/\*\.csv'.*tickets\.source\.path"):
        read({}, path="none/*.csv")
    with pytest.raises(
        TicketSentimentError, match=r"in/a\.xlsx: unknown ending '\.xlsx'.*tickets\.source\.format"
    ):
        read({"a.xlsx": "x"})


@pytest.fixture
def database(tmp_path, monkeypatch):
    path = tmp_path / "helpdesk.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table tickets (id integer, at text, body text, mood text)")
        connection.execute("insert into tickets values (1, '2026-03-01 10:00:00', 'hello', 'neg')")
        connection.execute("insert into tickets values (2, '2026-03-02 10:00:00', 'there', null)")
    monkeypatch.setenv("TICKETS_DATABASE_URL", f"sqlite:///{path}")
    return path


QUERY = "select id as ticket_id, at as created_at, body as text, mood as label from tickets order by id"


def _sql(query: str, root, **settings):
    tickets = Tickets(source=SqlSource(kind="sql", query=query, **settings), labels={"neg": "negative"})
    return map_rows(read_raw(tickets, root), tickets)


def test_sql(database, tmp_path):
    frame = _sql(QUERY, tmp_path)
    assert frame["ticket_id"].tolist() == ["1", "2"]
    assert frame["label"].tolist() == ["negative", None]


def test_a_join_whose_columns_have_one_name_is_refused(database, tmp_path):
    """Else the tickets would have the date of their customer."""
    joined = f"select t.*, '2019-01-01' as created_at from ({QUERY}) as t"
    with pytest.raises(TicketSentimentError, match=r"several columns are named 'created_at'.*`as`"):
        _sql(joined, tmp_path)
    unused = f"select t.*, 7 as other, 8 as other from ({QUERY}) as t"
    assert _sql(unused, tmp_path)["ticket_id"].tolist() == ["1", "2"]


def test_a_colon_in_a_query_is_none_of_ours(database, tmp_path):
    words = ["a :word", ":x:y:", "10:30", "back\\\\slash"]
    for word in words:
        query = f"select 1 as ticket_id, '2026-03-01' as created_at, '{word}' as text"
        assert _sql(query, tmp_path)["text"].tolist() == [word]


def test_sql_problems_are_named_without_the_password(database, tmp_path, monkeypatch):
    with pytest.raises(TicketSentimentError, match=r"tickets\.source\.query returned no rows"):
        _sql(QUERY.replace("order by", "where id > 9 order by"), tmp_path)
    with pytest.raises(TicketSentimentError, match="no such table: absent"):
        _sql("select * from absent", tmp_path)
    with pytest.raises(TicketSentimentError, match="MISSING_URL is not set"):
        _sql(QUERY, tmp_path, url_env="MISSING_URL")
    monkeypatch.setenv("TICKETS_DATABASE_URL", "nodialect://user:s3cret@host/db")
    with pytest.raises(TicketSentimentError, match="no database driver") as raised:
        _sql(QUERY, tmp_path)
    assert "s3cret" not in str(raised.value)
    monkeypatch.setenv("TICKETS_DATABASE_URL", "user:s3cret")
    with pytest.raises(TicketSentimentError, match="no SQLAlchemy URL") as raised:
        _sql(QUERY, tmp_path)
    assert "s3cret" not in str(raised.value)


def _fails(query: str, root) -> TicketSentimentError:
    with pytest.raises(TicketSentimentError, match=r"did not answer tickets\.source\.query") as raised:
        _sql(query, root)
    return raised.value


def test_a_database_that_is_away_may_come_back_and_a_wrong_query_may_not(
    database, postgres, tmp_path, monkeypatch
):
    assert not isinstance(_fails("select * from absent", tmp_path), Unavailable)
    with sqlite3.connect(database) as other:
        other.execute("begin exclusive")
        monkeypatch.setenv("TICKETS_DATABASE_URL", f"sqlite:///{database}?timeout=0")
        assert isinstance(_fails(QUERY, tmp_path), Unavailable), "locked"
    monkeypatch.setenv("TICKETS_DATABASE_URL", postgres.url())
    for wrong, code in {
        "select * from absent": "UndefinedTable 42P01",
        "selekt 1": "SyntaxError 42601",
        "select cast(body as int) from (values ('hello Ms Miller')) as tickets(body)": "22P02",
    }.items():
        refused = _fails(wrong, tmp_path)
        assert not isinstance(refused, Unavailable) and code in str(refused)
        assert "Miller" not in str(refused), "a driver quotes what it cannot cast"
    ended = "select pg_terminate_backend(pg_backend_pid())"
    assert isinstance(_fails(ended, tmp_path), Unavailable), "the connection was lost"
    password = f":{postgres.PASSWORD}@"
    addresses = [postgres.url().replace(password, typed) for typed in (":s3cret@", "@")]
    for wrong in (*addresses, postgres.url("s3cret")):
        monkeypatch.setenv("TICKETS_DATABASE_URL", wrong)
        refused = _fails("select 1", tmp_path)
        assert not isinstance(refused, Unavailable) and "s3cret" not in str(refused)
    monkeypatch.setenv("TICKETS_DATABASE_URL", "postgresql+psycopg://nobody:s3cret@127.0.0.1:9/none")
    away = _fails("select 1", tmp_path)
    assert isinstance(away, Unavailable) and "s3cret" not in str(away)
    assert "(OperationalError: connection refused)" in str(away)


def test_sql_only_reads(database, tmp_path):
    with pytest.raises(TicketSentimentError, match="a SELECT is expected"):
        _sql("delete from tickets", tmp_path)
    assert len(_sql(QUERY, tmp_path)) == 2


def test_dates_of_databases(read):
    from ticket_sentiment.tickets.sources.raw import RawTable

    values = [date(2026, 3, 1), datetime(2026, 3, 1, 2), pd.Timestamp("2026-03-01", tz="UTC"), "20260301"]
    columns = {"ticket_id": list("abcd"), "text": list("abcd"), "created_at": values}
    tickets = Tickets(source=FilesSource(kind="files", path="x"))
    frame = map_rows([RawTable("q", columns, range(1, 5))], tickets)
    assert frame["created_at"].dt.hour.tolist() == [0, 2, 0, 0]
    number = RawTable("q", {**columns, "created_at": [1767225600] * 4}, range(1, 5))
    with pytest.raises(TicketSentimentError, match=r"row 1: column created_at: .* is no date"):
        map_rows([number], tickets)


def test_hub_without_its_package_says_what_to_install(tmp_path):
    try:
        import datasets  # noqa: F401
    except ModuleNotFoundError:
        tickets = Tickets.model_validate({"source": {"kind": "hub", "dataset": "x/y"}})
        with pytest.raises(TicketSentimentError, match=r"pip install 'ticket-sentiment\[hub\]'"):
            read_raw(tickets, tmp_path)
    else:
        pytest.skip("datasets is installed here: test_hub_reads_a_local_data_set runs instead")


def test_a_customer_is_one_whether_or_not_a_month_has_a_gap(read):
    """pandas writes the whole numbers of a column with a gap as decimals."""
    rows = "".join(f"{row},{who},2026-03-01,fine\n" for row, who in enumerate(["8", "7"]))
    gap = "".join(f"{row},{who},2026-04-01,fine\n" for row, who in enumerate(["8.0", "", "7.0"], start=5))
    head = "ticket_id,customer_id,created_at,text\n"
    frame = read({"a.csv": head + rows, "b.csv": head + gap})
    assert frame["customer_id"].tolist() == ["8", "7", "8", None, "7"]
    names = "9,8.0,2026-05-01,fine\n10,v1.0,2026-05-01,fine\n"
    assert read({"c.csv": head + names})["customer_id"].tolist()[-2:] == ["8.0", "v1.0"], "those are names"


@pytest.mark.parametrize("broken", ["closed", "created_at"])
def test_a_parquet_column_that_holds_no_value_matters_only_where_it_is_read(read, tmp_path, broken):
    """`infinity` of a database becomes a day after the calendar's last."""
    (tmp_path / "in").mkdir()
    far = pa.array([2**60], pa.timestamp("us"))
    near = pa.array([1_772_000_000_000_000], pa.timestamp("us"))
    columns = {"ticket_id": pa.array(["1"]), "created_at": near, "text": pa.array(["a"]), "closed": near}
    pq.write_table(pa.table({**columns, broken: far}), tmp_path / "in/a.parquet")
    if broken == "closed":
        assert read({})["ticket_id"].tolist() == ["1"]
        return
    with pytest.raises(TicketSentimentError, match=r"in/a\.parquet: column 'created_at' cannot be read"):
        read({})


def test_a_word_for_nobody_is_no_customer(read):
    rows = "".join(
        f"{row},{who},2026-03-01,fine\n" for row, who in enumerate(["NULL", "unknown", "", "nora"])
    )
    frame = read({"a.csv": f"ticket_id,customer_id,created_at,text\n{rows}"})
    assert frame["customer_id"].tolist() == [None, None, None, "nora"]


def test_real_customers_without_a_key_for_their_pseudonyms_are_a_warning(read, monkeypatch, caplog, tmp_path):
    monkeypatch.delenv("TICKET_SENTIMENT_PSEUDONYM_KEY", raising=False)
    demo = DemoSource(kind="demo", first_month="2026-01", months=3, seed=1)
    read_raw(Tickets(source=demo), tmp_path)
    assert not caplog.messages
    read({"in.csv": HEADER + ROW})
    (said,) = caplog.messages
    assert said.startswith("TICKET_SENTIMENT_PSEUDONYM_KEY is not set")
    monkeypatch.setenv("TICKET_SENTIMENT_PSEUDONYM_KEY", "secret")
    read({"in.csv": HEADER + ROW})
    assert len(caplog.messages) == 1


def test_what_the_hub_says_of_a_cell_is_not_repeated(tmp_path, monkeypatch):
    """A stand-in for the package: its own errors quote what cannot be cast, and hide what was refused."""

    def load(error: Exception, cause: Exception | None) -> TicketSentimentError:
        def load_dataset(*_: object, **__: object) -> None:
            raise error from cause

        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
        with pytest.raises(TicketSentimentError, match=r"data set x/y \(train\) cannot be loaded") as raised:
            read_raw(Tickets.model_validate({"source": {"kind": "hub", "dataset": "x/y"}}), tmp_path)
        assert "Miller" not in str(raised.value)
        return raised.value

    wrong = load(RuntimeError("generation"), ValueError("cannot cast 'hello Ms Miller'"))
    assert "(RuntimeError of ValueError)" in str(wrong) and not isinstance(wrong, Unavailable)
    assert isinstance(load(RuntimeError("no answer"), ConnectionRefusedError(111, "Ms Miller")), Unavailable)


def test_hub_reads_a_local_data_set(tmp_path):
    pytest.importorskip("datasets", reason="the optional extra `hub` is not installed")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.csv").write_text(HEADER + ROW)
    tickets = Tickets.model_validate({"source": {"kind": "hub", "dataset": str(tmp_path / "set")}})
    frame = map_rows(read_raw(tickets, tmp_path), tickets)
    assert frame[["ticket_id", "label", "row"]].values.tolist() == [["T-1", "positive", 1]]
    missing = Tickets.model_validate({"source": {"kind": "hub", "dataset": str(tmp_path / "none")}})
    with pytest.raises(TicketSentimentError, match=r"cannot be loaded .*tickets\.source\.dataset"):
        read_raw(missing, tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-31 17:05:00 UTC",
        "2026-03-31 17:05:00.000 GMT",
        "2026-03-31 19:05:00 +0200",
        "2026-03-31 10:05 -07:00",
    ],
)
def test_a_time_with_a_blank_before_its_zone_is_read(read, written):
    frame = read({"a.csv": f"{HEADER}T-1,{written},x,\n"})
    assert frame["created_at"][0] == pd.Timestamp("2026-03-31 17:05", tz="UTC")


@pytest.mark.parametrize(("ids", "warned"), [(("1.0", "12.0"), True), (("1.0", "v2.0"), False)])
def test_ids_that_were_read_as_decimals_are_warned_of(read, caplog, ids, warned):
    read({"a.csv": HEADER + "".join(f"{id_},2026-03-01,x,\n" for id_ in ids)})
    assert ("every ticket_id ends in .0" in caplog.text) == warned
