"""One set of columns for a table that lies in several files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.contracts.tables import Column, ColumnType
from shared.errors import InvalidInput

_WIDER: dict[frozenset[ColumnType], ColumnType] = {
    frozenset({"integer", "number"}): "number",
    frozenset({"date", "datetime"}): "datetime",
}


Settle = Callable[[str], ColumnType | None]


def joint_columns(
    tables: Sequence[Sequence[Column]], names: Sequence[str], settle: Settle = lambda _: None
) -> tuple[Column, ...]:
    """The columns that every file has, in the first one's order, each of the type that holds all its values.

    `names` are what the user calls the files. `settle` may say the type of a column on whose type files differ; cells
    of another are then for the reader to deal with. Raises InvalidInput `schema_mismatch` where files differ.
    """
    first = tables[0]
    joint = list(first)
    for columns, name in zip(tables[1:], names[1:], strict=True):
        found = {column.name: column for column in columns}
        if set(found) != {column.name for column in first}:
            odd = sorted(set(found) ^ {column.name for column in first})
            raise InvalidInput(
                f"{name} has other columns than {names[0]}: {', '.join(odd[:10])}", code="schema_mismatch"
            )
        joint = [_joined(column, found[column.name], name, settle) for column in joint]
    return tuple(joint)


def _joined(column: Column, other: Column, name: str, settle: Settle) -> Column:
    kinds = frozenset({column.type, other.type})
    kind = column.type if len(kinds) == 1 else _WIDER.get(kinds) or settle(column.name)
    if kind is None:
        raise InvalidInput(
            f"{name}: the column {column.name} is {other.type}, but {column.type} in the files before it",
            code="schema_mismatch",
        )
    return Column(name=column.name, type=kind, nulls=column.nulls + other.nulls)
