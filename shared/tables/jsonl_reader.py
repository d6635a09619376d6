"""JSON Lines: one flat object a line, blank lines skipped.

Arrow's parser is fast and lax: it takes NaN, several objects on a line or one over several lines, and
overflows the stack on deep nesting when it infers types. So it is given the types, and only what passes is
kept; any piece of the file about which it complains, or whose lines do not look plain, is parsed again line
by line with Python's parser, which has the last word and knows the place.

Columns come in the order in which their keys first appear; an absent key is a missing value. Strings that are
all dates make a date column; a quoted number is a string. An integer beyond 64 bits is a number.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.types as pt

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.blocks import BLOCK_BYTES, Block, blocks, is_text
from shared.tables.column_checks import check_cells, check_count, check_name
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits, Profile
from shared.tables.conversion import first_misfit, misfits, to_type, widened_json_text
from shared.tables.places import excerpt, line_at
from shared.tables.rows import BadRow, LineCounter, Rows

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType
    from shared.tables.blocks import RowEnd
    from shared.tables.csv_rows import Positions

Faults: TypeAlias = dict[int, tuple[str | None, str]]
Kind: TypeAlias = Literal["boolean", "integer", "number", "text"]

_SLOW_BYTES: Final = 2**18
#: Absent keys cost memory but no bytes of the file; a parse takes no more lines than keep to this many cells.
_MAX_CELLS: Final = 2**21
_DATES: Final = ("date", "datetime")
_KINDS: Final[dict[ColumnType, tuple[Kind, ...]]] = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "number": ("number", "integer"),
    "string": ("text",),
    "date": ("text",),
    "datetime": ("text",),
}


def profile_jsonl(
    path: Path, limits: Limits, *, lenient: bool = False, block_bytes: int = BLOCK_BYTES
) -> Profile:
    profiler = _Profiler(path, limits, lenient)
    for block in blocks(path, limits, _row_end, block_bytes=block_bytes, check=not lenient):
        profiler.take(block)
    return profiler.profile()


def read_jsonl(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    reader = _Reader(path, {column.name: column.type for column in columns})
    for block in blocks(path, limits, _row_end, block_bytes=block_bytes):
        for batch in reader.batches(block):
            for start in range(0, batch.num_rows, batch_rows):
                yield batch.slice(start, batch_rows)


def read_jsonl_rows(
    path: Path, columns: Sequence[Column], batch_rows: int, limits: Limits, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Rows]:
    """The same with an account of every row: what makes only a row bad does not end the reading."""
    first = 1
    with LineCounter(path, limits) as lines:
        reader = _Reader(path, {column.name: column.type for column in columns})
        for block in blocks(path, limits, _row_end, block_bytes=block_bytes, check=False):
            for piece, batch, bad in reader.sorted_out(block):
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
            self._starts = [at - self._block.offset for at, _ in _lines(self._piece)]
        return self._counter.line(self._block, self._starts[row - self._first])


@dataclass(slots=True)
class _Found:
    """What has been seen of one column."""

    kind: Kind | None = None
    #: How many values of each kind; of interest only where they may differ.
    tally: Counter[Kind] = field(default_factory=Counter)
    #: The narrowest type of the strings so far, for the kind `text`.
    text_type: ColumnType | None = None
    present: int = 0

    @property
    def type(self) -> ColumnType | None:
        return self.text_type if self.kind == "text" else self.kind

    def settle(self) -> None:
        """Let the most frequent kind rule; integers are numbers where numbers are among the values."""
        tally = Counter(self.tally)
        if tally["number"]:
            tally["number"] += tally.pop("integer", 0)
        if tally:
            self.kind = tally.most_common(1)[0][0]


@dataclass(slots=True)
class _Profiler:
    path: Path
    limits: Limits
    #: Count bad rows instead of refusing them; of values of several kinds the most frequent kind makes the column.
    lenient: bool = False
    found: dict[str, _Found] = field(default_factory=dict)
    rows: int = 0

    def take(self, block: Block) -> None:
        for piece in _pieces(block, len(block.data), self._max_lines):
            if not self._take_fast(piece):
                for small in _pieces(piece, _SLOW_BYTES, self._max_lines):
                    if not self._take_fast(small):
                        self._take_slowly(small)

    def profile(self) -> Profile:
        if not self.rows:
            if self.path.stat().st_size == 0:
                raise InvalidInput("the file is empty", code="empty_table")
            raise InvalidInput("the file has only blank lines", code="no_rows")
        if not self.found:
            raise InvalidInput("no object has a key, so the table has no columns", code="empty_table")
        if self.lenient:
            for seen in self.found.values():
                seen.settle()
        columns = (
            Column(name=name, type=seen.type or "string", nulls=self.rows - seen.present)
            for name, seen in self.found.items()
        )
        return Profile("jsonl", self.rows, tuple(columns))

    def _count(self, rows: int, piece: Block) -> None:
        self.rows += rows
        size = piece.offset + len(piece.data)
        check_cells(self.rows, len(self.found), size, self.limits.max_jsonl_cells_per_byte)

    def _max_lines(self) -> int:
        return _lines_for(len(self.found))

    def _take_fast(self, piece: Block) -> bool:
        """Whether Arrow could take this piece, as the columns known so far; if not, nothing has changed."""
        schema = pa.schema(
            [
                (name, canonical_type(seen.type) if seen.type else pa.null())
                for name, seen in self.found.items()
            ]
        )
        table = _parse(piece, schema, unexpected="error")
        if table is None:
            return False
        for seen, values in zip(self.found.values(), table.columns, strict=True):
            if seen.kind == "text":
                seen.text_type = widened_json_text(values, seen.text_type)
            seen.present += len(values) - values.null_count
            if seen.kind is not None:
                seen.tally[seen.kind] += len(values) - values.null_count
        self._count(table.num_rows, piece)
        return True

    def _take_slowly(self, piece: Block) -> None:
        texts: dict[str, list[str]] = {}
        rows = 0
        objects = self._readable(piece) if self.lenient else _objects(self.path, piece)
        for rows, (at, row) in enumerate(objects, 1):  # noqa: B007
            for name, value in row.items():
                seen = self._column(name, at)
                if value is None:
                    continue
                seen.present += 1
                kind = _kind(value)
                seen.tally[kind] += 1
                seen.kind = self._merged(name, seen.kind, kind, at)
                if isinstance(value, str):
                    texts.setdefault(name, []).append(value)
        for name, values in texts.items():
            self.found[name].text_type = widened_json_text(pa.array(values), self.found[name].text_type)
        self._count(rows, piece)

    def _readable(self, piece: Block) -> Iterator[tuple[int, dict[str, object]]]:
        """A line that is no object is a row without values."""
        for at, line in _lines(piece):
            try:
                yield at, _object_in(line)
            except _BadLineError:
                yield at, {}

    def _column(self, name: str, at: int) -> _Found:
        seen = self.found.get(name)
        if seen is None:
            check_name(name, lambda: f"line {line_at(self.path, at)}: a key", self.limits)
            check_count(len(self.found) + 1, self.limits)
            seen = self.found[name] = _Found()
        return seen

    def _merged(self, name: str, known: Kind | None, kind: Kind, at: int) -> Kind:
        if known is None or known == kind:
            return kind
        if {known, kind} == {"integer", "number"}:
            return "number"
        if self.lenient:
            return known
        raise InvalidInput(
            f"line {line_at(self.path, at)}, key {excerpt(name)}: {kind} where the lines before have {known}",
            code="mixed_types",
        )


@dataclass(slots=True)
class _Reader:
    path: Path
    declared: dict[str, ColumnType]
    rows: int = 0

    def batches(self, block: Block) -> Iterator[pa.RecordBatch]:
        for piece in _pieces(block, len(block.data), self._max_lines):
            batch = self._read_fast(piece)
            if batch is not None:
                yield self._counted(batch)
                continue
            for small in _pieces(piece, _SLOW_BYTES, self._max_lines):
                batch = self._read_fast(small)
                yield self._counted(self._read_slowly(small) if batch is None else batch)

    def sorted_out(self, block: Block) -> Iterator[tuple[Block, pa.RecordBatch, Faults]]:
        """(piece, its good rows, {position in the piece: (column, reason)} of its bad ones)."""
        for piece in _pieces(block, len(block.data), self._max_lines):
            batch = self._read_fast(piece) if is_text(piece.data) else None
            if batch is not None:
                yield piece, batch, {}
                continue
            for small in _pieces(piece, _SLOW_BYTES, self._max_lines):
                batch = self._read_fast(small) if is_text(small.data) else None
                yield (small, *(self._sort_out(small) if batch is None else (batch, {})))

    def _sort_out(self, piece: Block) -> tuple[pa.RecordBatch, Faults]:
        bad: Faults = {}
        objects: dict[int, dict[str, object]] = {}
        for at, (_, line) in enumerate(_lines(piece)):
            try:
                objects[at] = _object_in(line)
            except _BadLineError as error:
                bad[at] = (error.key, error.detail.lstrip(",: "))
        for name, kind in self.declared.items():
            for at, why in self._unfit(name, kind, objects):
                bad.setdefault(at, (name, why))
        good = [row for at, row in objects.items() if at not in bad]
        arrays = []
        for name, kind in self.declared.items():
            values = [row.get(name) for row in good]
            texts = kind in _DATES
            array = pa.array(values, pa.string() if texts else canonical_type(kind))
            arrays.append(to_type(array, kind) if texts else array)
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema), bad

    def _unfit(
        self, name: str, kind: ColumnType, objects: Mapping[int, Mapping[str, object]]
    ) -> Iterator[tuple[int, str]]:
        texts: dict[int, str] = {}
        for at, row in objects.items():
            value = row.get(name)
            if value is not None and _kind(value) not in _KINDS[kind]:
                shown = value if isinstance(value, str) else json.dumps(value)
                yield at, f"{excerpt(shown)} does not fit the type {kind}"
            elif isinstance(value, str):
                texts[at] = value
        if kind in _DATES and texts:
            places = list(texts)
            for found in misfits(pa.array(texts.values(), pa.string()), kind):
                yield places[found], f"{excerpt(texts[places[found]])} does not fit the type {kind}"

    def _max_lines(self) -> int:
        return _lines_for(len(self.declared))

    def _counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.rows += batch.num_rows
        return batch

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, canonical_type(kind)) for name, kind in self.declared.items()])

    def _read_fast(self, piece: Block) -> pa.RecordBatch | None:
        table = _parse(piece, self._schema, unexpected="ignore")
        if table is None:
            return None
        try:
            arrays = [
                to_type(_array(values), kind) if kind in _DATES else _array(values)
                for values, kind in zip(table.columns, self.declared.values(), strict=True)
            ]
        except pa.ArrowInvalid:
            return None
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _read_slowly(self, piece: Block) -> pa.RecordBatch:
        places, objects = [], []
        for at, row in _objects(self.path, piece):
            places.append(at)
            objects.append(row)
        arrays = []
        for name, kind in self.declared.items():
            values = [row.get(name) for row in objects]
            for index, value in enumerate(values):
                if value is not None and _kind(value) not in _KINDS[kind]:
                    raise self._mismatch(places[index], index, name, value)
            arrays.append(self._converted(values, kind, name, places))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _converted(self, values: list[object], kind: ColumnType, name: str, places: list[int]) -> pa.Array:
        if kind not in _DATES:
            return pa.array(values, canonical_type(kind))
        texts = pa.array(values, pa.string())
        wrong = first_misfit(texts, kind)
        if wrong is not None:
            raise self._mismatch(places[wrong], wrong, name, values[wrong])
        return to_type(texts, kind)

    def _mismatch(self, at: int, index: int, name: str, value: object) -> InvalidInput:
        return InvalidInput(
            f"row {self.rows + index + 1} (line {line_at(self.path, at)}), key {excerpt(name)}: "
            f"{excerpt(json.dumps(value))} does not fit the type {self.declared[name]}",
            code="type_mismatch",
        )


def jsonl_row_end(_path: Path) -> RowEnd:
    """The row-end rule of JSON Lines."""
    return _row_end


def jsonl_row_ends(data: memoryview) -> Positions:
    """One past every line end."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1


def _row_end(buffer: bytearray, filled: int, _offset: int, last: bool) -> int:
    return filled if last else buffer.rfind(b"\n", 0, filled) + 1


def _lines_for(columns: int) -> int:
    return max(1, _MAX_CELLS // max(1, columns))


def _pieces(block: Block, max_bytes: int, max_lines: Callable[[], int]) -> Iterator[Block]:
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


def _parse(piece: Block, schema: pa.Schema, *, unexpected: Literal["error", "ignore"]) -> pa.Table | None:
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


def _array(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _objects(path: Path, piece: Block) -> Iterator[tuple[int, dict[str, object]]]:
    """(place in the file, object) of every line that is not blank. Raises InvalidInput with the line."""
    for at, line in _lines(piece):
        try:
            yield at, _object(line.decode())
        except _BadLineError as error:
            raise InvalidInput(f"line {line_at(path, at)}{error.detail}", code=error.code) from error


def _lines(piece: Block) -> Iterator[tuple[int, bytes]]:
    """(place in the file, text) of every line that is not blank."""
    at = piece.offset
    for line in bytes(piece.data).split(b"\n"):
        if line.strip():
            yield at, line
        at += len(line) + 1


class _BadLineError(ValueError):
    def __init__(self, code: str, detail: str, key: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.key = key


def _object_in(line: bytes) -> dict[str, object]:
    """The object of a line of which nothing is known yet. Raises _BadLineError."""
    if not is_text(line):
        raise _BadLineError("invalid_utf8", " holds bytes that are not UTF-8 text")
    return _object(line.decode())


def _object(line: str) -> dict[str, object]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise _BadLineError("bad_json_line", f", character {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _BadLineError("nested_value", " is nested too deeply; values must be plain") from error
    except _BadLineError:
        raise
    except ValueError as error:  # Python refuses to convert thousands of digits
        raise _BadLineError("bad_json_line", " has a number that is too large") from error
    if not isinstance(value, dict):
        raise _BadLineError("bad_json_line", f" is not an object: {excerpt(line)}")
    for key, cell in value.items():
        _check_cell(key, cell)
    return value


def _check_cell(key: str, cell: object) -> None:
    place = f", key {excerpt(key)}"
    if isinstance(cell, dict | list):
        raise _BadLineError("nested_value", f"{place}: the value is nested; values must be plain", key)
    if isinstance(cell, int | float) and not _fits_double(cell):
        raise _BadLineError("bad_json_line", f"{place}: the number is too large", key)
    if isinstance(cell, str) and not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise _BadLineError("bad_json_line", f"{place}: half of a surrogate pair", key) from error


def _fits_double(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _kind(value: object) -> Kind:
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
        raise _BadLineError("duplicate_column", f" has the key {excerpt(twice)} twice")
    return row


def _no_constant(name: str) -> object:
    raise _BadLineError("bad_json_line", f": {name} is not JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
