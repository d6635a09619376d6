"""JSON Lines: where rows end, a piece by Arrow's parser, and a line by Python's.

Arrow's parser is fast and lax: it takes NaN, several objects on a line or one over several lines, and overflows the
stack on deep nesting when it infers types. So it is given the types, and only what passes is kept; any piece of the
file about which it complains, or whose lines do not look plain, is parsed again line by line with Python's parser,
which has the last word and knows the place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.types as pt

from shared.errors import InvalidInput
from shared.tables.blocks import Block, is_text
from shared.tables.places import excerpt, line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType
    from shared.tables.blocks import RowEnd
    from shared.tables.csv_rows import Positions

Kind: TypeAlias = Literal["boolean", "integer", "number", "text"]

SLOW_BYTES: Final = 2**18
#: Absent keys cost memory but no bytes of the file; a parse takes no more lines than keep to this many cells.
_MAX_CELLS: Final = 2**21
DATES: Final = ("date", "datetime")
KINDS: Final[dict[ColumnType, tuple[Kind, ...]]] = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "number": ("number", "integer"),
    "string": ("text",),
    "date": ("text",),
    "datetime": ("text",),
}


def jsonl_row_end(_path: Path) -> RowEnd:
    """The row-end rule of JSON Lines."""
    return _row_end


def jsonl_row_ends(data: memoryview) -> Positions:
    """One past every line end."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1


def _row_end(buffer: bytearray, filled: int, _offset: int, last: bool) -> int:
    return filled if last else buffer.rfind(b"\n", 0, filled) + 1


def lines_for(columns: int) -> int:
    return max(1, _MAX_CELLS // max(1, columns))


def pieces(block: Block, max_bytes: int, max_lines: Callable[[], int]) -> Iterator[Block]:
    """The block cut at line ends; a piece has at least one line.

    `max_lines` is asked for every piece: one piece can bring so many new columns that the next must be short.
    """
    ends = jsonl_row_ends(block.data)
    if not ends.size or ends[-1] < len(block.data):
        ends = np.append(ends, len(block.data))
    start = first = 0
    while first < len(ends):
        last = min(int(np.searchsorted(ends, start + max_bytes, "right")), first + max_lines())
        last = max(last, first + 1)
        end = int(ends[last - 1])
        yield Block(block.data[start:end], block.offset + start)
        start, first = end, last


def parse_lines(
    piece: Block, schema: pa.Schema, *, unexpected: Literal["error", "ignore"]
) -> pa.Table | None:
    """The piece by Arrow's parser, dates as text; None unless each line is certainly one object."""
    text = bytes(piece.data)
    lines = _plain_lines(text)
    if lines is None:
        return None
    parsed = pa.schema([pa.field(f.name, pa.string()) if pt.is_temporal(f.type) else f for f in schema])
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(text),
            read_options=pyarrow.json.ReadOptions(block_size=len(text) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=parsed, newlines_in_values=False, unexpected_field_behavior=unexpected
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != lines or not all(_is_finite(values) for values in table.columns):
        return None
    return table


def _plain_lines(text: bytes) -> int | None:
    """The number of lines if each runs from `{` to `}`, else None.

    Inside an object `}` and `{` cannot follow one another, and a string holds no bare line end, so in valid
    JSON every line end is then between two objects. As many objects as lines means one on each.
    """
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    joints = text.count(b"}\n{") or text.count(b"}\r\n{")
    plain = text.startswith(b"{") and text.endswith((b"}\n", b"}\r\n", b"}")) and joints == lines - 1
    return lines if plain else None


def _is_finite(values: pa.ChunkedArray) -> bool:
    return not pt.is_floating(values.type) or pc.all(pc.is_finite(values)).as_py() is not False


def single_chunk(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def objects_in(path: Path, piece: Block) -> Iterator[tuple[int, dict[str, object]]]:
    """(place in the file, object) of every line that is not blank. Raises InvalidInput with the line."""
    for at, line in lines_in(piece):
        try:
            yield at, _object(line.decode())
        except BadLineError as error:
            raise InvalidInput(f"line {line_at(path, at)}{error.detail}", code=error.code) from error


def lines_in(piece: Block) -> Iterator[tuple[int, bytes]]:
    """(place in the file, text) of every line that is not blank."""
    at = piece.offset
    for line in bytes(piece.data).split(b"\n"):
        if line.strip():
            yield at, line
        at += len(line) + 1


class BadLineError(ValueError):
    def __init__(self, code: str, detail: str, key: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.key = key


def object_in(line: bytes) -> dict[str, object]:
    """The object of a line of which nothing is known yet. Raises BadLineError."""
    if not is_text(line):
        raise BadLineError("invalid_utf8", " holds bytes that are not UTF-8 text")
    return _object(line.decode())


def _object(line: str) -> dict[str, object]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise BadLineError("bad_json_line", f", character {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise BadLineError("nested_value", " is nested too deeply; values must be plain") from error
    except BadLineError:
        raise
    except ValueError as error:  # Python refuses to convert thousands of digits
        raise BadLineError("bad_json_line", " has a number that is too large") from error
    if not isinstance(value, dict):
        raise BadLineError("bad_json_line", f" is not an object: {excerpt(line)}")
    for key, cell in value.items():
        _check_cell(key, cell)
    return value


def _check_cell(key: str, cell: object) -> None:
    if isinstance(cell, dict | list):
        raise _bad_cell("nested_value", key, "the value is nested; values must be plain")
    if isinstance(cell, int | float) and not _fits_double(cell):
        raise _bad_cell("bad_json_line", key, "the number is too large")
    if isinstance(cell, str) and not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise _bad_cell("bad_json_line", key, "half of a surrogate pair") from error


def _bad_cell(code: str, key: str, problem: str) -> BadLineError:
    return BadLineError(code, f", key {excerpt(key)}: {problem}", key)


def _fits_double(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def kind_of(value: object) -> Kind:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer" if -(2**63) <= value < 2**63 else "number"
        case float():
            return "number"
        case _:
            return "text"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadLineError("duplicate_column", f" has the key {excerpt(twice)} twice")
    return row


def _no_constant(name: str) -> object:
    raise BadLineError("bad_json_line", f": {name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
