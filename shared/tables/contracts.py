"""What the readers promise and what bounds them."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.tables import Column, Format


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
