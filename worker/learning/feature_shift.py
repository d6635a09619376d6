"""How each column of the target differs from the source's, one column at a time.

    numbers, times         Kolmogorov-Smirnov (two samples) and PSI on ten source quantiles
    texts, truth values    chi-square of homogeneity and PSI over the source's categories

p-values are corrected for the number of columns by Benjamini & Hochberg (1995). A column counts as `shifted` if its PSI
is above its threshold, or if its test is significant and what it found is of a size worth a look (`MIN_STATISTIC`): on
many rows everything is significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp

from shared.contracts.tables import Column
from shared.modeling.bins import (
    MAX_CATEGORIES,
    Bins,
    CategoryBins,
    Counts,
    NumberBins,
    count,
    from_baseline,
    number_bins,
    values_of,
)
from shared.modeling.columns import Table
from shared.modeling.stability import psi
from worker.learning.preprocessing import category_counts
from worker.learning.stability import LARGE_ROWS, expected_threshold, permuted_thresholds

#: False discovery rate of the tests.
ERROR_RATE = 0.05
#: The smallest distance that is called a shift, of 0…1: the largest gap between the distribution functions (KS), or
#: for categories the share of rows that would have to change (total variation).
MIN_STATISTIC = 0.1
#: Unseen categories that are listed by name.
MAX_LISTED = 20
#: Categories are joined until the target is expected to have this many rows of each, as chi-square needs.
_MIN_EXPECTED = 2.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One column on both sides: rows in each bin, and (statistic, p-value) of its test where there are rows."""

    item: Column
    source: Counts
    target: Counts
    test: tuple[float, float] | None
    unseen: list[dict[str, Any]]


def from_rows(source: Table, target: Table, items: Sequence[Column], seed: int) -> list[dict[str, Any]]:
    """One entry a column, the most shifted first, from the rows of both sides."""
    compared, codes = [], []
    for item in items:
        here, there = values_of(source, item), values_of(target, item)
        bins = bins_of(here, item)
        codes.append((bins.codes(here), bins.codes(there)))
        pair = [np.bincount(found, minlength=bins.count) for found in codes[-1]]
        test = _categories(*pair) if item.type in ("string", "boolean") else _kolmogorov_smirnov(here, there)
        known = [word for word, _ in category_counts(here)] if item.type == "string" else []
        compared.append(Compared(item, pair[0], pair[1], test, _unseen(known, there, item)))
    if items and min(source.num_rows, target.num_rows) < LARGE_ROWS:
        thresholds = permuted_thresholds([pair[0] for pair in codes], [pair[1] for pair in codes], seed)
        return _entries(compared, [float(value) for value in thresholds], "permutation")
    return _entries(compared, _expected(compared), "convention")


def from_statistics(
    described: Mapping[str, Mapping[str, Any]],
    rows: int,
    target: Table,
    items: Sequence[Column],
    known: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """The same from what the baseline kept of `rows` source rows: PSI and unseen categories, but no test.

    described: the baseline's columns. known: every category that the source's encoder has kept, by column.
    """
    compared, bare = [], []
    for item in items:
        held = from_baseline(described.get(item.name, {}), rows)
        if held is None:
            bare.append(_without_bins(item))
            continue
        there = values_of(target, item)
        unseen = _unseen(known.get(item.name, ()), there, item)
        compared.append(Compared(item, held.counts, count(held.bins, there), None, unseen))
    return _entries(compared, _expected(compared), "chi_square") + bare


def bins_of(values: Any, item: Column) -> Bins:
    """Bins from the source's own cells."""
    if item.type == "string":
        return CategoryBins(tuple(word for word, _ in category_counts(values)[:MAX_CATEGORIES]))
    if item.type == "boolean":
        return NumberBins((0.0, 1.0), exact=True)
    return number_bins(values)


def _kolmogorov_smirnov(source: Any, target: Any) -> tuple[float, float] | None:
    source, target = source[~np.isnan(source)], target[~np.isnan(target)]
    if not len(source) or not len(target):
        return None
    found = ks_2samp(source, target, method="auto" if len(target) < LARGE_ROWS else "asymp")
    return float(found.statistic), float(found.pvalue)


def _categories(source: Counts, target: Counts) -> tuple[float, float] | None:
    """Total variation, and the p-value of chi-square with rare categories joined. Missing is a category too."""
    if not source.sum() or not target.sum():
        return None
    distance = float(np.abs(source / source.sum() - target / target.sum()).sum()) / 2
    pooled = source + target
    rare = pooled * (min(source.sum(), target.sum()) / pooled.sum()) < _MIN_EXPECTED
    table = np.array([[*side[~rare], side[rare].sum()] for side in (source, target)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return distance, 1.0
    return distance, float(chi2_contingency(table, correction=False).pvalue)


def _expected(compared: Sequence[Compared]) -> list[float]:
    return [
        expected_threshold(
            int(((item.source + item.target) > 0).sum()),
            int(item.source.sum()),
            int(item.target.sum()),
            len(compared),
        )
        for item in compared
    ]


def _entries(compared: Sequence[Compared], thresholds: Sequence[float], how: str) -> list[dict[str, Any]]:
    tested = [item.test[1] for item in compared if item.test is not None]
    adjusted = iter(false_discovery_control(tested) if tested else ())
    found = [
        _entry(item, threshold, how, float(next(adjusted)) if item.test is not None else None)
        for item, threshold in zip(compared, thresholds, strict=True)
    ]
    return sorted(found, key=lambda entry: (not entry["shifted"], -entry["psi"], entry["column"]))


def _entry(compared: Compared, threshold: float, how: str, adjusted: float | None) -> dict[str, Any]:
    index = psi(compared.source, compared.target)
    test: dict[str, Any] | None = None
    worth_a_look = False
    if compared.test is not None and adjusted is not None:
        statistic, p_value = compared.test
        significant = adjusted < ERROR_RATE
        worth_a_look = significant and statistic >= MIN_STATISTIC
        test = {
            "statistic": statistic,
            "p_value": p_value,
            "p_adjusted": adjusted,
            "significant": significant,
        }
    categorical = compared.item.type in ("string", "boolean")
    return {
        "column": compared.item.name,
        "type": compared.item.type,
        "shifted": index > threshold or worth_a_look,
        "psi": index,
        "psi_threshold": threshold,
        "psi_threshold_by": how,
        "ks": None if categorical else test,
        "chi_square": test if categorical else None,
        "missing": {"source": _missing_share(compared.source), "target": _missing_share(compared.target)},
        "unseen": compared.unseen,
        "reason": None if test else "the source's rows are not at hand, so there is no test",
    }


def _without_bins(item: Column) -> dict[str, Any]:
    nothing = dict.fromkeys(("psi", "psi_threshold", "psi_threshold_by", "ks", "chi_square", "missing"))
    reason = "neither the source's rows nor statistics of this column are at hand"
    return {
        "column": item.name,
        "type": item.type,
        "shifted": None,
        **nothing,
        "unseen": [],
        "reason": reason,
    }


def _missing_share(counts: Counts) -> float:
    return float(counts[-1] / max(int(counts.sum()), 1))


def _unseen(known: Sequence[str], target: Any, item: Column) -> list[dict[str, Any]]:
    """The target's most frequent texts that the source has not, with how many rows have them."""
    if item.type != "string":
        return []
    before = set(known)
    found = [(word, rows) for word, rows in category_counts(target) if word not in before]
    return [{"value": word, "rows": rows} for word, rows in found[:MAX_LISTED]]
