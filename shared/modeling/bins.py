"""Bins of one column, made from source rows (or from what the baseline kept of them), to count other rows in.

Every column ends in bins: deciles of numbers and times, the values themselves where there are few, the most frequent
texts, true and false. Behind them come one bin for what the source has not (or too rarely), and one for missing cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.contracts.tables import Column
from shared.modeling.columns import MISSING, category_codes, column, instants, numbers
from shared.modeling.encoder import InputColumn

Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]

#: Interior quantiles: ten bins with equal shares of the source.
DECILES = tuple(part / 10 for part in range(1, 10))
#: Numbers with no more distinct values than this are counted value by value, since their quantiles coincide.
MAX_VALUES = 10
#: Of a text column; the others share a bin.
MAX_CATEGORIES = 20


@dataclass(frozen=True, slots=True)
class NumberBins:
    """`edges` are deciles ((edge, edge] each), or if `exact` the values themselves with a bin for all others."""

    edges: tuple[float, ...]
    exact: bool

    @property
    def count(self) -> int:
        """Bins in all: with the one for other values, and the one for missing cells."""
        return len(self.edges) + 2

    def codes(self, values: Any) -> Codes:
        """(n,): the bin of each value; NaN is missing."""
        edges = np.asarray(self.edges)
        found: Codes = np.searchsorted(edges, values, side="left").astype(np.int64)
        if self.exact and len(edges):
            near = np.minimum(found, len(edges) - 1)
            found[edges[near] != values] = len(edges)
        found[np.isnan(values)] = len(edges) + 1
        return found

    def as_json(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "exact": self.exact}


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """The source's most frequent texts, then all others, then missing."""

    categories: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.categories) + 2

    def codes(self, values: Any) -> Codes:
        found = category_codes(values, self.categories).astype(np.int64)
        missing = found == MISSING
        found[found < 0] = len(self.categories)
        found[missing] = len(self.categories) + 1
        return found


Bins = NumberBins | CategoryBins


@dataclass(frozen=True, slots=True)
class Binned:
    """Bins with the source rows in each: (bins.count,)."""

    bins: Bins
    counts: Counts


def number_bins(values: npt.NDArray[np.float64]) -> NumberBins:
    """Of the source's values; NaN is left out."""
    found = values[~np.isnan(values)]
    distinct = np.unique(found[:1000]) if len(found) > 1000 else np.unique(found)
    if len(distinct) <= MAX_VALUES:
        distinct = np.unique(found)
    if len(distinct) <= MAX_VALUES:
        return NumberBins(tuple(float(value) for value in distinct), exact=True)
    return NumberBins(tuple(float(edge) for edge in np.unique(np.quantile(found, DECILES))), exact=False)


def values_of(table: Any, item: Column | InputColumn) -> Any:
    """The column as its bins want it: float64 with NaN for missing (times in seconds), or the texts as they are."""
    values = column(table, item.name)
    if item.type == "string":
        return values
    return instants(values) if item.type in ("date", "datetime") else numbers(values)


def count(bins: Bins, values: Any) -> Counts:
    """(bins.count,): how many of the cells lie in each bin."""
    return np.bincount(bins.codes(values), minlength=bins.count)


def from_baseline(described: Mapping[str, Any], rows: int) -> Binned | None:
    """The bins that `baseline` kept of a column; None where it kept none (versions of before, empty columns)."""
    missing = round(float(described.get("missing") or 0.0) * rows)
    if described.get("type") == "string":
        top = described.get("top") or []
        if not top:
            return None
        counts = [int(item["count"]) for item in top] + [int(described.get("rest") or 0), missing]
        return Binned(CategoryBins(tuple(str(item["value"]) for item in top)), np.array(counts))
    if described.get("type") == "boolean":
        pair = [int(described.get("false") or 0), int(described.get("true") or 0)]
        return Binned(NumberBins((0.0, 1.0), exact=True), np.array([*pair, 0, missing]))
    kept = described.get("bins")
    if not kept or not kept["edges"]:
        return None
    bins = NumberBins(tuple(float(edge) for edge in kept["edges"]), bool(kept["exact"]))
    return Binned(bins, np.array([*kept["counts"], missing]))
