"""Text to typed values, and which types a column of text fits.

Inference and reading agree because both come down to `to_type`: a column is of a type when every one of its
values converts to it. The types widen like this, over the whole file and in any order of rows:

    (only missing values) ─► boolean ─────────────► string
                          ─► integer ─► number ───► string
                          ─► date ────► datetime ─► string

* Missing is exactly one of `MISSING`, quoted or not.
* Numbers and dates may have spaces or tabs around them. An integer beyond 64 bits makes a number.
* Digits with a leading zero ("00123") and hexadecimal ("0x1F") are codes, so their column is a string.
  A column that is *declared* numeric still reads "007" as 7.
* Booleans are true and false in any case, nothing else.
* Dates are YYYY-MM-DD; datetimes are ISO 8601 with `T` or a space and at most six fractional digits. A value
  with a zone is converted to UTC; one without is taken to be UTC.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.tables.column_types import canonical_type

if TYPE_CHECKING:
    from shared.contracts.tables import ColumnType

MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def _any_case(word: str) -> list[str]:
    return ["".join(letters) for letters in product(*((c, c.upper()) for c in word))]


TRUE: Final = _any_case("true")
FALSE: Final = _any_case("false")

_TEXT_WIDENS: Final[dict[ColumnType | None, tuple[ColumnType, ...]]] = {
    None: ("boolean", "integer", "number", "date", "datetime"),
    "boolean": ("boolean",),
    "integer": ("integer", "number"),
    "number": ("number",),
    "date": ("date", "datetime"),
    "datetime": ("datetime",),
    "string": (),
}
_PROBE_ROWS: Final = 100
_CODE: Final = r"^[ \t]*[+-]?0[0-9xX]"
_ZONED: Final = r"[ T]\d\d.*(Z|[+-]\d\d(:?\d\d)?)[ \t]*$"
#: Midnights of 0001-01-01 and 10000-01-01: Arrow's arithmetic goes beyond them, calendars do not.
_CALENDAR: Final = {
    "date": [pa.scalar(day, pa.int32()).cast(pa.date32()) for day in (-719_162, 2_932_897)],
    "datetime": [
        pa.scalar(day * 86_400_000_000, pa.int64()).cast(pa.timestamp("us")) for day in (-719_162, 2_932_897)
    ],
}


def widened(values: pa.Array, known: ColumnType | None, *, may_hold_codes: bool = True) -> ColumnType | None:
    """The narrowest type of `known` and wider that all of `values` (text, nulls for missing) convert to.

    None means that no value has been seen yet. `may_hold_codes=False` promises that none has a leading zero.
    """
    if known == "string" or values.null_count == len(values):
        return known
    candidates = _TEXT_WIDENS[known]
    if may_hold_codes and pc.any(pc.match_substring_regex(values, _CODE)).as_py():
        candidates = tuple(c for c in candidates if c not in ("integer", "number"))
    return next((c for c in candidates if converts(values, c)), "string")


def widened_json_text(values: pa.Array, known: ColumnType | None) -> ColumnType | None:
    """The same for JSON strings: they may be dates, but a quoted number is a string."""
    if known == "string" or values.null_count == len(values):
        return known
    candidates: tuple[ColumnType, ...] = ("datetime",) if known == "datetime" else ("date", "datetime")
    return next((c for c in candidates if converts(values, c)), "string")


def converts(values: pa.Array, wanted: ColumnType) -> bool:
    """Whether every value of this text converts to `wanted`."""
    try:
        # A cast that fails reports every value that does, at a microsecond each: a few show most misfits.
        to_type(values.slice(0, _PROBE_ROWS), wanted)
        to_type(values, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def first_misfit(values: pa.Array, wanted: ColumnType) -> int | None:
    """The index of the first value that does not convert, or None."""
    if converts(values, wanted):
        return None
    low, high = 0, len(values)  # values[:low] converts, values[:high] does not
    while high - low > 1:
        middle = (low + high) // 2
        if converts(values.slice(low, middle - low), wanted):
            low = middle
        else:
            high = middle
    return low


def misfits(values: pa.Array, wanted: ColumnType) -> list[int]:
    """The index of every value that does not convert, in order."""
    if converts(values, wanted):
        return []
    if len(values) == 1:
        return [0]
    half = len(values) // 2
    upper = misfits(values.slice(half), wanted)
    return [*misfits(values.slice(0, half), wanted), *(half + at for at in upper)]


def to_type(values: pa.Array, wanted: ColumnType) -> pa.Array:
    """Text as `canonical_type(wanted)`. Raises ArrowInvalid where a value does not convert."""
    match wanted:
        case "string":
            return values
        case "boolean":
            return _to_boolean(values)
        case "number":
            return _to_number(values)
        case "datetime":
            return in_calendar(_to_datetime(values), wanted)
        case _:
            return in_calendar(_cast_trimmed(values, canonical_type(wanted)), wanted)


def in_calendar(values: pa.Array, wanted: ColumnType) -> pa.Array:
    """`values`, unless one lies outside the years 1 to 9999."""
    if wanted in _CALENDAR:
        first, end = _CALENDAR[wanted]
        if pc.any(pc.or_(pc.less(values, first), pc.greater_equal(values, end))).as_py():
            raise pa.ArrowInvalid("outside the years 1 to 9999")
    return values


def _to_boolean(values: pa.Array) -> pa.Array:
    lowered = pc.utf8_lower(values)
    true = pc.equal(lowered, "true")
    if pc.any(pc.invert(pc.or_(true, pc.equal(lowered, "false")))).as_py():
        raise pa.ArrowInvalid("not a boolean")
    return true


def _to_number(values: pa.Array) -> pa.Array:
    numbers = _cast_trimmed(values, pa.float64())
    # Spellings of NaN that are not in MISSING are words: "Nan" is also a name.
    if pc.any(pc.is_nan(numbers)).as_py():
        raise pa.ArrowInvalid("not a number")
    return numbers


def _to_datetime(values: pa.Array) -> pa.Array:
    naive, utc = pa.timestamp("us"), pa.timestamp("us", "UTC")
    try:
        return _cast_trimmed(values, naive)
    except pa.ArrowInvalid:
        zoned = pc.match_substring_regex(values, _ZONED)
    nothing = pa.scalar(None, pa.string())
    with_zone = _cast_trimmed(pc.if_else(zoned, values, nothing), utc).cast(naive)
    return pc.coalesce(with_zone, _cast_trimmed(pc.if_else(zoned, nothing, values), naive))


def _cast_trimmed(values: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    try:
        return values.cast(arrow_type)
    except pa.ArrowInvalid:
        return pc.utf8_trim(values, characters=" \t").cast(arrow_type)


def iso_text(values: pa.Array) -> pa.Array:
    """Dates and datetimes as ISO 8601 text; what has a zone must be in UTC."""
    return pc.replace_substring(values.cast(pa.string()), " ", "T", max_replacements=1)


def may_hold_codes(block: memoryview) -> bool:
    """Whether any value in these CSV bytes could have a leading zero; False is certain, True is not.

    A few vectorised passes over the raw bytes, in windows that stay in the cache, cost a tenth of a regular
    expression on every cell.
    """
    view = np.frombuffer(block, np.uint8)
    starts = range(0, len(view), _WINDOW_BYTES)
    # Two bytes of context before, one after.
    return any(_codes_in(view[max(0, at - 2) : at + _WINDOW_BYTES + 1], first=at == 0) for at in starts)


def _codes_in(view: np.ndarray[tuple[int], np.dtype[np.uint8]], *, first: bool) -> bool:
    digit = (view - np.uint8(ord("0"))) < 10
    # A zero, a digit or an x after it, and before it neither a digit nor a point.
    zero = (view[:-1] == ord("0")) & (digit[1:] | (view[1:] | 0x20 == ord("x")))
    zero[1:] &= ~digit[:-2] & (view[:-2] != ord("."))
    at = np.flatnonzero(zero)
    if first and at.size and at[0] < 2:
        return True
    # Dates ("2024-01") and times ("10:05") are full of those: what counts is a separator just before, or a
    # sign or space with one more such byte before it.
    before, before_that = view[at - 1], view[at - 2]
    prefixed = _IS_PREFIX[before] & (_IS_SEPARATOR[before_that] | _IS_PREFIX[before_that])
    return bool(np.any(_IS_SEPARATOR[before] | prefixed))


_WINDOW_BYTES: Final = 2**17
_IS_SEPARATOR: Final = np.zeros(256, np.bool_)
_IS_SEPARATOR[list(b',\n\r"')] = True
_IS_PREFIX: Final = np.zeros(256, np.bool_)
_IS_PREFIX[list(b" \t+-")] = True
