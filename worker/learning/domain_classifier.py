"""Can a classifier tell source rows from target rows? The area under its ROC curve says how well.

0.5 is a coin: no shift that it can see. 1.0 means that every row betrays where it comes from. Two classifiers look: a
linear one sees moved means, gradient boosting also what a line cannot see, such as changed variances, correlations or
gaps (Lopez-Paz & Oquab, ICLR 2017). Scores are out of fold, the standard error is Hanley & McNeil's (Radiology 1982).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from shared.modeling.columns import MISSING, UNSEEN, Table, category_codes, column, instants, numbers
from shared.modeling.encoder import CategoryColumn, Encoder, TimeColumn
from worker.learning.splitting import folds

FOLDS = 5
#: Below this there is too little to learn from, on either side.
MIN_ROWS = 5
#: Source rows for each target row: more hardly narrow the standard error, which the smaller side makes.
SOURCE_RATIO = 8
MAX_ROWS = 3_000
#: Cells (rows by features) that are looked at, at most.
MAX_CELLS = 2_000_000
#: Flagged if the area is this many standard errors above a coin, and at least so large.
STANDARD_ERRORS = 3.0
MIN_AUC = 0.60

Array = npt.NDArray[Any]
Score = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True, slots=True)
class Area:
    """The out-of-fold area under the ROC curve and its standard error."""

    auc: float
    se: float

    @property
    def flagged(self) -> bool:
        return self.auc > 0.5 + STANDARD_ERRORS * self.se and self.auc >= MIN_AUC

    def as_json(self) -> dict[str, Any]:
        return {"auc": self.auc, "se": self.se, "flagged": self.flagged}


def domain_classifier(
    encoder: Encoder, source: Table, target: Table, absent: frozenset[str], seed: int
) -> dict[str, Any]:
    """{linear, boosting: {auc, se, flagged}, flagged, rows, reason}; null with a reason on too few rows.

    `encoder` knows the columns; those in `absent` are left out, as the target has none of them. Rows are drawn where
    there are more than are needed.
    """
    columns = tuple(item for item in encoder.columns if item.name not in absent)
    described = replace(encoder, columns=columns, numeric="standardize", missing="impute")
    random = np.random.RandomState(seed % 2**32)
    most = max(MIN_ROWS, min(MAX_ROWS, MAX_CELLS // max(described.width, 1) // 2))
    target = _drawn(target, most, random)
    source = _drawn(source, min(most, max(SOURCE_RATIO * target.num_rows, 400)), random)
    rows = {"source": source.num_rows, "target": target.num_rows}
    if min(rows.values()) < MIN_ROWS:
        reason = f"fewer than {MIN_ROWS} rows on one side are too few to tell the two apart"
        return {"linear": None, "boosting": None, "flagged": None, "rows": rows, "reason": reason}
    here = np.repeat([0, 1], [source.num_rows, target.num_rows])
    flat = np.concatenate([_flat(described, source), _flat(described, target)])
    plain = np.concatenate([_plain(described, source), _plain(described, target)])
    found = {
        "linear": _area(_linear, flat, here, seed),
        "boosting": _area(_boosting(seed), plain, here, seed),
    }
    return {
        **{name: area.as_json() for name, area in found.items()},
        "flagged": any(area.flagged for area in found.values()),
        "rows": rows,
        "reason": None,
    }


def hanley_mcneil(auc: float, positives: int, negatives: int) -> float:
    """The standard error of an area under the ROC curve. At 0.5 it is that of the Mann-Whitney test."""
    both = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (both[0] - auc**2) + (negatives - 1) * (both[1] - auc**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def area_under_curve(scores: Array, positive: Array) -> float:
    """The chance that a positive row scores above a negative one; equals count half."""
    ranks = rankdata(scores)
    count = int(positive.sum())
    above = ranks[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(scores) - count)))


def _area(score: Score, X: Array, here: Array, seed: int) -> Area:
    fold = folds(here, FOLDS, seed, stratify=True)
    scores = np.empty(len(here))
    for part in range(FOLDS):
        outside = fold == part
        scores[outside] = score(X[~outside], here[~outside], X[outside])
    auc = area_under_curve(scores, here == 1)
    return Area(auc, hanley_mcneil(auc, int(here.sum()), int((here == 0).sum())))


def _linear(X: Array, y: Array, X_test: Array) -> Array:
    mean, std = X.mean(axis=0), X.std(axis=0)
    std[std < 1e-6] = 1.0
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=50, tol=1e-2)
    model.fit((X - mean) / std, y)
    return np.asarray(model.decision_function((X_test - mean) / std))


def _boosting(seed: int) -> Score:
    """Without class weights: ranks need none, and scikit-learn bins weighted rows 20 times slower."""

    def score(X: Array, y: Array, X_test: Array) -> Array:
        model = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=5,
            max_bins=64,
            early_stopping=False,
            random_state=seed % 2**32,
        )
        with threadpool_limits(1, user_api="openmp"):  # its sums depend on the number of threads
            return np.asarray(model.fit(X, y).decision_function(X_test))

    return score


def _flat(encoder: Encoder, table: Table) -> Array:
    """What a line can weigh: the encoder's features, and a flag for missing and for unseen cells."""
    flags = [flag for item in encoder.columns for flag in _flags(item, column(table, item.name))]
    X = encoder.transform(table)
    return np.concatenate([X, np.stack(flags, axis=1)], axis=1) if flags else X


def _flags(item: Any, values: Any) -> list[Array]:
    if isinstance(item, CategoryColumn):
        codes = category_codes(values, item.categories)
        return [(codes == MISSING).astype(np.float32), (codes == UNSEEN).astype(np.float32)]
    return [np.isnan(_numeric(item, values)).astype(np.float32)]


def _plain(encoder: Encoder, table: Table) -> Array:
    """What a tree can split: one feature a column, missing as NaN, categories by how frequent they are."""
    out = np.empty((table.num_rows, len(encoder.columns)), np.float64)
    for place, item in enumerate(encoder.columns):
        values = column(table, item.name)
        if isinstance(item, CategoryColumn):
            codes = category_codes(values, item.categories).astype(np.float64)
            codes[codes == UNSEEN] = len(item.categories)
            codes[codes == MISSING] = np.nan
            out[:, place] = codes
        else:
            out[:, place] = _numeric(item, values)
    return out


def _numeric(item: Any, values: Any) -> Array:
    return instants(values) if isinstance(item, TimeColumn) else numbers(values)


def _drawn(table: Table, most: int, random: np.random.RandomState) -> Table:
    if table.num_rows <= most:
        return table
    return table.take(np.sort(random.permutation(table.num_rows)[:most]))
