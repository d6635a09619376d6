"""Turns batches of input rows into batches of output rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contracts.tables import Column
from shared.modeling import Alignment, BadCell, Model, Prediction, align
from shared.tables import canonical_type

PREDICTION = "prediction"


class Scorer:
    """Turns batches of input into batches of output."""

    def __init__(self, model: Model, kept: list[str], *, probabilities: bool) -> None:
        self._model = model
        self._schema = model.schema()
        self._kept = kept
        self._probabilities = probabilities and model.task == "classification"

    def split(self, batch: pa.RecordBatch) -> tuple[Alignment, tuple[BadCell, ...]]:
        """The batch as the model wants it, without its bad rows, and what is wrong with those."""
        aligned = align(batch, self._schema)
        if aligned.bad:
            good = aligned.table.filter(pa.array(~aligned.bad_rows))
            return dataclasses.replace(aligned, table=good), aligned.bad
        return aligned, ()

    def score(self, batch: pa.RecordBatch, good: Alignment) -> pa.RecordBatch:
        kept = batch.select(self._kept)
        if good.bad:
            kept = kept.filter(pa.array(~good.bad_rows))
        return self._compose(kept, self._model.predict(good.table))

    def empty(self, columns: Sequence[Column]) -> pa.Schema:
        """The output's schema when no row could be scored."""
        known = [(item.name, canonical_type(item.type)) for item in columns if item.name in self._kept]
        return pa.schema([*known, (PREDICTION, pa.null())])

    def _compose(self, kept: pa.RecordBatch, prediction: Prediction) -> pa.RecordBatch:
        names, arrays = list(kept.schema.names), list(kept.columns)
        names.append(PREDICTION)
        arrays.append(_labels(prediction.values))
        if self._probabilities and prediction.probabilities is not None:
            columns = prediction.probabilities.astype(np.float32, order="F")
            for position, label in enumerate(self._model.classes):
                names.append(probability_column(label))
                arrays.append(pa.array(columns[:, position]))
        return pa.RecordBatch.from_arrays(arrays, names=names)


def _labels(values: Any) -> pa.Array:
    return pa.array(values.tolist() if values.dtype.kind in "OU" else values)


def probability_column(label: Any) -> str:
    """The output column that holds the probability of a label."""
    return f"probability_{str(label).lower() if isinstance(label, bool) else label}"
