"""Bring a table to a model's columns: by name, never by position, and with every deviation reported.

    found \\ wanted     integer, number   boolean        string    date            datetime
    integer, number    as it is          0 and 1 only  as text   no              no
    boolean            0 and 1           as it is       as text   no              no
    string             cell by cell      cell by cell   as it is  cell by cell    cell by cell
    date, datetime     no                no             as text   the date of it  midnight UTC

"no" makes every cell of the column bad that is not missing. What cannot be cast is not raised but marked,
so that a batch can skip the row or fail with its row, column and reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.tables import ColumnType
from shared.modeling.columns import ARROW_TYPES, Table, column, column_type
from shared.modeling.parsing import parse_boolean, parse_date, parse_datetime, parse_number

_PARSERS: dict[ColumnType, Callable[[str], Any]] = {
    "integer": parse_number,
    "number": parse_number,
    "boolean": parse_boolean,
    "date": parse_date,
    "datetime": parse_datetime,
}
_NUMERIC = ("integer", "number")
_TIMES = ("date", "datetime")


@dataclass(frozen=True, slots=True)
class BadCell:
    """A cell that the model cannot take: the row's position in this table, the column, the reason."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mistyped:
    """A column of another type than the model's; its cells were cast where they could be."""

    column: str
    expected: ColumnType
    found: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """The table as the model wants it, and what had to be done.

    table: the model's columns in the model's order, as many rows as came in; bad cells are null in it.
    missing: columns that were not there and are all null now. extra: columns that the model does not use.
    bad: one entry for each bad cell, by row. bad_rows: (rows,) True where a row has one.
    """

    table: Table
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    mistyped: tuple[Mistyped, ...]
    bad: tuple[BadCell, ...]
    bad_rows: npt.NDArray[np.bool_]

    def report(self) -> dict[str, Any]:
        """As JSON: {missing, extra, mistyped: [{column, expected, found, bad_cells}]}."""
        counts: dict[str, int] = {}
        for cell in self.bad:
            counts[cell.column] = counts.get(cell.column, 0) + 1
        mistyped = [
            {
                "column": item.column,
                "expected": item.expected,
                "found": item.found,
                "bad_cells": counts.get(item.column, 0),
            }
            for item in self.mistyped
        ]
        return {"missing": list(self.missing), "extra": list(self.extra), "mistyped": mistyped}


def align(table: Table, schema: Mapping[str, Any]) -> Alignment:
    """Align a `pa.Table` or `pa.RecordBatch` to `Model.schema()`. Never raises on data.

    A missing cell is bad only where the schema says that the column is not nullable.
    """
    names, arrays, missing, mistyped, bad = [], [], [], [], list[BadCell]()
    for wanted in schema["inputs"]:
        name, kind = wanted["name"], wanted["type"]
        names.append(name)
        try:
            values = column(table, name)
        except KeyError:
            missing.append(name)
            values = pa.nulls(table.num_rows, ARROW_TYPES[kind])
        else:
            found = column_type(values.type)
            if not _fits(found, kind) and not pa.types.is_null(values.type):
                mistyped.append(Mistyped(name, kind, found or str(values.type)))
                values, reasons = _cast(values, found, kind)
                bad.extend(BadCell(row, name, reason) for row, reason in reasons)
            elif pa.types.is_null(values.type):
                values = pa.nulls(table.num_rows, ARROW_TYPES[kind])
        arrays.append(values)
        if not wanted.get("nullable", True):
            bad.extend(_absent(values, name, {cell.row for cell in bad if cell.column == name}))
    bad.sort(key=lambda cell: cell.row)
    bad_rows = np.zeros(table.num_rows, np.bool_)
    bad_rows[[cell.row for cell in bad]] = True
    wanted_names = set(names)
    extra = tuple(name for name in table.schema.names if name not in wanted_names)
    made = pa.Table if isinstance(table, pa.Table) else pa.RecordBatch
    aligned = made.from_arrays(arrays, names=names) if names else table.select([])
    return Alignment(aligned, tuple(missing), extra, tuple(mistyped), tuple(bad), bad_rows)


def _fits(found: ColumnType | None, wanted: ColumnType) -> bool:
    return found == wanted or (found in _NUMERIC and wanted in _NUMERIC)


def _cast(values: Any, found: ColumnType | None, wanted: ColumnType) -> tuple[Any, list[tuple[int, str]]]:
    """The column in the wanted type, null where a cell cannot be cast, and (row, reason) for each of
    those."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = values.chunk(0) if values.num_chunks else pa.nulls(0, values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    arrow = ARROW_TYPES[wanted]
    if found == "string":
        return _parsed(values, wanted)
    if wanted == "string" and found is not None:
        return values.cast(arrow), []
    if found == "boolean" and wanted in _NUMERIC:
        return values.cast(pa.int8()).cast(arrow), []
    if found in _NUMERIC and wanted == "boolean":
        doubles = values.cast(pa.float64())
        fits = pc.fill_null(pc.or_(pc.equal(doubles, 0.0), pc.equal(doubles, 1.0)), True)
        kept = pc.if_else(fits, pc.equal(doubles, 1.0), None)
        return kept, _reasons(pc.invert(fits), "is neither 0 nor 1", values)
    if found in _TIMES and wanted in _TIMES:
        return _retimed(values, arrow), []
    return pa.nulls(len(values), arrow), _reasons(pc.is_valid(values), f"should be of type {wanted}", values)


def _retimed(values: Any, arrow: Any) -> Any:
    if pa.types.is_timestamp(values.type):
        naive = pc.cast(values, pa.timestamp(values.type.unit))
        return pc.floor_temporal(naive, unit="day").cast(arrow, safe=False)
    return values.cast(pa.timestamp("us")).cast(arrow)


def _parsed(values: Any, wanted: ColumnType) -> tuple[Any, list[tuple[int, str]]]:
    """Text cells, each distinct text parsed once. Blank text is a missing cell."""
    encoded = values.cast(pa.string()).dictionary_encode()
    parsed: list[Any] = []
    reasons: list[str | None] = []
    for text in encoded.dictionary.to_pylist():
        try:
            parsed.append(_PARSERS[wanted](text) if text.strip() else None)
            reasons.append(None)
        except ValueError as error:
            parsed.append(None)
            reasons.append(str(error))
    arrow = pa.float64() if wanted in _NUMERIC else ARROW_TYPES[wanted]
    words = pa.array(parsed, arrow)
    cells = words.take(encoded.indices)
    wrong = pa.array([reason is not None for reason in reasons], pa.bool_()).take(encoded.indices)
    rows = np.flatnonzero(pc.fill_null(wrong, False).to_numpy(zero_copy_only=False))
    codes = encoded.indices
    return cells, [(int(row), str(reasons[codes[int(row)].as_py()])) for row in rows]


def _reasons(wrong: Any, sentence: str, values: Any) -> list[tuple[int, str]]:
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
    return [(int(row), f"{values[int(row)].as_py()} {sentence}") for row in rows]


def _absent(values: Any, name: str, already: set[int]) -> list[BadCell]:
    null = (
        pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
        if len(values)
        else np.zeros(0, bool)
    )
    rows = (int(row) for row in np.flatnonzero(null))
    return [BadCell(row, name, "is missing") for row in rows if row not in already]
