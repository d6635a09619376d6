"""How many more labels would pay: scores of fits on growing nested subsets, and a power law through them.

`power_law` says what the curve may be; here the subsets are fitted and measured, and the question is answered: so many
more labels bring a point for sure, or hardly any number does, or it cannot be said from these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import InvalidInput
from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.power_law import Curves, fitted
from worker.learning.scores import headline_metric, row_scores
from worker.learning.sentences import of_labels_needed
from worker.learning.splitting import folds

Array = npt.NDArray[np.float64]
Fit = Callable[[Labelled], Model]

#: Sizes of subsets, from the smallest one in equal ratios to all training rows.
SIZES = 4
#: The smallest is a tenth of the rows, but more where that is too few (of each label, or in all) to lie on the curve
#: that the others are on; and it is at most a third, so that there is a curve.
LEAST_SHARE, MOST_SHARE, LABEL_ROWS, LEAST_ROWS = 0.1, 0.35, 3, 10
REPEATS = 3
#: On fewer labelled rows there is no curve to speak of.
MIN_ROWS = 15
#: Test rows that are predicted in each fit, at most.
MAX_TEST_ROWS = 5_000
#: How many times the labels it looks ahead; further is a guess.
MULTIPLES = (1.5, 2.0, 3.0, 5.0, 10.0)
#: More labels pay if they surely (lower bound) bring this much score; and do not if they surely bring less than twice
#: of it.
WORTH = 0.01


def labels_needed(
    fit: Fit,
    train: Labelled,
    test: Labelled | None,
    *,
    source_score: float | None,
    seed: int,
    repeats: int = REPEATS,
) -> dict[str, Any]:
    """{points, extrapolation, outcome: pays | flat | unknown, more_labels, beats_source_at, reason, …} as JSON.

    `fit` is called SIZES · repeats times at most, never with more rows than `train`. With `test` the subsets are
    nested in `train`; without (few rows, cross-validated) each repeat holds out another part of `train`. source_score:
    the source's own score on the same kind of rows, which the curve has to pass.
    """
    found: dict[str, Any] = {
        "metric": headline_metric(train.task),
        "n_train": train.rows,
        "source_score": source_score,
        "points": [],
        "exponent": None,
        "extrapolation": [],
        "outcome": "unknown",
        "more_labels": None,
        "beats_source_at": None,
        "reason": None,
    }
    if train.rows < MIN_ROWS:
        found["reason"] = (
            f"{train.rows} labelled rows are too few to see how the score grows with their number"
        )
        return found | of_labels_needed(found)
    sizes, scores = measured(fit, train, test, seed, repeats)
    if len(sizes) < 3:
        found["reason"] = "on small subsets no model could be fitted, so there is no curve"
        return found | of_labels_needed(found)
    mean, covariance = summary(scores, hits=train.task == "classification")
    found["points"] = [
        {"labels": int(size), "score": float(score), "error": float(np.sqrt(variance))}
        for size, score, variance in zip(sizes, mean, np.diag(covariance), strict=True)
    ]
    curves = fitted(sizes, 1.0 - mean, covariance)
    return found | (answer := _answer(curves, train.rows, source_score)) | of_labels_needed(found | answer)


def measured(
    fit: Fit, train: Labelled, test: Labelled | None, seed: int, repeats: int
) -> tuple[Array, Array]:
    """(sizes,) and (sizes, repeats, rows): each row's score under a fit on that many rows; NaN where not tested."""
    rows = train.rows if test is None else min(test.rows, MAX_TEST_ROWS)
    tested = None if test is None else test.sample(MAX_TEST_ROWS, seed)
    fold = folds(train.y, max(repeats, 2), seed, stratify=train.task == "classification")
    pool = train.rows - int(np.bincount(fold).max()) if test is None else train.rows
    sizes = _sizes(pool, len(train.classes))
    scores = np.full((len(sizes), repeats, rows), np.nan)
    random = np.random.RandomState(seed % 2**32)
    for repeat in range(repeats):
        held = np.flatnonzero(fold == repeat)
        order = random.permutation(np.flatnonzero(fold != repeat) if tested is None else train.rows)
        against = train.take(held) if tested is None else tested
        for place, size in enumerate(sizes):
            if tested is not None and size == train.rows and repeat:
                scores[place, repeat] = scores[place, 0]  # the same rows, the same fit
                continue
            found = _fitted(fit, train.take(order[:size]), against)
            if found is not None and tested is None:
                scores[place, repeat, held] = found
            elif found is not None:
                scores[place, repeat] = found
    usable = ~np.isnan(scores).all(axis=2).any(axis=1)
    return sizes[usable].astype(np.float64), scores[usable]


def summary(scores: Array, *, hits: bool) -> tuple[Array, Array]:
    """The mean score of each size (sizes,), and the covariance of these means (sizes, sizes).

    The same rows are tested at every size, so most of the noise is common to all and does not bend the curve: hence the
    covariance over rows. What the choice of subsets adds is each size's own, and is taken together over sizes, as a few
    repeats say little about one. It is not divided by their number, since they share most of their rows. `hits`: scores
    are 0 or 1, and then a few rows that are all right prove no perfection: the share of errors is one more in two more.
    """
    by_repeat = np.nanmean(scores, axis=2)
    tested = ~np.isnan(scores).all(axis=(0, 1))
    by_row = np.nanmean(scores[:, :, tested], axis=1)
    rows = by_row.shape[1]
    covariance = np.atleast_2d(np.cov(by_row)) / rows
    own = float(by_repeat.var(axis=1, ddof=1).mean()) if by_repeat.shape[1] > 1 else 0.0
    if hits:
        errors = (rows * (1 - by_row.mean()) + 1) / (rows + 2)
        lacking = max(errors * (1 - errors) / rows - float(np.diag(covariance).mean()), 0.0)
        covariance, own = covariance + lacking, own + lacking
    return by_repeat.mean(axis=1), covariance + own * np.eye(len(scores))


def _sizes(pool: int, classes: int) -> npt.NDArray[np.int64]:
    """Ascending; the last is `pool`."""
    least = min(max(LEAST_SHARE * pool, LABEL_ROWS * classes, LEAST_ROWS), MOST_SHARE * pool)
    return np.unique(np.geomspace(max(least, 2), pool, SIZES).round().astype(np.int64))


def _fitted(fit: Fit, rows: Labelled, test: Labelled) -> Array | None:
    """Row scores on `test`; None where the rows do not allow a fit."""
    if rows.task == "classification" and len(np.unique(rows.y)) < 2:
        return None
    try:
        model = fit(rows)
    except InvalidInput:
        return None
    return row_scores(model, test)


def _answer(curves: Curves, rows: int, source_score: float | None) -> dict[str, Any]:
    ahead: list[dict[str, Any]] = []
    more = None
    for multiple in MULTIPLES:
        labels = round(multiple * rows)
        gain, score = curves.gain(rows, labels), curves.score(labels)
        ahead.append(
            {
                "labels": labels,
                "score": score.mean,
                "low": score.low,
                "high": score.high,
                "gain": {"value": gain.mean, "low": gain.low, "high": gain.high},
            }
        )
        if more is None and gain.low >= WORTH:
            more = labels - rows
    most = ahead[-1]["gain"]["high"]
    outcome = "pays" if more is not None else "flat" if most < 2 * WORTH else "unknown"
    reasons = {
        "pays": None,
        "flat": f"even {MULTIPLES[-1]:g} times as many labels bring less than {2 * WORTH:g}",
        "unknown": "the scores of these few rows are too uncertain to say what more of them would bring",
    }
    beats = None
    if source_score is not None and curves.score(rows).mean < source_score:
        beats = next((item["labels"] for item in ahead if item["score"] >= source_score), None)
    return {
        "exponent": curves.exponent,
        "extrapolation": ahead,
        "outcome": outcome,
        "more_labels": more,
        "beats_source_at": beats,
        "reason": reasons[outcome],
    }
