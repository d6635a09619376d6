"""Arrow columns as numpy vectors: the one place that knows which Arrow types Graft's column types stand for.

A missing cell is null, or a float that is not finite. Every function accepts an `Array` or a `ChunkedArray`,
works chunk by chunk and never goes through Python objects or pandas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.tables import ColumnType

Vector = npt.NDArray[np.float64]
Table = Any  # pa.Table | pa.RecordBatch: pyarrow ships no types

#: The Arrow type that a column of each type is given when Graft makes the column itself.
ARROW_TYPES: dict[ColumnType, Any] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}

_DOUBLE = pa.float64()

MISSING = -1
UNSEEN = -2


def column_type(arrow: Any) -> ColumnType | None:
    """Graft's type of an Arrow type; None for what Graft does not read (lists, binary, …) and for all-null
    columns."""
    if pa.types.is_dictionary(arrow):
        return column_type(arrow.value_type)
    if pa.types.is_boolean(arrow):
        return "boolean"
    if pa.types.is_integer(arrow):
        return "integer"
    if pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
        return "number"
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return "string"
    if pa.types.is_date(arrow):
        return "date"
    if pa.types.is_timestamp(arrow):
        return "datetime"
    return None


def column(table: Table, name: str) -> Any:
    """The column of that name. Raises KeyError when there is none; the first one when there are several."""
    index = table.schema.get_field_index(name)
    if index < 0:  # there is none, or more than one
        names = table.schema.names
        if name not in names:
            raise KeyError(name)
        index = names.index(name)
    return table.column(index)


def numbers(values: Any) -> Vector:
    """Integers, floats, decimals or booleans as float64; NaN where missing. Raises TypeError for other
    types."""
    return _by_chunk(values, _numbers)


def numbers_of(columns: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Several columns as `numbers` has each, (rows, columns): for few rows, where each step costs more than they do."""
    return _finite(np.stack([_unchecked(values) for values in columns], axis=1))


def instants(values: Any) -> Vector:
    """Dates and timestamps as seconds since 1970-01-01T00:00Z, NaN where missing; a time without a zone is
    UTC."""
    return _by_chunk(values, _instants)


def category_codes(values: Any, categories: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """The position of each text in `categories`; MISSING for null, UNSEEN for a text that is not among
    them."""
    known = pa.array(categories, pa.string())
    found = [_codes(chunk, known) for chunk in chunks(values)]
    return np.concatenate(found) if found else np.empty(0, np.int32)


def chunks(values: Any) -> Iterator[Any]:
    """The contiguous pieces of a column."""
    return iter(values.chunks) if isinstance(values, pa.ChunkedArray) else iter((values,))


def _by_chunk(values: Any, convert: Any) -> Vector:
    if not isinstance(values, pa.ChunkedArray):
        return convert(values)  # type: ignore[no-any-return]
    if values.num_chunks == 1:
        return convert(values.chunk(0))  # type: ignore[no-any-return]
    out = np.empty(len(values), np.float64)
    start = 0
    for chunk in values.chunks:
        out[start : start + len(chunk)] = convert(chunk)
        start += len(chunk)
    return out


def _numbers(chunk: Any) -> Vector:
    kind = chunk.type
    if kind == _DOUBLE:  # most columns, and one row of an online prediction has many
        return _finite(chunk.to_numpy(zero_copy_only=False, writable=False).copy())
    if pa.types.is_null(kind):
        return np.full(len(chunk), np.nan)
    if pa.types.is_dictionary(kind):
        return _numbers(chunk.dictionary_decode())
    if column_type(kind) not in ("integer", "number", "boolean"):
        raise TypeError(f"{kind} is not a numeric column")
    if pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        chunk = chunk.cast(pa.int8() if pa.types.is_boolean(kind) else pa.float64())
    return _finite(chunk.to_numpy(zero_copy_only=False).astype(np.float64))


def _unchecked(values: Any) -> Vector:
    """As `numbers`, but that it may be Arrow's own memory, with infinities."""
    found: Vector = values.to_numpy(zero_copy_only=False) if values.type == _DOUBLE else numbers(values)
    return found


def _finite(values: Vector) -> Vector:
    """The same array, with NaN for what is not finite."""
    finite = np.isfinite(values)
    if not finite.all():
        values[~finite] = np.nan
    return values


def _instants(chunk: Any) -> Vector:
    kind = chunk.type
    if pa.types.is_null(kind):
        return np.full(len(chunk), np.nan)
    if pa.types.is_dictionary(kind):
        return _instants(chunk.dictionary_decode())
    if pa.types.is_date32(kind):
        ticks, per_second = chunk.cast(pa.int32()), 1 / 86_400
    elif pa.types.is_date64(kind):
        ticks, per_second = chunk.cast(pa.int64()), 1e3
    elif pa.types.is_timestamp(kind):
        ticks, per_second = chunk.cast(pa.int64()), {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    else:
        raise TypeError(f"{kind} is not a column of dates or times")
    out: Vector = ticks.to_numpy(zero_copy_only=False).astype(np.float64) / per_second
    return out


def _codes(chunk: Any, known: Any) -> npt.NDArray[np.int32]:
    kind = chunk.type
    if pa.types.is_null(kind):
        return np.full(len(chunk), MISSING, np.int32)
    if pa.types.is_dictionary(kind):
        words = _codes(chunk.dictionary, known)
        table = np.append(words, np.int32(MISSING)).astype(np.int32)  # the last entry serves null indices
        indices = pc.fill_null(chunk.indices.cast(pa.int64()), len(words)).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.int32] = table[indices]
        return found
    if column_type(kind) != "string":
        raise TypeError(f"{kind} is not a text column")
    index = pc.index_in(chunk.cast(pa.string()), value_set=known)
    out: npt.NDArray[np.int32] = pc.fill_null(index, UNSEEN).to_numpy(zero_copy_only=False).astype(np.int32)
    if chunk.null_count:
        out[pc.is_null(chunk).to_numpy(zero_copy_only=False)] = MISSING
    return out
