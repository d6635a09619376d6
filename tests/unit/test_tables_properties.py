"""Properties over generated tables: nothing is lost on the way out and back, and block boundaries do not show."""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.tables import Format
from shared.errors import InvalidInput
from shared.tables import Limits, canonical_type, open_writer, profile, read, read_all
from shared.tables.conversion import MISSING
from shared.tables.csv_reader import profile_csv, read_csv
from shared.tables.jsonl_profile import profile_jsonl

generated = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.bool_(): st.booleans(),
    pa.string(): TEXT,
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
}


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    name = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8)
    names = draw(st.lists(name, min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(1, 30))
    columns = {}
    for column in names:
        kind = draw(st.sampled_from(list(VALUES)))
        cells = st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)
        columns[column] = pa.array(draw(cells), kind)
    return pa.table(columns)


def text_of_csv(value: object) -> object:
    """What CSV makes of a text: formulas defused, what means missing gone."""
    if isinstance(value, str):
        value = "'" + value if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
        return None if value in MISSING else value
    return value


def alike(left: object, right: object) -> bool:
    if isinstance(left, float | int) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=0, abs_tol=0)
    return left == right


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
@generated
@given(table=arrow_tables())
def test_what_is_written_is_read_back(tmp_path: Path, format: Format, table: pa.Table) -> None:
    path = tmp_path / "table"
    with open_writer(path, format, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=7):
            writer.write(batch)
    found = profile(path, format)
    assert found.rows == table.num_rows
    if format == "csv":
        names = [text_of_csv(name) if name not in MISSING else name for name in table.column_names]
        assert [c.name for c in found.columns] == names
    else:
        assert [c.name for c in found.columns] == table.column_names
    back = read_all(path, format, found.columns)
    for column, was in zip(found.columns, table.columns, strict=True):
        values = was.to_pylist()
        expected = [text_of_csv(v) for v in values] if format == "csv" else values
        got = back.column(column.name)
        if column.type == "string" or got.type == was.type or column.type in ("integer", "number"):
            # Texts that all look like numbers or dates are typed so: compared only where the types agree.
            if pa.types.is_string(was.type) and not pa.types.is_string(got.type):
                continue
            assert all(alike(a, b) for a, b in zip(got.to_pylist(), expected, strict=True))
            assert column.nulls == expected.count(None)


CELL = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(repr),
    st.booleans().map(lambda b: str(b).lower()),
    st.dates(date(1, 1, 1)).map(str),
    st.datetimes(datetime(1, 1, 1)).map(str),
    st.sampled_from([*MISSING, "007", " 5", "0x1F", "+3", "1e5", "-0", "Nan", "inf", "2024-01-01T00:00:00Z"]),
    st.text(st.sampled_from('ab",\r\n 0'), max_size=6),
)


@generated
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=25),
    homogeneous=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    block_bytes=st.integers(1, 200),
)
def test_csv_types_and_values_do_not_depend_on_the_blocks(
    tmp_path: Path, rows: list[list[str]], homogeneous: bool, quoting: int, block_bytes: int
) -> None:
    path = tmp_path / "table.csv"
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting)
    writer.writerow(["a", "b", "c"])
    writer.writerows([rows[0]] * len(rows) if homogeneous else rows)
    path.write_bytes(text.getvalue().encode())
    whole = profile(path, "csv")
    assert whole.rows == len(rows)
    assert profile_csv(path, Limits(), block_bytes=block_bytes) == whole
    # Whatever was inferred can be read, and with the same missing values.
    for batches in (
        read(path, "csv", whole.columns, batch_rows=4),
        read_csv(path, whole.columns, 4, Limits(), block_bytes=block_bytes),
    ):
        table = pa.Table.from_batches(batches)
        assert table.num_rows == len(rows)
        assert table.schema.types == [canonical_type(c.type) for c in whole.columns]
        assert [column.null_count for column in table.columns] == [c.nulls for c in whole.columns]


@generated
@given(data=st.text(st.sampled_from('a1,"\r\n \ufeff-0'), max_size=60), block_bytes=st.integers(1, 40))
def test_any_text_is_a_table_or_refused_and_alike_for_every_block_size(
    tmp_path: Path, data: str, block_bytes: int
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data.encode())
    try:
        whole = profile(path, "csv")
    except InvalidInput:
        # Which of two mistakes is found first may depend on the blocks, that there is one may not.
        with pytest.raises(InvalidInput):
            profile_csv(path, Limits(), block_bytes=block_bytes)
    else:
        assert profile_csv(path, Limits(), block_bytes=block_bytes) == whole
        assert read_all(path, "csv", whole.columns).num_rows == whole.rows


LINE = st.one_of(
    st.text(st.sampled_from('{}[]":,1a \\\n'), max_size=20),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "2.5", "null", '"x"', '"2024-01-01"'])).map(
        lambda cells: "{" + ",".join(f'"{k}":{v}' for k, v in cells.items()) + "}"
    ),
)


@generated
@given(lines=st.lists(LINE, max_size=12), block_bytes=st.integers(1, 60))
def test_any_lines_are_a_table_or_refused_and_alike_for_every_block_size(
    tmp_path: Path, lines: list[str], block_bytes: int
) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text("\n".join(lines))
    try:
        whole = profile(path, "jsonl")
    except InvalidInput as error:
        with pytest.raises(InvalidInput, match=re.escape(error.message)):
            profile_jsonl(path, Limits(), block_bytes=block_bytes)
    else:
        assert profile_jsonl(path, Limits(), block_bytes=block_bytes) == whole
        assert read_all(path, "jsonl", whole.columns).num_rows == whole.rows
