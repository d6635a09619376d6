"""The population stability index: how much of a column's mass has moved between bins, and how much is mere chance.

    PSI = Σ (p - q) · ln(p / q)      p, q the shares of source and target in each bin

0.1 is called moderate and 0.25 large by convention (Siddiqi, Credit Risk Scorecards, 2006), which is for thousands of
rows. Without any shift PSI grows as (bins - 1) · (1/n + 1/m) (Yurdakul, 2018), and of 60 columns at 50 rows the
largest reaches 0.4. So with few rows the threshold is what shuffled rows reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from worker.learning.bins import Codes, Counts

CONVENTION = 0.25
#: On this many rows of the smaller side and more, the convention holds.
LARGE_ROWS = 200
#: The chance that any column at all passes the threshold although nothing has shifted.
FAMILY_ERROR = 0.05
DRAWS = 400
#: Added to every bin, so that an empty one has a share and a logarithm.
_SMOOTHING = 0.5

Array = npt.NDArray[np.float64]


def psi(source: Counts, target: Counts) -> float:
    """Of rows counted in the same bins; bins that neither has are left out."""
    used = (source + target) > 0
    return float(_terms(source[used], target[used]).sum())


def permuted_thresholds(source: Sequence[Codes], target: Sequence[Codes], seed: int) -> Array:
    """(columns,): a PSI that is large and beyond chance, by shuffling which rows are source and which target.

    Rows are shuffled whole, so that columns stay as related as they are. One step of Westfall & Young (1993): in 95 %
    of shuffles no column at all, each measured in its own mean and deviation, is above.
    """
    used = [np.unique(np.concatenate(pair), return_inverse=True) for pair in zip(source, target, strict=True)]
    widths = np.array([len(bins) for bins, _ in used])
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    codes = np.stack([places for _, places in used], axis=1) + starts
    whole = np.bincount(codes.ravel())
    random, rows, drawn = np.random.RandomState(seed % 2**32), len(codes), len(target[0])
    found = np.empty((DRAWS, len(widths)))
    for draw in range(DRAWS):
        chosen = codes[random.permutation(rows)[:drawn]]
        there = np.bincount(chosen.ravel(), minlength=len(whole))
        found[draw] = np.add.reduceat(_terms(whole - there, there, starts, widths), starts)
    mean, std = found.mean(axis=0), found.std(axis=0)
    largest = ((found - mean) / np.where(std > 0, std, 1.0)).max(axis=1)
    return np.asarray(np.maximum(CONVENTION, mean + std * np.quantile(largest, 1 - FAMILY_ERROR)))


def expected_threshold(bins: int, source_rows: int, target_rows: int, columns: int) -> float:
    """The same without rows to shuffle: PSI without shift is (1/n + 1/m) · χ² with bins - 1 degrees of freedom."""
    quantile = chi2.ppf(1 - FAMILY_ERROR / max(columns, 1), max(bins - 1, 1))
    return max(CONVENTION, float(quantile) * (1 / max(source_rows, 1) + 1 / max(target_rows, 1)))


def _terms(
    source: Counts, target: Counts, starts: npt.NDArray[np.int64] | None = None, widths: Counts | None = None
) -> Array:
    """Each bin's part; with `starts` and `widths` of many columns side by side, whose bins all have `_SMOOTHING`."""
    smooth = source + _SMOOTHING, target + _SMOOTHING
    if starts is None or widths is None:
        p, q = (side / side.sum() for side in smooth)
    else:
        p, q = (side / np.repeat(np.add.reduceat(side, starts), widths) for side in smooth)
    return np.asarray((p - q) * np.log(p / q))
