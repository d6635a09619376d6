"""Which columns a table may have: their names, and how many."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from shared.errors import InvalidInput
from shared.tables.places import excerpt

if TYPE_CHECKING:
    from shared.contracts.tables import Column
    from shared.tables.contracts import Limits

#: Any file may have as many cells as take about two seconds.
FREE_CELLS: Final = 2**27


def check_names(names: Sequence[str], limits: Limits) -> None:
    """Raises InvalidInput: `too_many_columns`, `empty_column_name`, `bad_column_name`, `duplicate_column`."""
    check_count(len(names), limits)
    first_seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        check_name(name, partial("column {}".format, position), limits)
        if name in first_seen:
            raise InvalidInput(
                f"columns {first_seen[name]} and {position} are both named {excerpt(name)}",
                code="duplicate_column",
            )
        first_seen[name] = position


def check_count(columns: int, limits: Limits) -> None:
    if columns > limits.max_columns:
        raise InvalidInput(
            f"the table has {columns:,} columns, the limit is {limits.max_columns:,}", code="too_many_columns"
        )


def check_name(name: str, where: Callable[[], str], limits: Limits) -> None:
    """`where` says which column it is; it is asked only when something is wrong."""
    if not name:
        raise InvalidInput(f"{where()} has an empty name", code="empty_column_name")
    if len(name) > limits.max_name_length:
        length = f"{len(name):,} characters, the limit is {limits.max_name_length:,}"
        raise InvalidInput(f"{where()} has a name of {length}: {excerpt(name)}", code="bad_column_name")
    # Cc: control characters; Cs: half a surrogate pair, which no UTF-8 can hold.
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise InvalidInput(
            f"{where()} has a control character in its name {excerpt(name)}", code="bad_column_name"
        )


def check_cells(rows: int, columns: int, size: int, per_byte: int) -> None:
    """Raises InvalidInput (`too_many_cells`) where few bytes stand for so many cells that time runs away."""
    if rows * columns > FREE_CELLS + per_byte * size:
        raise InvalidInput(
            f"{size:,} bytes stand for {rows:,} rows of {columns:,} columns, nearly all of them empty or alike",
            code="too_many_cells",
        )


def require_columns(wanted: Sequence[Column], present: Iterable[str]) -> None:
    """Raises InvalidInput (`missing_column`) unless the table has every column."""
    known = set(present)
    missing = [column.name for column in wanted if column.name not in known]
    if missing:
        names = ", ".join(excerpt(name) for name in missing[:5]) + (", …" if len(missing) > 5 else "")
        raise InvalidInput(f"the table has no column {names}", code="missing_column")
