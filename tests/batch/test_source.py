"""Files to chunks: every row once, by its own number, whatever lies between."""

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.batch.jobs import batch, tickets, write
from ticket_sentiment.batch import json_lines, source
from ticket_sentiment.batch.csv_check import check
from ticket_sentiment.batch.source import Chunk, describe, find_files, read_chunks
from ticket_sentiment.errors import TicketSentimentError


def chunks(path: Path | str, columns: dict[str, str] | None = None, **changes) -> list[Chunk]:
    settings = batch(**{"chunk_rows": 4, **changes})
    return list(read_chunks(describe(str(path), columns or {}, settings), settings))


def rows(found: list[Chunk]) -> list[int]:
    return [row for chunk in found for row in chunk.table["row"].to_pylist()]


@pytest.mark.parametrize(("name", "first"), [("a.csv", 2), ("a.jsonl", 1), ("a.parquet", 1)])
def test_every_row_is_in_one_chunk_in_its_order(tmp_path, name, first):
    found = chunks(write(tmp_path / name, tickets(10)))
    assert [chunk.table.num_rows for chunk in found] == [4, 4, 2]
    assert [chunk.index for chunk in found] == [0, 1, 2]
    assert rows(found) == list(range(first, first + 10))


def test_a_chunk_never_holds_rows_of_two_files(tmp_path):
    write(tmp_path / "b.csv", tickets(5))
    write(tmp_path / "a.jsonl", tickets(1))
    (tmp_path / "_notes.txt").write_text("not a ticket")
    assert [(chunk.file, chunk.table.num_rows) for chunk in chunks(tmp_path)] == [
        ("a.jsonl", 1), ("b.csv", 4), ("b.csv", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("byte", [b"b", b"\xfc"])  # of a row that has too many fields, too
@pytest.mark.parametrize("seed", range(5))
def test_rows_of_csv_keep_their_numbers_between_bad_ones(tmp_path, monkeypatch, seed, byte):
    monkeypatch.setattr(source, "BLOCK", 200)  # so that the reader is ahead of what it hands out
    draw, lines, good, bad = random.Random(seed), ["ticket_id,text,other"], [], []
    for number in range(2, 150):
        (bad if draw.random() < 0.3 else good).append(number)
        lines.append(draw.choice(["a", "a,b", "a,b,c,d"]) if number in bad else f'id{number},"of\nit",z')
    (tmp_path / "a.csv").write_bytes(("\n".join(lines) + "\n").encode().replace(b"a,b", b"a," + byte))
    found = chunks(tmp_path / "a.csv", chunk_rows=7)
    assert rows(found) == good
    assert [int(id_[2:]) for chunk in found for id_ in chunk.table["ticket_id"].to_pylist()] == good
    assert [reject.row for chunk in found for reject in chunk.rejects] == bad
    assert all(chunk.table.num_rows <= 7 for chunk in found)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_stops_pyarrow_is_read_as_pyarrow_reads_it(tmp_path, monkeypatch, mark):
    """By all rows but the one: quotes, blank and cut lines, bytes that are no UTF-8, and a column for two."""
    monkeypatch.setattr(source, "BLOCK", 300)
    lines = [b"gr\xfcn,text", b'x,"of\r\n""two"" lines, \xfc"', b"", b'y"y,', b"z,gr\xc3\xbcn", b"cut"] * 9
    more = {"a.csv": b"one,and,more", "b.csv": b"one,and,mor\xfc"}
    for name, line in more.items():
        (tmp_path / name).write_bytes(mark + b"\r\n".join([b'"id","text"', *lines, line, *lines]))
    columns = {"ticket_id": "text", "customer_id": "id", "text": "text"}
    files = describe(str(tmp_path), columns, batch())
    assert [file.stops_pyarrow for file in files] == [False, True]
    settings = batch(chunk_rows=1000)
    fast, slow = read_chunks(files, settings)
    assert fast.table.num_rows > 50
    assert fast.table.to_pydict() == slow.table.to_pydict()
    assert fast.rejects == slow.rejects


def test_a_file_of_bad_rows_alone_is_still_told_of(tmp_path):
    (tmp_path / "a.csv").write_text("ticket_id,text\n1\n2\n")
    (chunk,) = chunks(tmp_path / "a.csv")
    assert chunk.table.num_rows == 0
    assert [reject.reason for reject in chunk.rejects] == ["has 1 fields, the header has 2"] * 2


def test_a_line_longer_than_any_ticket_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 40)
    row = b'{"ticket_id": "1", "text": "great"}'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + row + b"\n" + b"x" * 200 + b"\n\n{}")
    (chunk,) = chunks(tmp_path / "a.jsonl")
    assert chunk.table["row"].to_pylist() == [1, 4]
    assert chunk.table["line"].to_pylist() == [row + b"\n", b"{}"]
    assert [reject.row for reject in chunk.rejects] == [2]


def test_columns_are_found_by_their_mapping_else_by_our_names(tmp_path):
    write(tmp_path / "theirs.csv", [{"id": "1", "body": "great"}])
    write(tmp_path / "ours.csv", [{"ticket_id": "1", "text": "great"}])
    found = chunks(tmp_path, {"ticket_id": "id", "text": "body"})
    assert [chunk.table["text"].to_pylist() for chunk in found] == [[b"great"], [b"great"]]


def test_dictionaries_and_large_strings_of_parquet_are_texts(tmp_path):
    table = pa.table(
        {
            "ticket_id": pa.array(["1"]).dictionary_encode(),
            "text": pa.array(["great"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (chunk,) = chunks(tmp_path / "a.parquet")
    assert chunk.table.select(["ticket_id", "text"]).to_pylist() == [{"ticket_id": b"1", "text": b"great"}]


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.csv", b"", "a.csv is empty: export it again"),
        ("a.csv", b"id,text\n1,x\n", "a.csv: column 'ticket_id' is missing: say which one holds it"),
        ("a.csv", b"ticket_id,text,text\n1,x,y\n", "a.csv: column 'text' is there twice"),
        ("a.parquet", b"PAR1 and no more", "a.parquet is not a whole Parquet file"),
        ("a.docx", b"x", "a.docx: unknown ending '.docx'"),
        (
            "a.jsonl",
            b'{"ticket_id": "1", "body": "x"}\n' * 3,
            "a.jsonl: column 'text' is missing: say which one",
        ),
        ("a.jsonl", b"[1]\nno object\n", "a.jsonl: no line is a JSON object"),
    ],
)
def test_a_wrong_file_is_named_before_anything_is_scored(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TicketSentimentError) as caught:
        describe(str(tmp_path), {}, batch())
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize(
    ("content", "row", "line"),
    [
        ('t,x\n1,ok\n2,"CANARY\n' + "".join(f"{n},fine\n" for n in range(3, 50)), 3, 3),  # to the file's end
        ('t,x\r\n1,ok\r\n2,"CANARY\r\n3,fine', 3, 3),
        ('t,x\n1,"two\nlines"\n\n2,"CANARY\n', 4, 5),  # a blank line is a row, too
        ('"t","x"\n"1","ok"\n"2","CANARY\n"3","fine"\n', 3, 3),  # to the next row's quote
        ('t,x\n1,ok\n2,"CANARY\n3,"fine"\n', 3, 3),
        ('t,x\n1,"CANARY "fine" is"\n', 2, 2),  # a quote that is not doubled
    ],
)
def test_a_csv_whose_quote_would_take_other_rows_is_named_before_anything_is_scored(
    tmp_path, content, row, line
):
    (tmp_path / "a.csv").write_bytes(content.encode())
    columns = {"ticket_id": "t", "text": "x"}
    with pytest.raises(TicketSentimentError) as caught:
        describe(str(tmp_path), columns, batch())
    assert "CANARY" not in str(caught.value)
    assert str(caught.value).startswith(f"a.csv row {row} (it begins in line {line}) is not valid CSV")


def test_an_open_quote_is_told_of_before_a_large_file_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 1000)
    (tmp_path / "a.csv").write_text('ticket_id,text\n1,ok\n2,"CANARY\n' + "3,fine\n" * 1000)
    with pytest.raises(TicketSentimentError, match=r"a\.csv row 3 .*larger than field limit \(1000\)"):
        describe(str(tmp_path), {}, batch())
    (tmp_path / "a.csv").write_text("ticket_id,text\n1,ok\n2," + "CANARY" * 1000 + "\n")
    with pytest.raises(TicketSentimentError, match=r"a\.csv row 3 .*a line has more than 1000 characters"):
        describe(str(tmp_path), {}, batch())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_quotes_as_they_should_be_are_read(tmp_path, end, delimiter, encoding):
    cells = {
        "of\nlines\n\nand more": f'"of{end}lines{end}{end}and more"',
        'he said "no"': '"he said ""no"""',
        '"': '""""',
        '27" screen': '27" screen',
        f"a{delimiter}b": f'"a{delimiter}b"',
        "": '""',
        "grün": "grün",
    }
    lines = [
        f'"ticket_id"{delimiter}text',
        *(f"{n}{delimiter}{cell}" for n, cell in enumerate(cells.values())),
    ]
    (tmp_path / "a.csv").write_bytes(end.join(lines).encode(encoding))
    settings = batch(delimiter=delimiter, encoding=encoding.removesuffix("-sig"), chunk_rows=100)
    (file,) = describe(str(tmp_path / "a.csv"), {}, settings)
    (chunk,) = read_chunks([file], settings)
    assert [text.decode() for text in chunk.table["text"].to_pylist()] == [
        text.replace("\n", end) for text in cells
    ]
    assert rows([chunk]) == list(range(2, 2 + len(cells)))
    assert file.rows == len(cells)


def test_another_encoding_is_read_or_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("ticket_id,text\n1,grün\n".encode("cp1252"))
    (chunk,) = chunks(tmp_path / "a.csv", encoding="cp1252")
    assert chunk.table["text"].to_pylist() == ["grün".encode()]
    with pytest.raises(TicketSentimentError, match=r"batch\.encoding: 'klingon' is no known encoding"):
        chunks(tmp_path / "a.csv", encoding="klingon")


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_a_file_that_is_not_in_its_encoding_stops_before_anything_is_scored(tmp_path, encoding):
    text = "ticket_id,text\n" + "1,fine\n" * 10_000 + "2,grün"  # far behind the header
    (tmp_path / "a.csv").write_bytes(text.encode())
    with pytest.raises(TicketSentimentError, match=rf"a\.csv is not {encoding}: set batch\.encoding"):
        describe(str(tmp_path), {}, batch(encoding=encoding))


def test_a_column_that_is_not_read_may_have_a_name_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"ticket_id,text,gr\xfcn\n1,fine,x\n")
    (chunk,) = chunks(tmp_path / "a.csv")
    assert chunk.table["text"].to_pylist() == [b"fine"]


def test_a_row_larger_than_a_block_is_said_without_its_text(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 100)
    (tmp_path / "a.csv").write_text("ticket_id,text\n1,x\n2," + "secret " * 100 + "\n")
    with pytest.raises(TicketSentimentError, match=r"a\.csv") as caught:
        chunks(tmp_path / "a.csv")
    assert "secret" not in str(caught.value)


def test_files_are_found_by_path_folder_and_glob(tmp_path, monkeypatch):
    write(tmp_path / "a.csv", tickets(1))
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep/b.csv", tickets(1))
    monkeypatch.chdir(tmp_path)
    assert [name for _, name in find_files("a.csv")] == ["a.csv"]
    assert [name for _, name in find_files(str(tmp_path))] == ["a.csv", "deep/b.csv"]
    for pattern in ("**/*.csv", "**/**/*.csv"):
        assert [name for _, name in find_files(pattern)] == ["a.csv", "deep/b.csv"]
    with pytest.raises(TicketSentimentError, match="no file is there"):
        find_files("missing/*.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b'{"a": 1}\nno object\n{"ticket_id": 1}\n{"text": 2}\n',
        b'\xef\xbb\xbf{"ticket_id": "1", "text": ""}',
    ],
)
def test_json_lines_of_which_some_say_what_is_wanted_are_read(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(b"\n" + content if not content.startswith(b"\xef") else content)
    assert len(describe(str(tmp_path), {}, batch())) == 1


def test_input_in_the_output_is_told_apart_from_none(tmp_path):
    write(tmp_path / "a.csv", tickets(1))
    with pytest.raises(TicketSentimentError, match=r"a\.csv lies in the output .*name another folder"):
        find_files(str(tmp_path / "a.csv"), tmp_path)


def test_the_check_of_a_csv_file_leaves_the_process_s_limit_of_a_cell_as_it_was(tmp_path):
    """Else a table with a long text, read later in the same process, would be refused."""
    path, before = tmp_path / "a.csv", csv.field_size_limit()
    path.write_text("ticket_id,text\n1,fine\n")
    assert check(path, "a.csv", batch(), 100).rows == 2
    assert csv.field_size_limit() == before
    path.write_text("ticket_id,text\n1," + "a" * 200 + "\n")
    with pytest.raises(TicketSentimentError, match="more than 100 characters"):
        check(path, "a.csv", batch(), 100)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("content", ["ticket_id,text", "ticket_id,text\n", '"ticket_id","text"'])
def test_an_export_of_a_day_without_tickets_stops_nobody(tmp_path, content):
    """Rows that are joined by line ends leave a header alone without one."""
    write(tmp_path / "a.csv", tickets(2))
    (tmp_path / "b.csv").write_text(content)
    write(tmp_path / "c.csv", tickets(2))
    assert [(chunk.file, chunk.table.num_rows) for chunk in chunks(tmp_path)] == [("a.csv", 2), ("c.csv", 2)]


def test_what_a_long_line_holds_beside_its_ticket_is_not_carried_along(tmp_path):
    attachment = "x" * json_lines.LONG_LINE
    wanted = {"number": 7.0, "text": "half a pair \ud83d", "customer_id": None}
    blank = " " * json_lines.LONG_LINE
    lines = [json.dumps({**wanted, "attachment": attachment}), blank, json.dumps([attachment]), attachment]
    (tmp_path / "a.jsonl").write_text("".join(line + "\n" for line in lines))
    (found,) = chunks(tmp_path / "a.jsonl", {"ticket_id": "number"})
    first, *others = found.table["line"].to_pylist()
    assert json.loads(first) == wanted
    assert others == [b"null", b"null"]  # said to be no JSON object, as the whole line would be


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_folder_of_exports_may_have_a_colon_in_its_name(tmp_path, monkeypatch, name):
    (tmp_path / "in:1").mkdir()
    write(tmp_path / "in:1" / name, tickets(3))
    monkeypatch.chdir(tmp_path)
    assert sum(chunk.table.num_rows for chunk in chunks(Path("in:1") / name)) == 3
