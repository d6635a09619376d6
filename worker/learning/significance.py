"""The gain of one model over another on the same test rows, and how sure that is.

Paired bootstrap (Efron & Tibshirani, 1993, chapter 8): test rows are drawn again with replacement, both
models are scored on each draw, and the interval holds the middle 95 % of the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["improved", "neutral", "negative_transfer"]

CONFIDENCE = 0.95
DRAWS = 2_000
#: Work on at most this many drawn rows in all, so that large test sets get fewer draws (they need fewer).
MAX_DRAWN_ROWS = 20_000_000
#: On fewer test rows no verdict is given: a bootstrap of a handful of equal rows is always certain, and
# means nothing.
MIN_VERDICT_ROWS = 10


@dataclass(frozen=True, slots=True)
class Gain:
    """In units of the metric: the difference on the test rows, and its confidence interval."""

    value: float
    low: float
    high: float

    def verdict(self, rows: int) -> Verdict:
        """improved or negative_transfer if the whole interval is on that side of zero, else neutral."""
        if rows < MIN_VERDICT_ROWS or self.low <= 0 <= self.high:
            return "neutral"
        return "improved" if self.low > 0 else "negative_transfer"


def accuracy_gain(correct: npt.NDArray[np.bool_], baseline_correct: npt.NDArray[np.bool_], seed: int) -> Gain:
    """Of accuracy. Both (n,): whether each row is right."""
    difference = correct.astype(np.int64) - baseline_correct.astype(np.int64)
    shares = np.array([(difference == sign).mean() for sign in (-1, 0, 1)])
    drawn = np.random.RandomState(seed % 2**32).multinomial(len(difference), shares, size=DRAWS)
    return _interval(float(difference.mean()), (drawn[:, 2] - drawn[:, 0]) / len(difference))


def r2_gain(
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    baseline: npt.NDArray[np.float64],
    seed: int,
) -> Gain:
    """Of R². All (n,). Draws in which the target does not vary count as no difference."""
    random = np.random.RandomState(seed % 2**32)
    draws = max(200, min(DRAWS, MAX_DRAWN_ROWS // len(truth)))
    saved = np.square(baseline - truth) - np.square(predicted - truth)
    found = np.zeros(draws)
    for draw in range(draws):
        rows = random.randint(len(truth), size=len(truth))
        found[draw] = _ratio(saved[rows], truth[rows])
    return _interval(_ratio(saved, truth), found)


def _ratio(saved: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    spread = float(np.square(truth - truth.mean()).sum())
    return float(saved.sum()) / spread if spread > 0 else 0.0


def _interval(value: float, draws: npt.NDArray[np.float64]) -> Gain:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Gain(value, float(low), float(high))
