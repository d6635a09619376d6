"""How Graft's six column types and Arrow's types correspond.

    column type   in memory (CSV, JSON Lines)      Parquet types that count as it
    ───────────   ──────────────────────────────   ───────────────────────────────────────────────
    integer       int64                            int8 … int64, uint8 … uint64
    number        float64                          float16, float32, float64, decimal
    boolean       bool                             bool
    string        string (UTF-8)                   string, large_string, string_view, null
    date          date32                           date32, date64
    datetime      timestamp[us], in UTC, no zone   timestamp of any unit; in UTC if it has a zone

A dictionary counts as what it encodes. Everything else (binary, time, duration, interval, nested and
extension types) is refused: no column type could hold it without loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.types as pt

if TYPE_CHECKING:
    from shared.contracts.tables import ColumnType

_CANONICAL: Final[dict[ColumnType, pa.DataType]] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}


def canonical_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type in which CSV and JSON Lines columns of this type are read."""
    return _CANONICAL[column_type]


def column_type(arrow_type: pa.DataType) -> ColumnType | None:
    """What Graft calls this Arrow type; None where it has no name for it."""
    if pt.is_dictionary(arrow_type):
        return column_type(arrow_type.value_type)
    for holds, name in _NAMES:
        if holds(arrow_type):
            return name
    return None


_NAMES: Final[tuple[tuple[Callable[[pa.DataType], bool], ColumnType], ...]] = (
    (pt.is_integer, "integer"),
    (pt.is_floating, "number"),
    (pt.is_decimal, "number"),
    (pt.is_boolean, "boolean"),
    (pt.is_string, "string"),
    (pt.is_large_string, "string"),
    (pt.is_string_view, "string"),
    (pt.is_null, "string"),
    (pt.is_date, "date"),
    (pt.is_timestamp, "datetime"),
)


def decoded_type(arrow_type: pa.DataType) -> pa.DataType:
    """The type in which a supported Parquet column is handed out.

    Its own, except where that only encodes another one without loss: dictionaries are decoded, the string
    layouts become one, float16 (which most kernels refuse) widens, date64 narrows to days. Times with a zone come
    in UTC: the zone is a name that may not exist here, and says nothing about the moment.
    """
    if pt.is_dictionary(arrow_type):
        return decoded_type(arrow_type.value_type)
    match column_type(arrow_type):
        case "string":
            return pa.string()
        case "date":
            return pa.date32()
        case "datetime":
            return pa.timestamp(arrow_type.unit, "UTC") if arrow_type.tz else arrow_type
        case _:
            return pa.float32() if pt.is_float16(arrow_type) else arrow_type
