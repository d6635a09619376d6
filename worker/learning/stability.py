"""How large a population stability index (`shared.modeling.stability`) has to be to count: larger than mere chance.

0.1 is called moderate and 0.25 large by convention (Siddiqi, Credit Risk Scorecards, 2006), which is for thousands of
rows. Without any shift PSI grows as (bins - 1) · (1/n + 1/m), and of 60 columns at 50 rows the largest reaches 0.4. So
with few rows the threshold is what shuffled rows reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.modeling.bins import Codes
from shared.modeling.stability import noise, terms

CONVENTION = 0.25
#: On this many rows of the smaller side and more, the convention holds.
LARGE_ROWS = 200
#: The chance that any column at all passes the threshold although nothing has shifted.
FAMILY_ERROR = 0.05
DRAWS = 400
Array = npt.NDArray[np.float64]


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
        found[draw] = np.add.reduceat(terms(whole - there, there, starts, widths), starts)
    mean, std = found.mean(axis=0), found.std(axis=0)
    largest = ((found - mean) / np.where(std > 0, std, 1.0)).max(axis=1)
    return np.asarray(np.maximum(CONVENTION, mean + std * np.quantile(largest, 1 - FAMILY_ERROR)))


def expected_threshold(bins: int, source_rows: int, target_rows: int, columns: int) -> float:
    """The same without rows to shuffle: PSI without shift is (1/n + 1/m) · χ² with bins - 1 degrees of freedom."""
    chance = noise(bins, source_rows, target_rows, FAMILY_ERROR / max(columns, 1))
    return max(CONVENTION, chance)
