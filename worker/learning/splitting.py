"""Which rows are held out, and which fold each row is in. Everything follows from the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from shared.contracts.specs import EvaluationSpec
from shared.errors import InvalidInput
from worker.learning.data import Labelled

Rows = npt.NDArray[np.int64]
Warn = Callable[[str], None]


def hold_out(data: Labelled, spec: EvaluationSpec, seed: int, warn: Warn) -> tuple[Rows, Rows]:
    """(training rows, test rows) as sorted indices.

    Stratified by class where asked for and possible. A class with one row is kept for training; with too
    few rows to give every class a test row, rows are drawn at random, one of each class being kept for
    training. Raises InvalidInput `too_few_rows` when either side would be empty or training would see one
    class only.
    """
    test = max(1, round(data.rows * spec.test_fraction))
    if data.rows - test < 2:
        sentence = f"{data.rows} rows are too few to hold out {spec.test_fraction:g} of them"
        raise InvalidInput(sentence, code="too_few_rows")
    seed %= 2**32
    if data.task == "regression":
        held = np.random.RandomState(seed).permutation(data.rows)[:test]
        return _complement(held, data.rows), np.sort(held)
    held = _stratified(data, test, seed, warn) if spec.stratify else _drawn(data, test, seed)
    train = _complement(held, data.rows)
    if len(np.unique(data.y[train])) < 2:
        sentence = "only one class would be left to train on; give more rows or a smaller test_fraction"
        raise InvalidInput(sentence, code="too_few_rows")
    return train, np.sort(held)


def folds(y: npt.NDArray[Any], count: int, seed: int, *, stratify: bool) -> Rows:
    """The fold (0 … count-1) of each row. Stratified: each class is dealt out in turn, so that its rows
    spread as evenly as they can; unlike scikit-learn's StratifiedKFold it takes classes with fewer rows
    than folds."""
    order = np.random.RandomState(seed % 2**32).permutation(len(y))
    if stratify:
        order = order[np.argsort(y[order], kind="stable")]
    assigned = np.empty(len(y), np.int64)
    assigned[order] = np.arange(len(y)) % count
    return assigned


def _stratified(data: Labelled, test: int, seed: int, warn: Warn) -> Rows:
    counts = np.bincount(data.y, minlength=len(data.classes))
    single = np.flatnonzero(counts == 1)
    if len(single):
        names = ", ".join(repr(data.classes[code]) for code in single[:5])
        warn(f"{len(single)} classes have one row, which is used for training only: {names}")
    pool = np.flatnonzero(counts[data.y] > 1)
    present = int((counts > 1).sum())
    test = min(test, len(pool) - present)
    if not present or test < present:
        warn("there are too few rows to hold out rows of every class; they are drawn at random instead")
        return _drawn(data, max(test, 1), seed)
    _, held = train_test_split(pool, test_size=test, stratify=data.y[pool], random_state=seed)
    return np.asarray(held, np.int64)


def _drawn(data: Labelled, test: int, seed: int) -> Rows:
    """Random rows, but never the last training row of a class, as far as there are other rows."""
    order = np.random.RandomState(seed).permutation(data.rows)
    _, first = np.unique(data.y[order], return_index=True)
    spare = np.delete(order, first)
    return np.asarray((spare if len(spare) >= test else order)[:test], np.int64)


def _complement(held: Rows, rows: int) -> Rows:
    keep = np.ones(rows, np.bool_)
    keep[held] = False
    return np.flatnonzero(keep)
