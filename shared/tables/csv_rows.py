"""Where CSV rows end and whether their quotes are sound, by RFC 4180 and without parsing a value.

A quote opens only at the start of a value and closes only at its end; inside, it is doubled. On such text a
byte is inside quotes exactly if an odd number of quotes precede it, which is a search in a sorted array. Rows
end with LF, CRLF or a lone CR.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from shared.errors import InvalidInput
from shared.tables.places import line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.tables.blocks import RowEnd

Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
Positions: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

_LF, _CR, _QUOTE, _COMMA = b'\n\r",'
_BEFORE_QUOTE = np.array([_LF, _CR, _COMMA], np.uint8)
_AFTER_QUOTE = np.array([_LF, _CR, _COMMA, _QUOTE], np.uint8)


def csv_row_end(path: Path) -> RowEnd:
    """The row-end rule of CSV. Raises InvalidInput: `stray_quote`, `unbalanced_quotes`."""
    return partial(_row_end, path)


def csv_row_ends(data: memoryview) -> Positions:
    """One past the end of every row that a line end closes; blank lines are rows here."""
    view: Bytes = np.frombuffer(data, np.uint8)
    ends = _row_ends(view, np.flatnonzero(view == _QUOTE))
    return np.append(ends, len(view)) if len(view) and view[-1] == _CR else ends


def rows_of(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """(start, end, values) of every row that is not blank. Slow; for finding the place of an error."""
    view: Bytes = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(view == _QUOTE)
    ends = _row_ends(view, quotes)
    if not ends.size or ends[-1] < len(view):
        ends = np.append(ends, len(view))
    starts = np.concatenate(([0], ends[:-1]))
    commas = _outside(np.flatnonzero(view == _COMMA), quotes)
    counts = np.diff(np.searchsorted(commas, np.concatenate((starts, [len(view)])))) + 1
    for start, end, count in zip(starts.tolist(), ends.tolist(), counts.tolist(), strict=True):
        if bytes(data[start:end]).strip(b"\r\n"):
            yield start, end, count


def _row_end(path: Path, buffer: bytearray, filled: int, offset: int, last: bool) -> int:
    if buffer.find(_QUOTE, 0, filled) < 0:
        if last:
            return filled
        # Should this CR be half of a CRLF, the LF starts the next block as a blank line.
        return (buffer.rfind(b"\n", 0, filled) + 1) or (buffer.rfind(b"\r", 0, filled) + 1)
    view: Bytes = np.frombuffer(buffer, np.uint8, filled)
    quotes = np.flatnonzero(view == _QUOTE)
    if last:
        end = filled
    else:
        ends = _row_ends(view, quotes)
        end = int(ends[-1]) if ends.size else 0
    # Without a row end, the quotes are to blame or the row is long: look at all of them to tell.
    seen = end or filled
    _check_quotes(path, view[:seen], quotes[: np.searchsorted(quotes, seen)], offset, closed=end > 0)
    return end


def _row_ends(view: Bytes, quotes: Positions) -> Positions:
    """One past each line end outside quotes; a CR in the last byte is left open."""
    breaks = view == _LF
    cr = np.flatnonzero(view[:-1] == _CR)
    breaks[cr[view[cr + 1] != _LF]] = True
    return _outside(np.flatnonzero(breaks), quotes) + 1


def _outside(positions: Positions, quotes: Positions) -> Positions:
    if not quotes.size:
        return positions
    outside: Positions = positions[np.searchsorted(quotes, positions) % 2 == 0]
    return outside


def _check_quotes(path: Path, view: Bytes, quotes: Positions, offset: int, *, closed: bool) -> None:
    opening, closing = quotes[0::2], quotes[1::2]
    # Either the value starts here, or this is the second half of a doubled quote.
    opening = opening[opening > 0]
    stray = opening[~np.isin(view[opening - 1], np.append(_BEFORE_QUOTE, np.uint8(_QUOTE)))]
    closing = closing[closing + 1 < len(view)]
    stray = np.concatenate((stray, closing[~np.isin(view[closing + 1], _AFTER_QUOTE)]))
    if stray.size:
        raise InvalidInput(
            f"line {line_at(path, offset + int(stray.min()))} has a quote in the middle of a value; "
            "enclose the value in quotes and double the quotes in it",
            code="stray_quote",
        )
    if closed and len(quotes) % 2:
        opened = quotes[0::2]
        opened = opened[(opened == 0) | (view[opened - 1] != _QUOTE)]
        raise InvalidInput(
            f"the quote opened on line {line_at(path, offset + int(opened[-1]))} is never closed",
            code="unbalanced_quotes",
        )
