"""CSV: comma separated, quoted by RFC 4180, UTF-8, with a header.

Blank lines are skipped, everywhere. Profiling parses every cell as text and asks which types the text fits;
reading lets Arrow's own typed parser do all the work and looks for a place only once that has failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.blocks import BLOCK_BYTES, Block, blocks, is_text
from shared.tables.column_checks import require_columns
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits, Profile
from shared.tables.conversion import first_misfit, in_calendar, may_hold_codes, to_type, widened
from shared.tables.csv_parsing import TYPE_PHRASES, parse, read_header, single_chunks, sound_rows
from shared.tables.csv_rows import csv_row_end, rows_of
from shared.tables.places import excerpt, line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType


def profile_csv(
    path: Path, limits: Limits, *, lenient: bool = False, block_bytes: int = BLOCK_BYTES
) -> Profile:
    header = read_header(path, limits)
    text = dict.fromkeys(header.names, pa.string())
    types: dict[str, ColumnType | None] = dict.fromkeys(header.names)
    nulls = dict.fromkeys(header.names, 0)
    rows = 0
    for block in blocks(
        path, limits, csv_row_end(path), start=header.end, block_bytes=block_bytes, check=not lenient
    ):
        bad = 0
        try:
            if lenient and not is_text(block.data):
                raise pa.ArrowInvalid("not UTF-8")
            found = list(single_chunks(parse(block, header.names, text, threads=False)))
        except pa.ArrowInvalid as error:
            if not lenient:
                raise _misfit(path, block, header.names, {}, rows, error) from error
            sound, faults = sound_rows(block, len(header.names))
            found, bad = sound.columns(header.names, header.names, threads=False), len(faults)
        codes = may_hold_codes(block.data)
        for name, values in zip(header.names, found, strict=True):
            types[name] = widened(values, types[name], may_hold_codes=codes)
            nulls[name] += values.null_count
        rows += len(found[0]) + bad
    if rows == 0:
        raise InvalidInput("the file has a header but no rows", code="no_rows")
    columns = (Column(name=name, type=types[name] or "string", nulls=nulls[name]) for name in header.names)
    return Profile("csv", rows, tuple(columns))


def read_csv(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    header = read_header(path, limits)
    require_columns(columns, header.names)
    declared = {column.name: column.type for column in columns}
    # Arrow's parser takes datetimes with a zone or without, never both: those are converted from text.
    parsed = {name: pa.string() if t == "datetime" else canonical_type(t) for name, t in declared.items()}
    schema = pa.schema([(name, canonical_type(t)) for name, t in declared.items()])
    rows = 0
    for block in blocks(path, limits, csv_row_end(path), start=header.end, block_bytes=block_bytes):
        try:
            table = parse(block, header.names, parsed)
            arrays = [
                to_type(values, t) if t == "datetime" else in_calendar(values, t)
                for values, t in zip(single_chunks(table), declared.values(), strict=True)
            ]
        except pa.ArrowInvalid as error:
            raise _misfit(path, block, header.names, declared, rows, error) from error
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        rows += batch.num_rows
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)


def header_end(path: Path, limits: Limits) -> int:
    """Where the row after the header starts in the file. Raises InvalidInput as `read_csv` does."""
    return read_header(path, limits).end


def _misfit(
    path: Path,
    block: Block,
    names: list[str],
    declared: dict[str, ColumnType],
    rows_before: int,
    error: pa.ArrowInvalid,
) -> InvalidInput:
    """What is wrong in this block, and where: a ragged row, else the first value that does not convert."""
    starts: list[int] = []
    for row, (start, _, values) in enumerate(rows_of(block.data), rows_before + 1):
        if values != len(names):
            place = f"row {row} (line {line_at(path, block.offset + start)})"
            return InvalidInput(f"{place} has {values} values, expected {len(names)}", code="ragged_row")
        starts.append(start)
    first = _first_misfit(block, names, declared) if declared else None
    if first is None:
        return InvalidInput(f"the CSV cannot be read: {str(error)[:120]!a}", code="bad_csv")
    at, name, value = first
    line = line_at(path, block.offset + starts[at])
    problem = f"{excerpt(value)} is not {TYPE_PHRASES[declared[name]]}"
    return InvalidInput(
        f"row {rows_before + at + 1} (line {line}), column {excerpt(name)}: {problem}", code="type_mismatch"
    )


def _first_misfit(
    block: Block, names: list[str], declared: dict[str, ColumnType]
) -> tuple[int, str, str] | None:
    """(row in the block, column, text) of the first value that is not of its declared type."""
    table = parse(block, names, dict.fromkeys(declared, pa.string()))
    misfits = (
        (at, name, values[at].as_py())
        for name, values in zip(declared, single_chunks(table), strict=True)
        if (at := first_misfit(values, declared[name])) is not None
    )
    return min(misfits, default=None)
