"""How a table describes itself: its format and its columns."""

from __future__ import annotations

from typing import Literal

from shared.contracts.base import Record

Format = Literal["csv", "parquet", "jsonl"]
ColumnType = Literal["integer", "number", "boolean", "string", "date", "datetime"]


class Column(Record):
    """One column: its type as Graft sees it, and how many of its cells are missing."""

    name: str
    type: ColumnType
    nulls: int
