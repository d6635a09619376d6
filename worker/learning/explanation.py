"""What the source and the fine-tuned model go by: permutation importance of both, on the same rows.

A column's values are shuffled among the rows, and what the prediction gets worse by is how much the model relies on
that column (Breiman, Machine Learning 2001; model reliance of Fisher, Rudin & Dominici, JMLR 2019). Both models see
the same shuffles, so that their difference is far less noisy than either.

Scores are smooth, as accuracy moves in steps of one row: for classes the probability given to the right label, for
amounts the share of the target's variance that is explained. An importance of 0.12 is 12 points of it lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.modeling.columns import Table
from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.evaluation import positions, union
from worker.learning.scores import row_confidence, spread_of
from worker.learning.sentences import of_explanation

REPEATS = 5
#: Rows that each model predicts at most (columns by repeats by rows): the cost. Rows are sampled to keep it.
MAX_PREDICTED = 300_000
MIN_ROWS = 50
#: Rows of one call, so that memory stays small.
_BLOCK_ROWS = 32_768
#: Smaller than this is rounding.
_NOISE = 1e-6

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """Of one column. mean: the mean loss of score when it is shuffled; spread: how far that may be off."""

    mean: float
    spread: float


def explain(source: Model, tuned: Model, data: Labelled, *, seed: int) -> dict[str, Any]:
    """Permutation importance of every input column for both models, and the difference, as JSON.

    Columns are sorted by what matters to the fine-tuned model. Columns whose importances lie within two spreads of
    each other share a `rank`: they are ties. `changed` says that the difference is larger than two of its spreads.
    """
    names = [item.name for item in data.features]
    rows = max(min(MIN_ROWS, data.rows), MAX_PREDICTED // max(len(names) * REPEATS, 1))
    sample = data.sample(rows, seed)
    random = np.random.RandomState(seed % 2**32)
    shuffles = np.array([random.permutation(sample.rows) for _ in range(REPEATS)])
    losses = {
        name: _losses(model, sample, names, shuffles)
        for name, model in (("before", source), ("after", tuned))
    }
    before = [_importance(found) for found in losses["before"]]
    after = [_importance(found) for found in losses["after"]]
    difference = [_importance(found) for found in losses["after"] - losses["before"]]
    ranks = _ranks(before), _ranks(after)
    features = [
        {
            "column": name,
            "source": _told(before[place], ranks[0][place]),
            "fine_tuned": _told(after[place], ranks[1][place]),
            "difference": {"value": difference[place].mean, "spread": difference[place].spread},
            "changed": abs(difference[place].mean) > max(2 * difference[place].spread, _NOISE),
        }
        for place, name in enumerate(names)
    ]
    features.sort(key=lambda item: (-item["fine_tuned"]["importance"], -item["source"]["importance"]))  # type: ignore[index]
    found: dict[str, Any] = {
        "score": "probability of the right label" if data.task == "classification" else "r2",
        "rows": sample.rows,
        "sampled_from": data.rows if sample is not data else None,
        "repeats": REPEATS,
        "features": features,
    }
    return found | of_explanation(found)


def _losses(model: Model, data: Labelled, names: Sequence[str], shuffles: npt.NDArray[Any]) -> Array:
    """(columns, repeats, rows): by how much each row's score falls when that column is shuffled."""
    whole = _row_scores(model, data, data.table, 1)
    repeats, rows = shuffles.shape
    out = np.empty((len(names) * repeats, rows))
    size = max(1, _BLOCK_ROWS // rows)
    for start in range(0, len(out), size):
        copies = range(start, min(start + size, len(out)))
        table = _shuffled(data.table, names, shuffles, copies)
        scores = _row_scores(model, data, table, len(copies))
        out[copies.start : copies.stop] = whole - scores.reshape(len(copies), rows)
    return out.reshape(len(names), repeats, rows)


def _shuffled(table: Table, names: Sequence[str], shuffles: npt.NDArray[Any], copies: range) -> Table:
    """Copies of the table on top of each other: number c has column c // repeats shuffled, as c % repeats says."""
    repeats, rows = shuffles.shape
    straight = np.tile(np.arange(rows), len(copies))
    moved: dict[str, npt.NDArray[Any]] = {}
    for place, copy in enumerate(copies):
        indices = moved.setdefault(names[copy // repeats], straight.copy())
        indices[place * rows : (place + 1) * rows] = shuffles[copy % repeats]
    plain = pa.array(straight)
    columns = [
        values.take(pa.array(moved[name]) if name in moved else plain)
        for name, values in zip(table.schema.names, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, names=table.schema.names)


def _row_scores(model: Model, data: Labelled, table: Table, copies: int) -> Array:
    prediction = model.predict(table)
    if data.task == "regression":
        errors = np.square(prediction.values - np.tile(data.y, copies))
        return np.asarray(-errors / spread_of(data.y))
    truth = positions(data.classes, union(model.classes, data.classes))[data.y]
    return row_confidence(model, np.tile(truth, copies), prediction)


def _importance(losses: Array) -> Importance:
    """losses (repeats, rows). The spread joins that over repeats with that over rows: few rows are the larger doubt."""
    by_row, by_repeat = losses.mean(axis=0), losses.mean(axis=1)
    over_rows = float(by_row.std(ddof=1)) / np.sqrt(len(by_row)) if len(by_row) > 1 else 0.0
    spread = float(np.hypot(over_rows, by_repeat.std(ddof=1) / np.sqrt(len(by_repeat))))
    return Importance(float(by_row.mean()), spread)


def _ranks(found: Sequence[Importance]) -> list[int]:
    """1 + how many columns are surely more important: further above than two spreads of the difference."""
    means, spreads = np.array([item.mean for item in found]), np.array([item.spread for item in found])
    surely = means[None, :] - means[:, None] > 2 * np.hypot(spreads[None, :], spreads[:, None])
    return [1 + int(count) for count in surely.sum(axis=1)]


def _told(found: Importance, rank: int) -> dict[str, Any]:
    return {
        "importance": found.mean,
        "spread": found.spread,
        "rank": rank,
        "matters": found.mean > max(2 * found.spread, _NOISE),
    }
