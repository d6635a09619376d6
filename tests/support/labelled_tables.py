"""Labelled tables for tests of learning: scikit-learn's bundled data, and small random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import datasets
from threadpoolctl import threadpool_limits

from shared.contracts.tables import Column
from shared.modeling.columns import column_type
from worker.handlers.base import TableFiles
from worker.learning.data import Labelled, labelled

# The tables are small and the cores are shared: BLAS threads would mostly wait for one another.
threadpool_limits(1)


def silent(message: str) -> None:
    """Takes warnings that a test does not look at."""


def columns_of(table: pa.Table) -> tuple[Column, ...]:
    """The columns as a dataset's record describes them."""
    return tuple(
        Column(name=field.name, type=column_type(field.type) or "string", nulls=values.null_count)
        for field, values in zip(table.schema, table.columns, strict=True)
    )


def table_of(X: Any, y: Any = None) -> pa.Table:
    """Features x0, x1, … and, if given, the target `label`."""
    features = {f"x{number}": np.ascontiguousarray(X[:, number], np.float64) for number in range(X.shape[1])}
    return pa.table(features if y is None else {**features, "label": y})


def labelled_from(table: pa.Table, target: str = "label", task: Any = "auto", warn: Any = silent) -> Labelled:
    return labelled(table, columns_of(table), target, None, task, warn)


def bundled(name: str) -> tuple[Any, Any]:
    """X, y of a data set that comes with scikit-learn."""
    return getattr(datasets, f"load_{name}")(return_X_y=True)  # type: ignore[no-any-return]


def blobs(rows: int, classes: int = 3, seed: int = 0, spread: float = 1.0) -> tuple[Any, Any]:
    """Well separated classes in five dimensions; the centres do not depend on `rows`."""
    centres = np.random.RandomState(99).normal(0, 3, (classes, 5))
    random = np.random.RandomState(seed)
    y = np.arange(rows) % classes
    return centres[y] + random.normal(0, spread, (rows, 5)), y


def line(rows: int, seed: int = 0, shift: float = 0.0) -> tuple[Any, Any]:
    """A noisy linear amount of five inputs, far from zero."""
    random = np.random.RandomState(seed)
    X = random.normal(size=(rows, 5))
    return X, 500 + 40 * (X @ np.array([1.0, -2.0, 0.5, 0.0, 1.0])) + shift + random.normal(0, 10, rows)


def parquet_files(folder: Path, *tables: pa.Table) -> TableFiles:
    """The tables as the supervisor would lay them into an attempt's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, table in enumerate(tables):
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path)
        paths.append(path)
    rows = sum(table.num_rows for table in tables)
    names = tuple(path.name for path in paths)
    return TableFiles("parquet", tuple(paths), columns_of(tables[0]), rows, "0" * 64, names)
