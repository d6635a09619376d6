"""What the readers promise and what bounds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.contracts.tables import Column, Format

Range: TypeAlias = tuple[int, int]
"""Bytes from one offset to before another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that keep one hostile file from taking the process with it."""

    max_columns: int = 10_000
    #: Bytes of one CSV row or JSON line, its line end included.
    max_row_bytes: int = 16 * 2**20
    #: Characters of one column name.
    max_name_length: int = 1_000
    #: Absent keys and run lengths let a small file stand for a huge table; these stop it.
    max_jsonl_cells_per_byte: int = 32
    max_parquet_cells_per_byte: int = 4_096
    #: What a gzip or zstd file may unpack to: bytes, and times its own size (gzip itself ends at about 1,000).
    max_decompressed_bytes: int = 200 * 2**30
    max_expansion: int = 200


@dataclass(frozen=True, slots=True)
class Profile:
    """What one pass over a whole table found."""

    format: Format
    #: Data rows; neither the header nor blank lines count.
    rows: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of a file."""

    first_row: int
    """Its number in the file, from 1."""
    rows: int
    ranges: tuple[Range, ...]
    """The bytes it is read from: one after another for text, each in its own place for Parquet."""
    lines_before: int = 0
    """Text: how many lines of the file come before its first byte and are not in its ranges."""
    groups: Range | None = None
    """Parquet: the row groups that hold its rows."""
    skip: int = 0
    """Parquet: rows of those groups before its first."""

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Piece:
        """A piece as it was before JSON made lists of its tuples."""
        ranges = tuple((start, end) for start, end in packed["ranges"])
        low_high = packed["groups"]
        return cls(**{**packed, "ranges": ranges, "groups": (low_high[0], low_high[1]) if low_high else None})
