"""Prints what `transfer` measured: mean scores, the difference per cell, and how often someone is worse off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

LEAST_GAIN = {"linear": 3.5, "mlp": 5.5}
TOLERANCE_POINTS = 0.5
SMALL_ROWS = 50

Scores = Mapping[str, float]


def print_tables(family: str, runs: Mapping[Any, Scores]) -> None:
    """runs: a `transfer.Run` → the score of each strategy."""
    sizes = sorted({run.rows for run in runs})
    print(f"\n## Source: {family}\n\nMean score by target rows\n")
    names = list(next(iter(runs.values())))
    _row("", [f"{n} rows" for n in sizes])
    _row("---", ["---:"] * len(sizes))
    for name in names:
        _row(name, [f"{np.mean([s[name] for run, s in runs.items() if run.rows == n]):.1f}" for n in sizes])
    cells = _cells(runs)
    print("\nCells: auto less the better of source_only and scratch, points\n")
    _row("", [f"{n} rows" for n in sizes])
    _row("---", ["---:"] * len(sizes))
    for shift in dict.fromkeys(run.shift for run in runs):
        _row(shift, [f"{cells[shift, n]:+.1f}" if (shift, n) in cells else "-" for n in sizes])
    _row("mean", [f"{np.mean([v for (_, size), v in cells.items() if size == n]):+.1f}" for n in sizes])
    _summary(family, runs, cells)


def _cells(runs: Mapping[Any, Scores]) -> dict[tuple[str, int], float]:
    grouped: dict[tuple[str, int], list[Scores]] = defaultdict(list)
    for run, scores in runs.items():
        grouped[run.shift, run.rows].append(scores)
    mean = {
        cell: {k: float(np.mean([s[k] for s in many])) for k in many[0]} for cell, many in grouped.items()
    }
    return {cell: s["auto"] - max(s["source_only"], s["scratch"]) for cell, s in mean.items()}


def _summary(family: str, runs: Mapping[Any, Scores], cells: Mapping[tuple[str, int], float]) -> None:
    values = np.array(list(cells.values()))
    large = np.array([value for (_, rows), value in cells.items() if rows >= SMALL_ROWS])
    single = {run: s["auto"] - max(s["source_only"], s["scratch"]) for run, s in runs.items()}
    worse = [value < -1.0 for run, value in single.items() if run.rows >= SMALL_ROWS]
    strict: dict[tuple[str, int], list[float]] = defaultdict(list)
    for run, value in single.items():
        strict[run.shift, run.rows].append(value)
    per_run = np.array([np.mean(v) for v in strict.values()])
    print(f"\n{len(cells)} cells, {len(runs)} runs\n")
    _row("", ["measured", "wanted"])
    _row("---", ["---:", "---:"])
    _row("mean gain over the better baseline", [f"{values.mean():+.2f}", f"{LEAST_GAIN[family]:+.1f}"])
    _row("cells ≥ -0.5", [_percent(values >= -TOLERANCE_POINTS), "90 %"])
    _row(f"cells ≥ -0.5, n ≥ {SMALL_ROWS}", [_percent(large >= -TOLERANCE_POINTS), "97 %"])
    _row("worst cell", [f"{values.min():+.2f}", "-4.0"])
    _row(f"single runs < -1, n ≥ {SMALL_ROWS}", [_percent(np.array(worse)), "≤ 8 %"])
    best = "with the better baseline chosen anew in every run: mean, cells ≥ -0.5, worst"
    _row(best, [f"{per_run.mean():+.2f}, {_percent(per_run >= -TOLERANCE_POINTS)}, {per_run.min():+.2f}", ""])


def _percent(flags: Any) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "-"


def _row(name: str, cells: list[str]) -> None:
    print(f"| {name} | " + " | ".join(cells) + " |")
