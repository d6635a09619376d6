"""What a part of the page consists of, and how numbers are written in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

#: Rows of a plot; the table below it has all of them.
MAX_ROWS = 12

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing, its caption, and what its colours mean as (tone, word)."""

    drawing: Markup
    caption: str
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a plot."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One question of the reader."""

    id: str
    question: str
    sentences: tuple[str, ...]
    advice: str | None = None
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


def floor_of(values: Sequence[float | None]) -> float:
    """Where a score's axis begins: at 0, or below it for a negative R², at -1 the latest."""
    return max(min([0.0, *(value for value in values if value is not None)]), -1.0)


def metric_name(name: str) -> str:
    return "R²" if name == "r2" else name.capitalize()


def score(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def percent(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 1 if 0 < abs(value) < 0.1 else 0
    return f"{100 * value:.{digits}f} %"


def signed(value: float) -> str:
    return f"{100 * value:+.1f} points"


def plus_minus(value: float, spread: float) -> str:
    return f"{100 * value:.2f} ± {100 * spread:.2f}"


def listed(pairs: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in pairs)
