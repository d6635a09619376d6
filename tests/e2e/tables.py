"""Real tables for the end-to-end tests: data bundled with scikit-learn."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.ndimage import rotate
from sklearn import datasets

from tests.support.client import as_table


@cache
def iris() -> pa.Table:
    """150 flowers, three species by name."""
    found = datasets.load_iris()
    return as_table(found.data, [str(found.target_names[i]) for i in found.target])


@cache
def breast_cancer() -> pa.Table:
    """569 tumours; `label` is boolean."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return as_table(X, [bool(v) for v in y])


@cache
def diabetes() -> pa.Table:
    """442 patients, a number to predict."""
    X, y = datasets.load_diabetes(return_X_y=True)
    return as_table(X, y.tolist())


def digits(rows: slice, *, degrees: float = 0.0, labels: bool = True) -> pa.Table:
    """Handwritten digits of 8 by 8 pixels, turned by an angle."""
    X, y = datasets.load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order][rows], y[order][rows]
    if degrees:
        X = np.clip(rotate(X.reshape(-1, 8, 8), degrees, axes=(1, 2), reshape=False, order=1), 0, 16)
        X = X.reshape(len(X), 64)
    return as_table(X, y.tolist() if labels else None)


def mixed(rows: int = 300, seed: int = 0) -> pa.Table:
    """Every type of column, with gaps; the label follows from them."""
    random = np.random.RandomState(seed)
    age, vip = random.normal(40, 12, rows), random.rand(rows) < 0.3
    city = random.choice(["Bern", "Graz", "Lyon"], rows)
    since = np.datetime64("2020-01-01") + random.randint(0, 2000, rows)
    score = 0.08 * (age - 40) + 2.0 * vip + 1.5 * (city == "Lyon") + random.normal(0, 0.3, rows)

    def gaps(values: Any) -> list[Any]:
        return [None if random.rand() < 0.05 else value for value in values.tolist()]

    return pa.table(
        {
            "age": gaps(age),
            "vip": gaps(vip),
            "city": gaps(city),
            "since": pa.array(since),
            "label": ["stays" if value > 1 else "leaves" for value in score],
        }
    )
