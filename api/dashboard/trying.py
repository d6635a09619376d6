"""The form that tries a version: a field for each column of its schema, and what is sent with it as a row again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.dashboard import wording
from shared.contracts.base import rfc3339
from shared.contracts.models import ModelVersion
from shared.errors import FieldError
from shared.pointers import pointer


@dataclass(frozen=True, slots=True)
class Cell:
    """One column: its field's name on the page, and what to choose from. `value` is usual for it, or what was sent."""

    field: str
    name: str
    type: str
    choices: tuple[str, ...] = ()
    value: str = ""
    error: str = ""


def cells(version: ModelVersion, sent: Mapping[str, str] | None = None) -> list[Cell]:
    """In the schema's order; filled with what is usual in the rows that the version was fitted on, or what was sent."""
    usual = version.baseline.get("columns", {})
    found = []
    for place, column in enumerate(version.schema_.get("inputs", ())):
        field = f"c{place}"
        value = (
            sent.get(field, "") if sent is not None else _usual(usual.get(column["name"], {}), column["type"])
        )
        choices = (
            ("true", "false")
            if column["type"] == "boolean"
            else tuple(map(str, column.get("categories") or ()))
        )
        found.append(Cell(field, column["name"], column["type"], choices, value))
    return found


def row(given: list[Cell]) -> dict[str, Any]:
    """As `POST /v1/models/{ref}/predict` takes it. What cannot be read as its type is left for the check there."""
    return {cell.name: _read(cell) for cell in given}


def refused(given: list[Cell], errors: tuple[FieldError, ...]) -> tuple[list[Cell], list[str]]:
    """Each error beside its column, and those that are of none."""
    by_pointer = {pointer("rows", "0", cell.name): cell for cell in given}
    told = {error.pointer: error.detail for error in errors}
    marked = [
        Cell(cell.field, cell.name, cell.type, cell.choices, cell.value, told.get(place, ""))
        for place, cell in by_pointer.items()
    ]
    return marked, [error.detail for error in errors if error.pointer not in by_pointer]


def _read(cell: Cell) -> Any:
    text = cell.value.strip()
    if not text:
        return None
    if cell.type in {"integer", "number"}:
        try:
            return int(text) if text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            return text
    if cell.type == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return cell.value


def _usual(told: Mapping[str, Any], kind: str) -> str:
    if kind == "boolean":
        return "true" if told.get("true", 0) > told.get("false", 0) else "false"
    if top := told.get("top"):
        return str(top[0].get("value") or "")
    quantiles = told.get("quantiles") or ()
    if not quantiles:
        return ""
    middle = quantiles[len(quantiles) // 2]
    if not isinstance(middle, int | float):
        return str(middle)
    if kind in {"date", "datetime"}:  # seconds since 1970
        moment = datetime.fromtimestamp(middle, UTC)
        return moment.date().isoformat() if kind == "date" else rfc3339(moment)
    return str(round(middle)) if kind == "integer" else wording.cell(float(middle))
