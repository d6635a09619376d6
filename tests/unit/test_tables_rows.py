"""Every row is accounted for: read, or listed with its number, its line and what is wrong with it."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.tables import Column, Format
from shared.errors import InvalidInput
from shared.tables import Limits, profile, read_rows
from shared.tables.csv_account import read_csv_rows
from shared.tables.jsonl_account import read_jsonl_rows
from tests.support.faulty_rows import FAULTS, MAKERS, TEXTS

COLUMNS = [
    Column(name="id", type="integer", nulls=0),
    Column(name="x", type="number", nulls=0),
    Column(name="s", type="string", nulls=0),
    Column(name="day", type="date", nulls=0),
    Column(name="at", type="datetime", nulls=0),
]
CANONICAL = (pa.int64(), pa.float64(), pa.string(), pa.date32(), pa.timestamp("us"))


READERS = {"csv": read_csv_rows, "jsonl": read_jsonl_rows}


@settings(max_examples=150)
@given(
    format=st.sampled_from(["csv", "jsonl"]),
    drawn=st.lists(st.tuples(FAULTS, TEXTS, st.integers(0, 2)), min_size=1, max_size=40),
    ending=st.sampled_from([b"\n", b"\r\n"]),
    block_bytes=st.sampled_from([64, 300, 2**21]),
    batch_rows=st.sampled_from([1, 7, 65_536]),
    last=st.booleans(),
    packed=st.booleans(),
)
def test_every_row_is_good_or_listed_with_its_place(
    format: Format,
    drawn: list[tuple[str, str, int]],
    ending: bytes,
    block_bytes: int,
    batch_rows: int,
    last: bool,
    packed: bool,
) -> None:
    written = [MAKERS[format](number, fault, text) for number, (fault, text, _) in enumerate(drawn, 1)]
    content, line = (b"id,x,s,day,at" + ending, 2) if format == "csv" else (b"", 1)
    lines = []
    for row, (_, _, blank) in zip(written, drawn, strict=True):
        content += ending * blank + row.text + ending
        lines.append(line + blank)
        line += blank + row.lines
    if not last:
        content = content.removesuffix(ending)
    with tempfile.NamedTemporaryFile() as file:
        file.write(gzip.compress(content) if packed else content)
        file.flush()
        path = Path(file.name)
        good: dict[int, tuple[int, int | None]] = {}
        bad: dict[int, tuple[str | None, int | None]] = {}
        following = 1
        for rows in READERS[format](path, COLUMNS, batch_rows, Limits(), block_bytes=block_bytes):
            assert rows.first == following
            assert rows.count == rows.batch.num_rows + len(rows.bad) <= batch_rows
            assert tuple(rows.batch.schema.types) == CANONICAL
            following += rows.count
            for number, made in zip(rows.numbers.tolist(), rows.batch["id"].to_pylist(), strict=True):
                good[number] = (made, rows.line(number))
            for fault in rows.bad:
                assert fault.reason
                bad[fault.row] = (fault.column, rows.line(fault.row))
    wanted = list(enumerate(zip(written, lines, strict=True), 1))
    assert good == {number: (number, at) for number, (row, at) in wanted if not row.bad}
    assert bad == {number: (row.column, at) for number, (row, at) in wanted if row.bad}


@settings(max_examples=60)
@given(
    format=st.sampled_from(["csv", "jsonl"]),
    faults=st.lists(FAULTS, min_size=1, max_size=40),
)
def test_a_lenient_profile_counts_every_row(format: Format, faults: list[str]) -> None:
    written = [MAKERS[format](number, fault, "text") for number, fault in enumerate(faults, 1)]
    head = [b"id,x,s,day,at"] if format == "csv" else []
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join([*head, *(row.text for row in written)]))
        file.flush()
        path = Path(file.name)
        if format == "jsonl" and set(faults) <= {"short", "long", "bytes", "nul"}:
            with pytest.raises(InvalidInput, match="no object has a key"):
                profile(path, format, lenient=True)
        else:
            assert profile(path, format, lenient=True).rows == len(faults)


def test_the_most_frequent_kind_makes_a_json_column(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": "x"}\n{"a": 1}\n{"a": 2.5}\n{"a": true}\n')
    (column,) = profile(path, "jsonl", lenient=True).columns
    assert column.type == "number"
    (rows,) = read_rows(path, "jsonl", [column])
    assert [bad.row for bad in rows.bad] == [1, 4]
    assert rows.bad[0].reason == '"x" does not fit the type number'
    with pytest.raises(InvalidInput) as caught:
        profile(path, "jsonl")
    assert caught.value.code == "mixed_types"


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,4"x\n5,6\n', 'a,b\n1,"2\n3,4\n'])
def test_where_the_end_of_a_row_is_uncertain_reading_fails(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    columns = [Column(name=name, type="string", nulls=0) for name in "ab"]
    with pytest.raises(InvalidInput) as caught:
        list(read_rows(path, "csv", columns))
    assert caught.value.code in {"stray_quote", "unbalanced_quotes"}


def test_the_reason_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\nx,2\n3\n")
    columns = [Column(name="a", type="integer", nulls=0), Column(name="b", type="integer", nulls=0)]
    found = [
        (bad.row, rows.line(bad.row), bad.column, bad.reason)
        for rows in read_rows(path, "csv", columns)
        for bad in rows.bad
    ]
    assert found == [
        (2, 3, "a", '"x" is not an integer'),
        (3, 4, None, "has 1 values, expected 2"),
    ]


def test_parquet_rows_are_numbered_and_have_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table({"a": range(10)}), path)
    found = list(read_rows(path, "parquet", [Column(name="a", type="integer", nulls=0)], batch_rows=4))
    assert [(rows.first, rows.count) for rows in found] == [(1, 4), (5, 4), (9, 2)]
    assert found[1].numbers.tolist() == [5, 6, 7, 8]
    assert found[1].line(5) is None
