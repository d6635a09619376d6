"""Cutting a file into pieces that can be read on their own, without parsing a value.

A piece of CSV or JSON Lines is a range of bytes that starts and ends where a row does; with the header before it, it
is a file of its own. A piece of Parquet is some row groups, and the rows of them that are its own: the local copy that
it is read from needs those and the footer, and may have holes everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.parquet as pq

from shared.tables.blocks import blocks
from shared.tables.compression import compression_of
from shared.tables.contracts import Limits, Piece, Range
from shared.tables.csv_reader import header_end
from shared.tables.csv_rows import Positions, csv_row_end, csv_row_ends
from shared.tables.jsonl_lines import jsonl_row_end, jsonl_row_ends
from shared.tables.parquet_reader import opened

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import Format

_TAIL_BYTES = 64 * 2**10


def footer(size: int, tail: bytes) -> Range:
    """Where the footer of a Parquet file of `size` bytes lies, by the file's last bytes (8 are enough).

    Damaged files give some range inside the file; reading it will tell.
    """
    length = int.from_bytes(tail[-8:-4], "little") + 8
    return max(0, size - length), size


def split(
    path: Path,
    format: Format,
    *,
    first: int,
    rows: int,
    limits: Limits = Limits(),  # noqa: B008
) -> Iterator[Piece]:
    """The pieces of a file in order: one of at most `first` rows, then of `rows` each; the last may be shorter.

    A compressed file is one piece, whatever its rows: there is no way into its middle.

    Of a Parquet file only the footer is looked at, of the others every byte. Raises InvalidInput where the file is
    damaged.
    """
    if format == "parquet":
        return _split_parquet(path, first, rows, limits)
    if compression_of(path):
        return _unsplit(path, format, limits)
    return _split_text(path, format, first, rows, limits)


def _split_parquet(path: Path, first: int, rows: int, limits: Limits) -> Iterator[Piece]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        tail = footer(size, file.read())
    with opened(path, limits) as file:
        metadata = file.metadata
    ends = np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
    start, wanted = 0, first
    while start < metadata.num_rows:
        end = min(start + wanted, metadata.num_rows)
        low = int(np.searchsorted(ends, start, "right"))
        high = int(np.searchsorted(ends, end, "left")) + 1
        before = int(ends[low - 1]) if low else 0
        yield Piece(
            first_row=start + 1,
            rows=end - start,
            ranges=((0, 4), _span(metadata, low, high), tail),
            groups=(low, high),
            skip=start - before,
        )
        start, wanted = end, rows


def _span(metadata: pq.FileMetaData, low: int, high: int) -> Range:
    """Where the pages of these row groups lie. Groups lie one after another, but their columns in any order."""
    starts, ends = [], []
    for group in range(low, high):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            begin = chunk.dictionary_page_offset or chunk.data_page_offset
            starts.append(min(begin, chunk.data_page_offset))
            ends.append(starts[-1] + chunk.total_compressed_size)
    return min(starts), max(ends)


def _unsplit(path: Path, format: Format, limits: Limits) -> Iterator[Piece]:
    rows = sum(piece.rows for piece in _split_text(path, format, 2**62, 2**62, limits))
    if rows:
        yield Piece(1, rows, ((0, path.stat().st_size),))


def _split_text(path: Path, format: Format, first: int, rows: int, limits: Limits) -> Iterator[Piece]:
    head = header_end(path, limits) if format == "csv" else 0
    row_end, row_ends = _ROWS[format]
    opened_at = _Mark(head, 0)
    scanned = _Mark(head, 0)
    count, done, wanted = 0, 0, first

    def piece(end: int) -> Piece:
        ranges = ((0, head), (opened_at.byte, end)) if head else ((opened_at.byte, end),)
        return Piece(done + 1, count, ranges, lines_before=opened_at.line)

    for block in blocks(path, limits, row_end(path), start=head, check=False):
        starts = _row_starts(block.data, row_ends(block.data), _BLANK[format])
        taken = 0
        while count + len(starts) - taken > wanted:
            taken += wanted - count
            count = wanted
            cut = int(starts[taken])
            yield piece(block.offset + cut)
            opened_at = _Mark(block.offset + cut, scanned.line + _line_ends(block.data[:cut]))
            done, count, wanted = done + wanted, 0, rows
        count += len(starts) - taken
        scanned = _Mark(block.offset + len(block.data), scanned.line + _line_ends(block.data))
    if count:
        yield piece(scanned.byte)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place between two rows: its byte, and the lines before it that follow the header."""

    byte: int
    line: int


def _row_starts(data: memoryview, ends: Positions, blank: bytes) -> Positions:
    """Where the rows begin that are not blank. `ends`: one past each row, the last row of the file maybe without."""
    starts = np.concatenate(([0], ends))
    starts = starts[starts < len(data)]
    view = np.frombuffer(data, np.uint8)
    doubtful = np.flatnonzero(np.isin(view[starts], np.frombuffer(blank, np.uint8)))
    bounds = np.append(starts, len(data))
    empty = [i for i in doubtful.tolist() if not bytes(data[bounds[i] : bounds[i + 1]]).strip(blank)]
    kept: Positions = np.delete(starts, empty)
    return kept


def _line_ends(data: memoryview) -> int:
    content = bytes(data)
    return content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")


#: What a line may hold and still be no row, as the readers have it.
_BLANK: Final = {"csv": b"\r\n", "jsonl": b" \t\n\r\x0b\x0c"}
_ROWS: Final = {"csv": (csv_row_end, csv_row_ends), "jsonl": (jsonl_row_end, jsonl_row_ends)}
