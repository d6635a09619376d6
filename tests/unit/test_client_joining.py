"""Parts of an output become one file."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet
import pytest

from graft.client.joining import join


def joined(parts: list[bytes], format: str) -> bytes:
    out = io.BytesIO()
    join((io.BytesIO(part) for part in parts), format, out)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize(
    "header", ["a,b\n", '"a line\nand another","b ""quoted"""\n', '"' + "x" * 200_000 + '",b\n']
)
def test_csv_has_its_header_once_whatever_columns_are_called(header: str) -> None:
    parts = [f'{header}1,"x\ny"\n'.encode(), f"{header}2,z\n".encode(), header.encode()]
    assert joined(parts, "csv").decode() == f'{header}1,"x\ny"\n2,z\n'


def test_json_lines_follow_one_another() -> None:
    assert joined([b'{"a":1}\n', b'{"a":2}\n'], "jsonl") == b'{"a":1}\n{"a":2}\n'


def test_parquet_keeps_rows_order_and_types() -> None:
    whole = pa.table({"n": pa.array(range(10), pa.int32()), "t": pa.array(["x", None] * 5)})
    parts = []
    for begin, rows in ((0, 4), (4, 0), (4, 6)):
        part = io.BytesIO()
        pyarrow.parquet.write_table(whole.slice(begin, rows), part, row_group_size=3)
        parts.append(part.getvalue())
    assert pyarrow.parquet.read_table(io.BytesIO(joined(parts, "parquet"))).equals(whole)
