"""CSV with an account of every row: a bad one is listed, and the others are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from shared.contracts.tables import Column
from shared.tables.blocks import BLOCK_BYTES, Block, blocks, is_text
from shared.tables.column_checks import require_columns
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits
from shared.tables.conversion import in_calendar, misfits, to_type
from shared.tables.csv_parsing import TYPE_PHRASES, parse, read_header, single_chunks, sound_rows
from shared.tables.csv_rows import csv_row_end, rows_of
from shared.tables.places import excerpt
from shared.tables.rows import BadRow, LineCounter, Rows

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType


def read_csv_rows(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Rows]:
    """The same with an account of every row: what makes only a row bad does not end the reading."""
    header = read_header(path, limits)
    require_columns(columns, header.names)
    declared = {column.name: column.type for column in columns}
    schema = pa.schema([(name, canonical_type(kind)) for name, kind in declared.items()])
    first = 1
    with LineCounter(path, limits) as lines:
        for block in blocks(
            path, limits, csv_row_end(path), start=header.end, block_bytes=block_bytes, check=False
        ):
            arrays = _converted(block, header.names, declared)
            bad: dict[int, tuple[str | None, str]] = {}
            if arrays is None:
                arrays, bad = _sorted_out(block, header.names, declared)
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            rows = Rows(
                first,
                batch.num_rows + len(bad),
                batch,
                tuple(BadRow(first + at, *what) for at, what in sorted(bad.items())),
                _Lines(lines, block, first),
            )
            first += rows.count
            for start in range(0, rows.count, batch_rows):
                yield rows.part(start, batch_rows) if rows.count > batch_rows else rows


class _Lines:
    """The line of a row; where rows start is found out when it is first asked for."""

    def __init__(self, counter: LineCounter, block: Block, first: int) -> None:
        self._counter = counter
        self._block = block
        self._first = first
        self._starts: list[int] | None = None

    def __call__(self, row: int) -> int:
        if self._starts is None:
            self._starts = [start for start, _, _ in rows_of(self._block.data)]
        return self._counter.line(self._block, self._starts[row - self._first])


def _converted(block: Block, names: list[str], declared: dict[str, ColumnType]) -> list[pa.Array] | None:
    """The declared columns in their types; None where any cell does not fit, or a row does not."""
    if not is_text(block.data):
        return None
    # Arrow's parser takes datetimes with a zone or without, never both: those are converted from text.
    parsed = {name: pa.string() if t == "datetime" else canonical_type(t) for name, t in declared.items()}
    try:
        table = parse(block, names, parsed)
        return [
            to_type(values, t) if t == "datetime" else in_calendar(values, t)
            for values, t in zip(single_chunks(table), declared.values(), strict=True)
        ]
    except pa.ArrowInvalid:
        return None


def _sorted_out(
    block: Block, names: list[str], declared: dict[str, ColumnType]
) -> tuple[list[pa.Array], dict[int, tuple[str | None, str]]]:
    """(columns of the good rows, {position in the block: (column, reason)} of the bad ones)."""
    sound, bad = sound_rows(block, len(names))
    if not sound.rows:
        return [pa.array([], canonical_type(kind)) for kind in declared.values()], bad
    texts = dict(zip(declared, sound.columns(names, list(declared)), strict=True))
    wrong: dict[int, tuple[str, str]] = {}
    for name, values in texts.items():
        for at in misfits(values, declared[name]):
            wrong.setdefault(
                at, (name, f"{excerpt(values[at].as_py())} is not {TYPE_PHRASES[declared[name]]}")
            )
    keep = np.ones(len(sound.rows), np.bool_)
    keep[list(wrong)] = False
    arrays = [to_type(values.filter(pa.array(keep)), declared[name]) for name, values in texts.items()]
    return arrays, bad | {sound.rows[at]: what for at, what in wrong.items()}
