"""Training statistics of every input column and of the target, as JSON: what later drift is measured
against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from shared.contracts.tables import Column
from shared.modeling.bins import MAX_CATEGORIES, count, number_bins
from shared.modeling.columns import Table, column, instants, numbers
from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.preprocessing import category_counts

#: Deciles with both ends, to look at; `bins` has what the population stability index is made of.
QUANTILES = tuple(part / 10 for part in range(11))


def baseline(data: Labelled) -> dict[str, Any]:
    """{rows, columns: {name: {...}}, target: {...}} of these (training) rows. Times are seconds since
    1970."""
    columns = {item.name: _described(data, item) for item in data.features}
    return {"rows": data.rows, "columns": columns, "target": _target(data)}


def said(model: Model, table: Table, of: str) -> dict[str, Any]:
    """What the model predicts for these rows, `held_out` or those of its `training`: as JSON, to compare with later."""
    prediction, rows = model.predict(table), table.num_rows
    if prediction.codes is None:
        return {"of": of, "rows": rows, "type": "number", "missing": 0.0, **_spread(prediction.values)}
    counts = np.bincount(prediction.codes, minlength=len(model.classes)).tolist()
    labels = [{"label": label, "count": count} for label, count in zip(model.classes, counts, strict=True)]
    return {"of": of, "rows": rows, "labels": labels}


def _described(data: Labelled, item: Column) -> dict[str, Any]:
    values = column(data.table, item.name)
    if item.type == "string":
        counts = category_counts(values)
        top = [{"value": word, "count": count} for word, count in counts[:MAX_CATEGORIES]]
        rest = sum(count for _, count in counts[MAX_CATEGORIES:])
        missing = values.null_count / max(data.rows, 1)
        return {"type": item.type, "missing": missing, "distinct": len(counts), "top": top, "rest": rest}
    found = instants(values) if item.type in ("date", "datetime") else numbers(values)
    missing = float(np.isnan(found).mean()) if len(found) else 0.0
    found = found[~np.isnan(found)]
    if item.type == "boolean":
        return {
            "type": item.type,
            "missing": missing,
            "true": int(found.sum()),
            "false": int((found == 0).sum()),
        }
    return {"type": item.type, "missing": missing, **_spread(found)}


def _target(data: Labelled) -> dict[str, Any]:
    if data.task == "regression":
        return {"name": data.target.name, **_spread(data.y)}
    counts = np.bincount(data.y, minlength=len(data.classes)).tolist()
    labels = [{"label": label, "count": count} for label, count in zip(data.classes, counts, strict=True)]
    return {"name": data.target.name, "labels": labels}


def _spread(found: Any) -> dict[str, Any]:
    if not len(found):
        return {"mean": None, "std": None, "quantiles": None, "bins": None}
    quantiles = [float(value) for value in np.quantile(found, QUANTILES)]
    std = float(found.std())
    bins = number_bins(found)
    counts = count(bins, found)[:-1].tolist()  # but for the bin of missing cells, which are counted beside
    return {
        "mean": float(found.mean()),
        "std": std if math.isfinite(std) else None,
        "quantiles": quantiles,
        "bins": {**bins.as_json(), "counts": counts},
    }
