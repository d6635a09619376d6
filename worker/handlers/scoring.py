"""Turns batches of input rows into batches of output rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contracts.tables import Column, Format
from shared.modeling import Alignment, BadCell, Model, Prediction, align, predictor
from shared.tables import Rows, canonical_type
from worker.learning.target import Renames

PREDICTION = "prediction"
ROW_COLUMNS = ["_file", "_row"]
"""Where an output row comes from, if that is asked for: the file's name, and the row's number in it, from 1."""


class Scorer:
    """Turns batches of input into batches of output: the kept columns, the prediction, and what else is asked for."""

    def __init__(
        self,
        model: Model,
        kept: list[str],
        renames: Renames,
        *,
        probabilities: bool,
        decision: bool = False,
        row_numbers: bool = False,
    ) -> None:
        self._model = model
        self._schema = model.schema()
        self._kept = kept
        self._renames = renames
        self._theirs = {meant: name for name, meant in renames.columns.items()}
        self._probabilities = probabilities and model.task == "classification"
        self._decision = decision
        self._row_numbers = row_numbers
        self._predict = predictor(model, probabilities=self._probabilities)

    def needed(self, format: Format, columns: Iterable[Column]) -> list[Column]:
        """Those of the input's columns that must be read, the model's and the kept ones, and as what.

        A CSV column that is text for a few cells' sake is read as the numbers that the model wants: those cells' rows
        are bad then, and the others keep their type.
        """
        wanted = {item["name"]: item["type"] for item in self._schema["inputs"]}
        meant = self._renames.column
        found = [column for column in columns if meant(column.name) in wanted or column.name in self._kept]
        if format != "csv":
            return found
        return [
            Column(name=column.name, type="number", nulls=column.nulls)
            if column.type == "string" and wanted.get(meant(column.name)) in ("integer", "number")
            else column
            for column in found
        ]

    def split(self, batch: pa.RecordBatch) -> tuple[Alignment, tuple[BadCell, ...]]:
        """The batch as the model wants it, without its bad rows, and what is wrong with those."""
        renamed = batch.rename_columns([self._renames.column(name) for name in batch.schema.names])
        aligned = align(renamed, self._schema)
        if aligned.bad:
            good = aligned.table.filter(pa.array(~aligned.bad_rows))
            return dataclasses.replace(aligned, table=good), tuple(map(self._named, aligned.bad))
        return aligned, ()

    def score(self, name: str, rows: Rows, good: Alignment) -> pa.RecordBatch:
        """The output of the good rows of `rows`, which are of the file `name`."""
        kept = rows.batch.select(self._kept)
        if self._row_numbers:
            arrays = [*kept.columns, pa.repeat(name, kept.num_rows), pa.array(rows.numbers)]
            kept = pa.RecordBatch.from_arrays(arrays, names=[*self._kept, *ROW_COLUMNS])
        if good.bad:
            kept = kept.filter(pa.array(~good.bad_rows))
        return self._compose(kept, self._predict(good.table))

    def empty(self, columns: Sequence[Column]) -> pa.Schema:
        """The output's schema when no row could be scored."""
        known = [(item.name, canonical_type(item.type)) for item in columns if item.name in self._kept]
        traced = zip(ROW_COLUMNS, (pa.string(), pa.int64()), strict=True) if self._row_numbers else ()
        return pa.schema([*known, *traced, (PREDICTION, pa.null())])

    def _named(self, cell: BadCell) -> BadCell:
        """With the input's name for its column."""
        return dataclasses.replace(cell, column=self._theirs.get(cell.column, cell.column))

    def _compose(self, kept: pa.RecordBatch, prediction: Prediction) -> pa.RecordBatch:
        names, arrays = list(kept.schema.names), list(kept.columns)
        names.append(PREDICTION)
        arrays.append(self._values(prediction))
        if self._decision and prediction.decision is not None:
            names += decision_columns(self._model)
            arrays += _vectors(prediction.decision)
        if self._probabilities and prediction.probabilities is not None:
            names += [probability_column(label) for label in self._model.classes]
            arrays += _vectors(prediction.probabilities)
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _values(self, prediction: Prediction) -> pa.Array:
        if prediction.codes is None:
            return pa.array(prediction.values)
        return pa.array(list(self._model.classes)).take(pa.array(prediction.codes))


def probability_column(label: Any) -> str:
    """The output column that holds the probability of a label."""
    return f"probability_{_shown(label)}"


def decision_columns(model: Model) -> list[str]:
    """The output columns that hold a classifier's decision scores, one for each label."""
    return [f"decision_{_shown(label)}" for label in model.classes]


def _shown(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _vectors(matrix: Any) -> list[pa.Array]:
    """Each column of (rows, columns) as float32."""
    by_column = matrix.astype(np.float32, order="F", copy=False)
    return [pa.array(np.ascontiguousarray(by_column[:, place])) for place in range(by_column.shape[1])]
