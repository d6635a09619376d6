"""Saying where: line numbers, and excerpts short enough to put into a message.

Line numbers are worked out only once something is wrong, by reading the file again up to the byte in
question. The hot loops carry byte offsets, which cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tables.compression import open_text
from shared.tables.contracts import Limits

if TYPE_CHECKING:
    from pathlib import Path

MAX_EXCERPT = 60
_CHUNK_BYTES = 2**20


def line_at(path: Path, offset: int) -> int:
    """The line (from 1) that holds byte `offset`; LF, CRLF and a lone CR each end a line.

    In a compressed file, both are those of the text inside.
    """
    line, left, after_cr = 1, offset, False
    with open_text(path, Limits()) as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            line += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
            if after_cr and chunk.startswith(b"\n"):
                line -= 1
            after_cr = chunk.endswith(b"\r")
            left -= len(chunk)
    return line


def excerpt(value: object) -> str:
    """`value` in quotes for a message, never more than about `MAX_EXCERPT` characters of it."""
    text = value if isinstance(value, str) else str(value)
    shown = text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 1] + "…"
    return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown) + '"'
