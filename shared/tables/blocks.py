"""Cutting a file into blocks that end where a row ends, in constant memory.

CSV and JSON Lines share the loop and differ in one function: where the last whole row of a buffer ends. A
block has passed the checks that need only bytes: no NUL, valid UTF-8, no row over the limit. Offsets are those of the
text: of what a compressed file unpacks to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING

from shared.errors import InvalidInput
from shared.tables.compression import open_text
from shared.tables.places import line_at

if TYPE_CHECKING:
    from pathlib import Path

    from shared.tables.contracts import Limits

#: Large enough that the cost of a block does not show, small enough that a few stay in the cache.
BLOCK_BYTES = 2 * 2**20

UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows. `data` is lent: it holds only until the next block is asked for."""

    data: memoryview
    #: Where `data` starts in the file.
    offset: int


#: (buffer, bytes filled, offset of the buffer in the file, whether the file ends here)
#: → where the last whole row ends, 0 for none.
RowEnd = Callable[[bytearray, int, int, bool], int]


def blocks(
    path: Path,
    limits: Limits,
    row_end: RowEnd,
    *,
    start: int = 0,
    block_bytes: int = BLOCK_BYTES,
    check: bool = True,
) -> Iterator[Block]:
    """The file from byte `start` on, a leading byte order mark left out, as blocks of whole rows.

    Raises InvalidInput: `nul_byte`, `invalid_utf8` (unless `check` is off: see `is_text`), `row_too_long`, and what
    `row_end` raises.
    """
    with open_text(path, limits) as file:
        offset = start or _byte_order_mark(file)
        _skip(file, offset)
        # A buffer no larger than the longest row allowed cannot hide a longer one.
        buffer = bytearray(min(block_bytes, limits.max_row_bytes))
        filled = 0
        while True:
            filled += file.readinto(memoryview(buffer)[filled:])
            last = filled < len(buffer)
            end = row_end(buffer, filled, offset, last)
            if end == 0:
                if filled == 0:
                    return
                buffer = _grown(buffer, path, offset, limits)
                continue
            block = Block(memoryview(buffer)[:end].toreadonly(), offset)
            if check:
                _check_bytes(block, buffer, path)
            yield block
            filled -= end
            offset += end
            buffer[:filled] = buffer[end : end + filled]


def _byte_order_mark(file: BufferedReader) -> int:
    return len(UTF8_BOM) if file.peek(len(UTF8_BOM))[: len(UTF8_BOM)] == UTF8_BOM else 0


def _skip(file: BufferedReader, count: int) -> None:
    if file.seekable():
        file.seek(count)
        return
    while count > 0 and (passed := len(file.read(min(count, BLOCK_BYTES)))):
        count -= passed


def _grown(buffer: bytearray, path: Path, offset: int, limits: Limits) -> bytearray:
    """A larger buffer with the same content; a new one, because blocks lent out may still view the old."""
    if len(buffer) >= limits.max_row_bytes:
        place = f"the row that starts on line {line_at(path, offset)}"
        raise InvalidInput(f"{place} is longer than {limits.max_row_bytes:,} bytes", code="row_too_long")
    grown = bytearray(min(2 * len(buffer), limits.max_row_bytes))
    grown[: len(buffer)] = buffer
    return grown


def is_text(data: bytes | memoryview) -> bool:
    """Valid UTF-8 without a NUL."""
    try:
        return "\0" not in str(data, "utf-8")
    except UnicodeDecodeError:
        return False


def _check_bytes(block: Block, buffer: bytearray, path: Path) -> None:
    nul = buffer.find(0, 0, len(block.data))
    if nul >= 0:
        at = block.offset + nul
        raise InvalidInput(f"line {line_at(path, at)} holds a NUL byte (at byte {at:,})", code="nul_byte")
    try:
        str(block.data, "utf-8")
    except UnicodeDecodeError as error:
        at = block.offset + error.start
        raise InvalidInput(
            f"line {line_at(path, at)} is not valid UTF-8 (0x{block.data[error.start]:02x} at byte {at:,})",
            code="invalid_utf8",
        ) from error
