"""How the answers differ: shares of labels (or the distribution of amounts) in source and target.

Labels of the target are known here, so their shares are simply counted and tested. Beside them stands what the source
model would have guessed without labels: the expectation-maximization of Saerens, Latinne & Decaestecker (Neural
Computation 2002) re-weighs its probabilities until they agree with the shares they imply. If the guess is close to the
truth, the source's probabilities hold in the target and only the shares have moved; if it is far off, the relation
between inputs and labels has changed as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp

from shared.modeling.bins import count, from_baseline, number_bins
from shared.modeling.model import Label, Model
from shared.modeling.stability import psi
from worker.learning.data import Labelled
from worker.learning.evaluation import positions, union
from worker.learning.feature_shift import ERROR_RATE, MIN_STATISTIC
from worker.learning.stability import expected_threshold

Array = npt.NDArray[np.float64]

#: Shuffles that the p-value of label shares comes from.
DRAWS = 2_000
#: Target rows that the source predicts for the estimate.
MAX_ROWS = 5_000
_EM_STEPS = 200
_EM_TOLERANCE = 1e-6


def label_shift(
    source: Labelled | None, target: Labelled, model: Model | None, baseline: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """For classes: {labels: [{label, source, target, estimated}], distance, p_value, shifted, estimate_distance}.
    For amounts: {source, target: {mean, std}, statistic, p_value, psi, shifted}. Null with a reason where nothing is
    known of the source."""
    if target.task == "regression":
        return _amounts(source, target, baseline.get("target") or {})
    known = _source_counts(source, baseline.get("target") or {})
    if not known:
        return {"shifted": None, "reason": "the source's label shares are not known"}
    classes = union(tuple(known), target.classes)
    here = np.array([known.get(label, 0) for label in classes])
    there = np.bincount(positions(target.classes, classes)[target.y], minlength=len(classes))
    shares = here / here.sum(), there / there.sum()
    distance = float(np.abs(shares[0] - shares[1]).sum()) / 2
    p_value = _p_value(here, there, seed)
    estimated = None if model is None else _estimated(model, known, target, seed)
    guessed = None if estimated is None else np.array([estimated.get(label, 0.0) for label in classes])
    labels = [
        {
            "label": label,
            "source": float(shares[0][place]),
            "target": float(shares[1][place]),
            "estimated": None if guessed is None else float(guessed[place]),
        }
        for place, label in enumerate(classes)
    ]
    return {
        "labels": labels,
        "distance": distance,
        "p_value": p_value,
        "shifted": p_value < ERROR_RATE and distance >= MIN_STATISTIC,
        "estimate_distance": None if guessed is None else float(np.abs(guessed - shares[1]).sum()) / 2,
        "reason": None,
    }


def saerens(probabilities: Array, priors: Array) -> Array:
    """(classes,): label shares of the rows, from a model's probabilities (n, classes) under training shares `priors`.

    Assumes that only the shares have changed. Classes without training rows keep a share of 0.
    """
    shares = priors.copy()
    weighed = np.divide(probabilities, priors, out=np.zeros_like(probabilities), where=priors > 0)
    for _ in range(_EM_STEPS):
        posterior = weighed * shares
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
        following = posterior.mean(axis=0)
        done = float(np.abs(following - shares).max()) < _EM_TOLERANCE
        shares = following
        if done:
            break
    return shares


def _estimated(
    model: Model, known: Mapping[Label, int], target: Labelled, seed: int
) -> dict[Label, float] | None:
    probabilities = model.predict(target.sample(MAX_ROWS, seed).table).probabilities
    counts = np.array([float(known.get(label, 0)) for label in model.classes])
    if probabilities is None or not counts.sum():
        return None
    shares = saerens(probabilities, counts / counts.sum())
    return dict(zip(model.classes, (float(share) for share in shares), strict=True))


def _source_counts(source: Labelled | None, kept: Mapping[str, Any]) -> dict[Label, int]:
    if source is not None:
        counts = np.bincount(source.y, minlength=len(source.classes))
        return {label: int(rows) for label, rows in zip(source.classes, counts, strict=True)}
    return {item["label"]: int(item["count"]) for item in kept.get("labels") or []}


def _p_value(source: npt.NDArray[Any], target: npt.NDArray[Any], seed: int) -> float:
    """How often shuffled rows differ as much in their shares: a permutation test, exact on any number of rows."""
    random = np.random.Generator(np.random.PCG64(seed % 2**32))
    pooled = source + target
    drawn = random.multivariate_hypergeometric(pooled, int(target.sum()), size=DRAWS, method="marginals")

    def distance(there: npt.NDArray[Any]) -> Array:
        shares = (pooled - there) / source.sum() - there / target.sum()
        return np.asarray(np.abs(shares).sum(axis=-1))

    least = distance(target) - 1e-12
    return float((1 + (distance(drawn) >= least).sum()) / (1 + DRAWS))


def _amounts(source: Labelled | None, target: Labelled, kept: Mapping[str, Any]) -> dict[str, Any]:
    there = {"mean": float(target.y.mean()), "std": float(target.y.std())}
    if source is not None:
        bins = number_bins(source.y)
        pair = count(bins, source.y), count(bins, target.y)
        test = ks_2samp(source.y, target.y, method="auto" if target.rows < 200 else "asymp")
        here = {"mean": float(source.y.mean()), "std": float(source.y.std())}
        statistic, p_value = float(test.statistic), float(test.pvalue)
        shifted = p_value < ERROR_RATE and statistic >= MIN_STATISTIC
        numbers = {"statistic": statistic, "p_value": p_value, "psi": psi(*pair), "shifted": shifted}
        return {"source": here, "target": there, **numbers, "reason": None}
    rows = sum((kept.get("bins") or {}).get("counts") or [])
    held = from_baseline(kept, rows)
    if held is None:
        return {"shifted": None, "reason": "the source's amounts are not known"}
    found = count(held.bins, target.y)
    index = psi(held.counts, found)
    return {
        "source": {"mean": kept.get("mean"), "std": kept.get("std")},
        "target": there,
        "statistic": None,
        "p_value": None,
        "psi": index,
        "shifted": index > expected_threshold(held.bins.count - 1, rows, target.rows, 1),
        "reason": "the source's rows are not at hand, so there is no test",
    }
