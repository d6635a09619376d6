"""A file that is split can be read piece by piece: the rows are those of the whole, each once and in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables import Piece, footer, profile, read, read_all, split

texts = st.text(st.sampled_from('aé,"\n\r =0'), max_size=6)
line_ends = st.sampled_from(("\n", "\r\n"))
sizes = st.integers(1, 7)


def local_copy(path: Path, piece: Piece, to: Path) -> Path:
    """What a worker fetches of an object to read one piece."""
    content = path.read_bytes()
    if piece.groups is None:
        to.write_bytes(b"".join(content[start:end] for start, end in piece.ranges))
    else:
        sparse = bytearray(len(content))
        for start, end in piece.ranges:
            sparse[start:end] = content[start:end]
        to.write_bytes(sparse)
    return to


def csv_text(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def check(path: Path, format: Any, first: int, rows: int) -> list[Piece]:
    """The pieces, once it is sure that they hold the file's rows."""
    columns = profile(path, format).columns
    whole = read_all(path, format, columns)
    pieces = list(split(path, format, first=first, rows=rows))
    assert [piece.rows for piece in pieces[:-1]] == [first, *[rows] * (len(pieces) - 2)][: len(pieces) - 1]
    found, row = [], 1
    for piece in pieces:
        assert piece.first_row == row
        copy = local_copy(path, piece, path.with_suffix(".piece"))
        read_rows = list(read(copy, format, columns, piece=piece))
        assert sum(batch.num_rows for batch in read_rows) == piece.rows
        found += read_rows
        row += piece.rows
    assert pa.Table.from_batches(found).to_pylist() == whole.to_pylist()
    return pieces


@given(
    rows=st.lists(st.tuples(st.integers(), texts), min_size=1, max_size=30),
    first=sizes,
    size=sizes,
    end=line_ends,
)
def test_pieces_of_csv(tmp_path_factory, rows, first, size, end):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    lines = ["number,text", *(f"{number}," + csv_text(text) for number, text in rows)]
    blank = end * (len(rows) % 3)
    path.write_bytes((blank + (end + blank).join(lines) + end * (len(rows) % 2)).encode())
    check(path, "csv", first, size)


@given(
    rows=st.lists(st.tuples(st.integers(-9, 9), texts), min_size=1, max_size=30),
    first=sizes,
    size=sizes,
    end=line_ends,
)
def test_pieces_of_json_lines(tmp_path_factory, rows, first, size, end):
    path = tmp_path_factory.mktemp("jsonl") / "t.jsonl"
    lines = [json.dumps({"number": number, "text": text}) for number, text in rows]
    path.write_bytes(((end + "  " + end * (len(rows) % 3)).join(lines) + end * (len(rows) % 2)).encode())
    check(path, "jsonl", first, size)


@given(rows=st.integers(1, 60), group=st.integers(1, 20), first=sizes, size=sizes)
def test_pieces_of_parquet(tmp_path_factory, rows, group, first, size):
    path = tmp_path_factory.mktemp("parquet") / "t.parquet"
    table = pa.table({"number": range(rows), "text": [f"row {n % 5}" for n in range(rows)]})
    pq.write_table(table, path, row_group_size=group)
    check(path, "parquet", first, size)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_piece_knows_the_lines_before_it(tmp_path, end):
    path = tmp_path / "t.csv"
    path.write_bytes(end.join([b"", b"a,b", b'1,"x', b'y"', b"", b"2,z", b"3,w", b""]))
    pieces = list(split(path, "csv", first=1, rows=1))
    assert [piece.lines_before for piece in pieces] == [0, 3, 4]


def test_of_a_parquet_file_only_footer_and_row_groups_are_read(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": range(10_000)}), path, row_group_size=1_000)
    size = path.stat().st_size
    piece = list(split(path, "parquet", first=2_500, rows=2_500))[1]
    assert (piece.groups, piece.skip) == ((2, 5), 500)
    fetched = sum(end - start for start, end in piece.ranges)
    assert fetched < size / 2
    assert footer(size, path.read_bytes()[-8:]) == piece.ranges[-1]


def test_a_piece_survives_json(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": range(10)}), path, row_group_size=3)
    for piece in split(path, "parquet", first=4, rows=4):
        packed = json.loads(json.dumps({name: getattr(piece, name) for name in Piece.__slots__}))
        assert Piece.unpack(packed) == piece


@pytest.mark.parametrize(
    ("name", "content"), [("t.csv", b'a\n"1\n2\n'), ("t.parquet", b"PAR1" + b"x" * 40 + b"PAR1")]
)
def test_damage_is_said(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        list(split(path, path.suffix[1:], first=1, rows=1))


@pytest.mark.parametrize("tail", [b"", b"x", b"\xff\xff\xff\xffPAR1"])
def test_the_footer_of_a_damaged_file_is_a_range_of_it(tail):
    start, end = footer(100, tail)
    assert 0 <= start <= end == 100


def test_declared_types_reach_every_piece(tmp_path):
    """A column that looks like a number in one piece and like text in another has one type."""
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n2\nx\n")
    columns = (Column(name="a", type="string", nulls=0),)
    copies = [
        local_copy(path, piece, tmp_path / "copy") for piece in list(split(path, "csv", first=2, rows=2))[:1]
    ]
    assert read_all(copies[0], "csv", columns)["a"].to_pylist() == ["1", "2"]
