"""The profile of a JSON Lines file.

Columns come in the order in which their keys first appear; an absent key is a missing value. Strings that are all dates
make a date column; a quoted number is a string. An integer beyond 64 bits is a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.tables.blocks import BLOCK_BYTES, Block, blocks
from shared.tables.column_checks import check_cells, check_count, check_name
from shared.tables.column_types import canonical_type
from shared.tables.contracts import Limits, Profile
from shared.tables.conversion import widened_json_text
from shared.tables.jsonl_lines import (
    SLOW_BYTES,
    BadLineError,
    Kind,
    jsonl_row_end,
    kind_of,
    lines_for,
    lines_in,
    object_in,
    objects_in,
    parse_lines,
    pieces,
)
from shared.tables.places import excerpt, line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import ColumnType


def profile_jsonl(
    path: Path, limits: Limits, *, lenient: bool = False, block_bytes: int = BLOCK_BYTES
) -> Profile:
    profiler = _Profiler(path, limits, lenient)
    for block in blocks(path, limits, jsonl_row_end(path), block_bytes=block_bytes, check=not lenient):
        profiler.take(block)
    return profiler.profile()


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
        for piece in pieces(block, len(block.data), self._max_lines):
            if not self._take_fast(piece):
                for small in pieces(piece, SLOW_BYTES, self._max_lines):
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
        return lines_for(len(self.found))

    def _take_fast(self, piece: Block) -> bool:
        """Whether Arrow could take this piece, as the columns known so far; if not, nothing has changed."""
        schema = pa.schema(
            [
                (name, canonical_type(seen.type) if seen.type else pa.null())
                for name, seen in self.found.items()
            ]
        )
        table = parse_lines(piece, schema, unexpected="error")
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
        objects = self._readable(piece) if self.lenient else objects_in(self.path, piece)
        for rows, (at, row) in enumerate(objects, 1):  # noqa: B007
            for name, value in row.items():
                seen = self._column(name, at)
                if value is None:
                    continue
                seen.present += 1
                kind = kind_of(value)
                seen.tally[kind] += 1
                seen.kind = self._merged(name, seen.kind, kind, at)
                if isinstance(value, str):
                    texts.setdefault(name, []).append(value)
        for name, values in texts.items():
            self.found[name].text_type = widened_json_text(pa.array(values), self.found[name].text_type)
        self._count(rows, piece)

    def _readable(self, piece: Block) -> Iterator[tuple[int, dict[str, object]]]:
        """A line that is no object is a row without values."""
        for at, line in lines_in(piece):
            try:
                yield at, object_in(line)
            except BadLineError:
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
