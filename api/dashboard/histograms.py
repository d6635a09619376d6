"""What the first rows of a table say of its columns, for small pictures: no more than that, and no model sees it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.dashboard import charts, wording
from shared.contracts.tables import Column

_BINS = 16
_MOST_COLUMNS = 200


@dataclass(frozen=True, slots=True)
class Sketch:
    """Of one column: its picture, if it has one, and what was seen in words."""

    column: Column
    drawing: Markup | None
    words: str
    seen: int


def sketches(columns: Sequence[Column], rows: Sequence[dict[str, object]]) -> list[Sketch]:
    """Of the first columns, from those rows."""
    return [_sketch(column, [row.get(column.name) for row in rows]) for column in columns[:_MOST_COLUMNS]]


def _sketch(column: Column, cells: Sequence[object]) -> Sketch:
    held = [cell for cell in cells if cell is not None]
    if column.type in {"integer", "number"}:
        counts, words = _of_numbers([float(cell) for cell in held if isinstance(cell, int | float)])
    else:
        counts, words = _of_words([str(cell) for cell in held])
    drawing = charts.histogram(column.name, counts, words) if counts else None
    return Sketch(column, drawing, words, len(cells))


def _of_numbers(values: list[float]) -> tuple[list[int], str]:
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return [], "no values"
    low, high = min(values), max(values)
    words = f"{wording.cell(low)} to {wording.cell(high)}, mean {wording.cell(sum(values) / len(values))}"
    if low == high:
        return [len(values)], f"always {wording.cell(low)}"
    step = high / _BINS - low / _BINS  # halves that fit, where the whole would be infinite
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - low) / step), _BINS - 1) if math.isfinite(value - low) else 0] += 1
    return counts, words


def _of_words(values: list[str]) -> tuple[list[int], str]:
    if not values:
        return [], "no values"
    common = Counter(values).most_common()
    named = ", ".join(f"{_short(word)} ({amount})" for word, amount in common[:3])
    if len(common) > 3:
        named += f" and {len(common) - 3:,} more"
    return [amount for _, amount in common[:_BINS]], named


def _short(word: str) -> str:
    return word if len(word) <= 24 else word[:23] + "…"
