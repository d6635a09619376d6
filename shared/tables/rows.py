"""Rows of a file with an account of every one: those that could be read, and what is wrong with the others.

A row is bad when only it is: too few or too many values, a cell that is not of its column's type, broken JSON, bytes
that are not text. Where the fault makes it uncertain where the row ends (a stray or an open quote), or the whole file
is damaged, reading fails instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.tables.compression import open_text

if TYPE_CHECKING:
    from pathlib import Path

    from shared.tables.blocks import Block
    from shared.tables.contracts import Limits

_CHUNK_BYTES = 2**20


def _no_line(_: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class BadRow:
    """`row` is its number in the file, from 1, neither the header nor blank lines counted."""

    row: int
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a file, `first` … `first + count - 1`. `batch` holds the good ones, in order."""

    first: int
    count: int
    batch: pa.RecordBatch
    bad: tuple[BadRow, ...] = ()
    #: The line on which the row of a number starts; None in Parquet. To be asked before the next rows are.
    line: Callable[[int], int | None] = field(default=_no_line, compare=False)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """(len(batch),): the number of each good row."""
        every = np.arange(self.first, self.first + self.count)
        return np.delete(every, [bad.row - self.first for bad in self.bad]) if self.bad else every

    def moved(self, rows: int, lines: int) -> Self:
        """The same, so many rows and lines farther on in a file."""
        if rows == lines == 0:
            return self
        bad = tuple(replace(fault, row=fault.row + rows) for fault in self.bad)
        return replace(self, first=self.first + rows, bad=bad, line=_Moved(self.line, rows, lines))

    def part(self, start: int, count: int) -> Self:
        """At most `count` rows behind the first `start`."""
        first, end = self.first + start, min(self.first + start + count, self.first + self.count)
        low, high = np.searchsorted(self.numbers, [first, end])
        bad = tuple(row for row in self.bad if first <= row.row < end)
        return type(self)(first, end - first, self.batch.slice(low, high - low), bad, self.line)


@dataclass(frozen=True, slots=True)
class _Moved:
    line: Callable[[int], int | None]
    rows: int
    lines: int

    def __call__(self, row: int) -> int | None:
        line = self.line(row - self.rows)
        return None if line is None else line + self.lines


class LineCounter:
    """Lines of a text file, block after block: it is read a second time, but once, and only if a line is asked for."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._at = 0
        self._line = 1
        self._after_cr = False
        self._within = (0, 0, 1)
        self._file = open_text(path, limits)

    def line(self, block: Block, start: int) -> int:
        """The line that holds byte `start` of the block, at which a row starts.

        Blocks may be asked about in their order only; within one, asking in order saves time.
        """
        while self._at < block.offset:
            chunk = self._file.read(min(block.offset - self._at, _CHUNK_BYTES))
            self._line += _breaks(chunk, after_cr=self._after_cr)
            self._after_cr = chunk.endswith(b"\r")
            self._at += len(chunk)
        offset, seen, line = self._within
        if offset != block.offset or start < seen:
            seen, line = 0, self._line
        line += _breaks(bytes(block.data[seen:start]), after_cr=self._after_cr and seen == 0)
        self._within = (block.offset, start, line)
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _breaks(text: bytes, *, after_cr: bool) -> int:
    """LF, CRLF and a lone CR each end a line."""
    half = after_cr and text.startswith(b"\n")
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n") - half
