"""The tables: 30 columns of float32, made a piece at a time so that any number of rows fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.contracts.tables import Format
from shared.tables import open_writer

FEATURES = 30
TRAINING_ROWS = 20_000
NAMES = [f"x{number}" for number in range(FEATURES)]
CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
}
_PIECE_ROWS = 2**20  # as many as pyarrow puts into a row group


def features(rows: int, seed: int) -> np.ndarray:
    """(rows, 30) float32, columns of different means and spreads, so that scaling has work to do."""
    random = np.random.default_rng(seed)
    made = random.standard_normal((rows, FEATURES), np.float32)
    made *= np.linspace(0.5, 4.0, FEATURES, dtype=np.float32)
    made += np.linspace(-3.0, 3.0, FEATURES, dtype=np.float32)
    return made


def labels(X: np.ndarray) -> np.ndarray:
    """Two classes along a curved border with noise: every family has something to learn, trees grow to their limit."""
    border = X[:, 0] + X[:, 5] * 0.5 - X[:, 9] * 0.3 + np.abs(X[:, 12] - X[:, 20]) * 0.4 + np.sin(X[:, 3]) * 2
    noise = np.random.default_rng(5).standard_normal(len(X))
    return (border + noise > np.median(border)).astype(np.int64)


def pieces(rows: int, seed: int = 1) -> Iterator[np.ndarray]:
    for number, start in enumerate(range(0, rows, _PIECE_ROWS)):
        yield features(min(_PIECE_ROWS, rows - start), seed * 1_000_003 + number)


def write(path: Path, format: Format, rows: int) -> Path:
    """As a user's tools do: Parquet with the defaults of pyarrow (snappy, dictionaries), text with seven digits."""
    schema = pa.schema([(name, pa.float32()) for name in NAMES])
    made = pq.ParquetWriter(path, schema) if format == "parquet" else open_writer(path, format, schema)
    with made as writer:
        for piece in pieces(rows):
            batch = pa.RecordBatch.from_arrays([pa.array(column) for column in piece.T.copy()], schema=schema)
            (writer.write_batch if format == "parquet" else writer.write)(batch)
    return path


def training_table() -> pa.Table:
    X = features(TRAINING_ROWS, 0)
    return pa.table({**dict(zip(NAMES, X.T.copy(), strict=True)), "label": labels(X)})
