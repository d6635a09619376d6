"""Fits an `Encoder` on training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.specs import PreprocessingSpec
from shared.contracts.tables import Column
from shared.modeling.columns import Table, chunks, column, instants, numbers
from shared.modeling.encoder import (
    DAY_SECONDS,
    BooleanColumn,
    CategoryColumn,
    Encoder,
    InputColumn,
    NumericColumn,
    Scaling,
    TimeColumn,
    missing_values,
)
from worker.learning import written_dates

#: Text columns keep this many categories, the most frequent ones.
MAX_CATEGORIES = 100

Warn = Callable[[str], None]


def fit_encoder(
    table: Table, features: Sequence[Column], spec: PreprocessingSpec, warn: Warn, *, for_trees: bool = False
) -> Encoder:
    """Statistics of the training rows' feature columns.

    Trees get numbers unscaled, since standardizing and min-max do not change what a tree can split;
    `normalize` does, and is kept. Raises InvalidInput `missing_values` where `missing` is `fail`.
    """
    columns = tuple(_fit_column(column(table, item.name), item, warn) for item in features)
    for item in columns:
        if spec.missing == "fail" and item.missing:
            raise missing_values(item.name, item.missing)
    scaling: Scaling = "none" if for_trees and spec.numeric != "normalize" else spec.numeric
    return Encoder(columns, scaling, spec.missing, table.num_rows)


def _fit_column(values: Any, described: Column, warn: Warn) -> InputColumn:
    name = described.name
    if described.type == "string":
        return _fit_categories(values, name, warn)
    seconds = described.type in ("date", "datetime")
    found = instants(values) / DAY_SECONDS if seconds else numbers(values)
    missing = int(np.isnan(found).sum())
    found = found[~np.isnan(found)]
    if not len(found):
        warn(f"the column {name!r} has no values in the training rows; it cannot contribute")
        found = np.zeros(1)
    if described.type == "boolean":
        return BooleanColumn(name, float(found.mean()), missing)
    mean, std = mean_and_std(found)
    if described.type in ("date", "datetime"):
        return TimeColumn(name, described.type, mean, std, missing)
    return NumericColumn(name, described.type, mean, std, float(found.min()), float(found.max()), missing)


def mean_and_std(found: Any) -> tuple[float, float]:
    """Mean and population standard deviation; a spread that is only rounding is 0, as in scikit-learn's
    scaler."""
    mean = float(found.mean())
    std = float(found.std())
    noise = 10 * np.finfo(np.float64).eps * max(abs(mean), float(np.abs(found).max()))
    return mean, std if std > noise else 0.0


def _fit_categories(values: Any, name: str, warn: Warn) -> CategoryColumn:
    counts = category_counts(values)
    missing = int(values.null_count)
    if not counts:
        warn(f"the column {name!r} has no values in the training rows; it cannot contribute")
    kept, rest = counts[:MAX_CATEGORIES], counts[MAX_CATEGORIES:]
    if rest:
        warn(
            f"the column {name!r} has {len(counts)} distinct texts; the {MAX_CATEGORIES} most frequent "
            "become features, the others share one"
        )
    words = [word for word, _ in kept]
    if written_dates.look_like_dates(words):
        form = written_dates.form(words[0])
        warn(
            f"the column {name!r} is taken as text, though it looks like dates ({form}); {written_dates.WANTED}"
        )
    other = sum(count for _, count in rest)
    return CategoryColumn(
        name, tuple(word for word, _ in kept), tuple(count for _, count in kept), other, missing
    )


def category_counts(values: Any) -> list[tuple[str, int]]:
    """Every distinct text and how often it occurs, most frequent first, equals in text order; nulls are
    left out."""
    found: dict[str, int] = {}
    for chunk in chunks(values):
        if pa.types.is_null(chunk.type):
            continue
        if pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_decode()
        for pair in pc.value_counts(chunk.drop_null()).to_pylist():
            found[pair["values"]] = found.get(pair["values"], 0) + int(pair["counts"])
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))
