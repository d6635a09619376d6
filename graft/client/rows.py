"""Rows to be scored, as JSON has them: dicts, or a DataFrame's or Table's rows with null for what is missing."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from graft.client.errors import BadSource


def as_rows(given: Any) -> list[dict[str, Any]]:
    """Raises BadSource."""
    if isinstance(given, Mapping):
        raise BadSource("rows are a list, of one dict a row", "put the row into a list: [row]")
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(given, pyarrow.Table):
        found = given.to_pylist()
    elif pandas is not None and isinstance(given, pandas.DataFrame):
        found = given.to_dict(orient="records")
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
        found = list(given)
    else:
        raise BadSource(
            f"a {type(given).__name__} holds no rows",
            "give a list of dicts, a pandas DataFrame or a pyarrow Table",
        )
    return [_row(row, place) for place, row in enumerate(found)]


def _row(row: Any, place: int) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise BadSource(f"row {place} is a {type(row).__name__}", "each row is a dict: column → value")
    return {str(name): _cell(value, place, str(name)) for name, value in row.items()}


def _cell(value: Any, place: int, name: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _missing(value, place, name)
    if isinstance(value, datetime | date):
        return None if value != value else value.isoformat()  # pandas' NaT equals nothing
    if hasattr(value, "item"):  # a number of numpy's
        return _cell(value.item(), place, name)
    if type(value).__module__.startswith("pandas"):  # NA
        return None
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise BadSource(
            f"row {place} has a {type(value).__name__} in column {name}",
            "a value is a number, a text, true or false, a date or None",
        ) from None
    return value


def _missing(value: float, place: int, name: str) -> None:
    if math.isnan(value):
        return
    raise BadSource(
        f"row {place} has an infinite number in column {name}", "JSON has none; give None if it is missing"
    )
