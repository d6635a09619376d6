"""The first rows of a dataset: the right ones, and without reading what comes after them."""

from __future__ import annotations

import io
import random
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import RunningStack
from tests.e2e.test_confinement import is_api
from tests.support.client import CSV, JSONL, PARQUET, Graft, written

ROWS = 400_000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Some 20 MB as CSV."""
    made = random.Random(2)
    return pa.table(
        {
            "id": list(range(ROWS)),
            "text": [f"line {n},\n{made.getrandbits(100):x}" for n in range(ROWS)],
            "x": [made.random() for _ in range(ROWS)],
        }
    )


def spooled(stack: RunningStack) -> int:
    """Bytes that the processes of the API have written to files, ever (`wchar` of proc(5))."""
    total = 0
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        if is_api(process):
            fields = dict(
                line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines()
            )
            total += int(fields["wchar"])
    return total


def preview(graft: Graft, dataset: str) -> list[dict[str, object]]:
    response = graft.get(f"/v1/datasets/{dataset}/preview")
    assert response.status_code == 200, response.text
    rows: list[dict[str, object]] = response.json()["rows"]
    return rows


def packed(table: pa.Table, kind: str) -> bytes:
    if kind == PARQUET:
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=10_000)
        return sink.getvalue()
    text, _, codec = kind.partition("+")
    plain = written(table, text)
    return pa.Codec(codec).compress(plain, asbytes=True) if codec else plain


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET, f"{CSV}+gzip", f"{JSONL}+zstd"])
def test_a_preview_of_a_large_table_reads_only_its_beginning(
    graft: Graft, stack: RunningStack, table: pa.Table, kind: str
) -> None:
    content = packed(table, kind)
    assert len(content) > 6 * 2**20
    dataset = graft.dataset(content, kind=kind.partition("+")[0])
    before = spooled(stack)
    assert preview(graft, dataset) == table.slice(0, 20).to_pylist()
    assert spooled(stack) - before < 3 * 2**20


def test_rows_that_one_look_does_not_hold_are_looked_for_further(graft: Graft, stack: RunningStack) -> None:
    wide = pa.table({"id": list(range(30)), "text": ["x" * 200_000 + str(n) for n in range(30)]})
    dataset = graft.dataset(wide)
    assert preview(graft, dataset) == wide.slice(0, 20).to_pylist()


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET])
def test_a_small_table_is_shown_whole(graft: Graft, kind: str) -> None:
    small = pa.table({"a": [1, 2, 3]})
    assert preview(graft, graft.dataset(small, kind=kind)) == small.to_pylist()


def test_a_last_row_without_a_line_end_is_shown(graft: Graft) -> None:
    assert preview(graft, graft.dataset("a,b\n1,x\n2,y")) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
