"""JSON Lines with an account of every row: a bad one is listed, and the others are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from shared.contracts.tables import Column
from shared.tables.blocks import BLOCK_BYTES, Block, blocks, is_text
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits
from shared.tables.conversion import misfits, to_type
from shared.tables.jsonl_lines import (
    DATES,
    KINDS,
    SLOW_BYTES,
    BadLineError,
    jsonl_row_end,
    kind_of,
    lines_for,
    lines_in,
    object_in,
    pieces,
)
from shared.tables.jsonl_reader import read_fast, schema_of
from shared.tables.places import excerpt
from shared.tables.rows import BadRow, LineCounter, Rows

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType

Faults: TypeAlias = dict[int, tuple[str | None, str]]
"""What is wrong with rows: by position, (column, reason)."""


def read_jsonl_rows(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Rows]:
    """The same with an account of every row: what makes only a row bad does not end the reading."""
    first = 1
    with LineCounter(path, limits) as lines:
        declared = {column.name: column.type for column in columns}
        for block in blocks(path, limits, jsonl_row_end(path), block_bytes=block_bytes, check=False):
            for piece, batch, bad in _sorted_out(declared, block):
                rows = Rows(
                    first,
                    batch.num_rows + len(bad),
                    batch,
                    tuple(BadRow(first + at, *what) for at, what in sorted(bad.items())),
                    _Lines(lines, block, piece, first),
                )
                first += rows.count
                for start in range(0, rows.count, batch_rows):
                    yield rows.part(start, batch_rows) if rows.count > batch_rows else rows


class _Lines:
    """The line of a row; where rows start is found out when it is first asked for."""

    def __init__(self, counter: LineCounter, block: Block, piece: Block, first: int) -> None:
        self._counter = counter
        self._block = block
        self._piece = piece
        self._first = first
        self._starts: list[int] | None = None

    def __call__(self, row: int) -> int:
        if self._starts is None:
            self._starts = [at - self._block.offset for at, _ in lines_in(self._piece)]
        return self._counter.line(self._block, self._starts[row - self._first])


def _sorted_out(
    declared: Mapping[str, ColumnType], block: Block
) -> Iterator[tuple[Block, pa.RecordBatch, Faults]]:
    """(piece, its good rows, {position in the piece: (column, reason)} of its bad ones)."""

    def most_lines() -> int:
        return lines_for(len(declared))

    for piece in pieces(block, len(block.data), most_lines):
        batch = read_fast(declared, piece) if is_text(piece.data) else None
        if batch is not None:
            yield piece, batch, {}
            continue
        for small in pieces(piece, SLOW_BYTES, most_lines):
            batch = read_fast(declared, small) if is_text(small.data) else None
            yield (small, *(_sort_out(declared, small) if batch is None else (batch, {})))


def _sort_out(declared: Mapping[str, ColumnType], piece: Block) -> tuple[pa.RecordBatch, Faults]:
    bad: Faults = {}
    objects: dict[int, dict[str, object]] = {}
    for at, (_, line) in enumerate(lines_in(piece)):
        try:
            objects[at] = object_in(line)
        except BadLineError as error:
            bad[at] = (error.key, error.detail.lstrip(",: "))
    for name, kind in declared.items():
        for at, why in _unfit(name, kind, objects):
            bad.setdefault(at, (name, why))
    good = [row for at, row in objects.items() if at not in bad]
    arrays = []
    for name, kind in declared.items():
        values = [row.get(name) for row in good]
        texts = kind in DATES
        array = pa.array(values, pa.string() if texts else canonical_type(kind))
        arrays.append(to_type(array, kind) if texts else array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(declared)), bad


def _unfit(
    name: str, kind: ColumnType, objects: Mapping[int, Mapping[str, object]]
) -> Iterator[tuple[int, str]]:
    texts: dict[int, str] = {}
    for at, row in objects.items():
        value = row.get(name)
        if value is not None and kind_of(value) not in KINDS[kind]:
            shown = value if isinstance(value, str) else json.dumps(value)
            yield at, f"{excerpt(shown)} does not fit the type {kind}"
        elif isinstance(value, str):
            texts[at] = value
    if kind in DATES and texts:
        places = list(texts)
        for found in misfits(pa.array(texts.values(), pa.string()), kind):
            yield places[found], f"{excerpt(texts[places[found]])} does not fit the type {kind}"
