"""How much each candidate should count in a blend, from what it said about rows that it was not fitted on.

With few rows, the weights are those of a Gibbs posterior: prior · exp(RATE · log-likelihood of all rows), where a RATE
below 1 allows for likelihoods that are misspecified and folds that are few (Grünwald, ALT 2012). It hedges until the
evidence is clear, and then picks one. With many rows that is too little: candidates that are right about different
rows are better together, and the weights become those of the likeliest mixture (stacked density estimation: Smyth &
Wolpert, 1999), found by EM. Between the two the share of the second grows as n / (n + HALF_ROWS).

Amounts. An accuracy cannot fall below zero, an error has no bound: what starts over on a few rows can be wilder than
they show. So the likelihood of amounts gives each candidate the spread of its own errors, and in the prior all that is
fitted on the target alone begins with FRESH_SHARE of what it has for labels.

Confidence. A candidate that is right but too modest, or wrong but too sure, is judged by its manner instead of its
knowledge. From CALIBRATED_ROWS rows on, each is therefore first given its own temperature (Guo et al., ICML 2017).

Labels. Leaving a fold out may leave a label's only rows out. What was fitted on the target alone cannot know that
label then, though the model that is published will, and neither can anything that learns if the label is new to the
source too. Such a row says nothing about them, and counts as a guess among all labels. That is worse than any source
which knows the label, and better than one that is sure of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from shared.modeling.composite import sharpened
from worker.learning.selection import OutOfFold

Vector = npt.NDArray[np.float64]

RATE = 0.33
#: What a hit counts in the posterior beside the log-likelihood.
HIT = 0.75
HALF_ROWS = 50
#: Of amounts: the prior of a candidate that is fitted on the target alone, beside 1 for the others.
FRESH_SHARE = 0.2
#: The share of a uniform guess in every likelihood: no candidate is ruled out by one row.
GUESS = 0.02
#: Members with less weight are dropped: they change no prediction, and cost time with each one.
SMALLEST_WEIGHT = 0.01
EM_STEPS = 100
CALIBRATED_ROWS = 50
#: How far a temperature strays from 1 before the rows have spoken: the standard deviation of its logarithm.
TEMPERATURE_SPREAD = 0.5
_LARGEST_LOG_TEMPERATURE = 1.6


@dataclass(frozen=True, slots=True)
class Shares:
    """weights: (candidates,) that sum to 1, some of them 0. sharpness: (candidates,) see `composite.Member`."""

    weights: Vector
    sharpness: Vector


def blend(found: OutOfFold) -> Shares:
    """The weights of one model made of all candidates."""
    sharpness = np.ones(len(found.candidates))
    if found.classes and len(found.truth) >= CALIBRATED_ROWS:
        for number, known in enumerate(~_unknowable(found)):
            sharpness[number] = _sharpness(found.outputs[number][known], found.truth[known])
    logs = _normal(found) if not found.classes else _categorical(found, sharpness)
    prior = _prior(found)
    share = logs.shape[1] / (logs.shape[1] + HALF_ROWS)
    evidence = logs if not found.classes else logs + HIT * _hits(found)
    weights = (1 - share) * _posterior(prior, evidence) + share * _mixture(prior, logs)
    weights[weights < min(SMALLEST_WEIGHT, weights.max())] = 0.0
    return Shares(np.asarray(weights / weights.sum()), sharpness)


def _prior(found: OutOfFold) -> Vector:
    """Equal among strategies (but see above on amounts), and within a strategy among its parameters."""
    strategies = [item.strategy for item in found.candidates]
    fresh_share = 1.0 if found.classes else FRESH_SHARE
    prior = np.array(
        [(fresh_share if item.fresh else 1.0) / strategies.count(item.strategy) for item in found.candidates]
    )
    return np.asarray(prior / prior.sum())


def _normal(found: OutOfFold) -> Vector:
    """(candidates, n) log-likelihoods of amounts, each with the spread of the candidate's own errors, which the spread
    of the target itself (as one more row) keeps from vanishing."""
    errors = np.square(found.outputs - found.truth)
    variance = (errors.sum(axis=1) + found.truth.var()) / (errors.shape[1] + 1)
    variance = np.maximum(variance, 1e-300)[:, None]
    return np.asarray(-errors / (2 * variance) - np.log(variance) / 2)


def _categorical(found: OutOfFold, sharpness: Vector) -> Vector:
    """(candidates, n) log-likelihoods of labels."""
    logs = np.stack(
        [
            _logs(outputs, found.truth, factor)
            for outputs, factor in zip(found.outputs, sharpness, strict=True)
        ]
    )
    logs[_unknowable(found)] = -np.log(len(found.classes))
    return logs


def _hits(found: OutOfFold) -> Vector:
    """(candidates, n): 1 where the label was the likeliest, a guess's chance where it could not be known."""
    hits = (found.outputs.argmax(axis=2) == found.truth).astype(np.float64)
    hits[_unknowable(found)] = 1.0 / len(found.classes)
    return np.asarray(hits)


def _unknowable(found: OutOfFold) -> npt.NDArray[np.bool_]:
    """(candidates, n): the row's label could not be known, but will be once the candidate is fitted on all rows."""
    foreign = found.unseen & found.foreign
    return np.stack(
        [found.unseen if item.fresh else foreign & np.bool_(item.learns) for item in found.candidates]
    )


def _logs(outputs: Vector, truth: npt.NDArray[np.int64], factor: float) -> Vector:
    said = sharpened(outputs, factor)[np.arange(len(truth)), truth]
    return np.asarray(np.log((1 - GUESS) * said + GUESS / outputs.shape[1]))


def _sharpness(outputs: Vector, truth: npt.NDArray[np.int64]) -> float:
    def loss(log_factor: float) -> float:
        strayed = (log_factor / TEMPERATURE_SPREAD) ** 2 / 2
        return strayed - float(_logs(outputs, truth, float(np.exp(log_factor))).sum())

    bounds = (-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-2})
    return float(np.exp(found.x))


def _posterior(prior: Vector, evidence: Vector) -> Vector:
    logs = np.log(prior) + RATE * evidence.sum(axis=1)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _mixture(prior: Vector, logs: Vector) -> Vector:
    likelihoods = np.exp(logs - logs.max(axis=0))
    weights = prior
    for _ in range(EM_STEPS):
        shares = weights[:, None] * likelihoods
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return weights
