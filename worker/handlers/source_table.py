"""The rows a source model was trained on, drawn again from its dataset as its own job drew them.

Only the target column is read whole; of the features no more than a sample of rows, so that a source of any size
fits into memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contracts.specs import TransferEvaluation
from shared.contracts.tables import Column
from shared.errors import InvalidInput
from shared.modeling import Model
from worker.handlers.base import Assignment, Context, ModelFile, TableFiles
from worker.handlers.reporting import read_table
from worker.handlers.sampling import read_rows
from worker.learning.data import Labelled, labelled
from worker.learning.labels import with_labels_of
from worker.learning.splitting import Rows, hold_out
from worker.learning.target import Reference, Renames, align_target, needed_columns

#: Of each kind of rows at most so many are read.
MAX_TRAINING_ROWS = 20_000
MAX_TEST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows with the source's columns and labels.

    train: a sample of those the model was fitted on. test: of those it has never seen. None, with the reason in
    `report`, where they cannot be had. report: {train: {rows, of} | null, test: … | null, reason}.
    """

    train: Labelled | None
    test: Labelled | None
    report: dict[str, Any]


def source_rows(
    assignment: Assignment, file: ModelFile, model: Model, seed: int, context: Context
) -> SourceRows:
    """What is left of the source's data. Never raises on data: what cannot be read again is told as a reason."""
    files = assignment.tables.get("source")
    if files is None:
        return _none("the dataset that the source was trained on is gone or has changed")
    if not file.made_by:
        return _none("the job that made the source is gone, and with it how its rows were split")
    try:
        return _drawn_again(files, file.made_by, model, seed, context)
    except InvalidInput as error:
        return _none(f"the source's dataset cannot be read again: {error.message}")


def _drawn_again(
    files: TableFiles, made_by: Mapping[str, Any], model: Model, seed: int, context: Context
) -> SourceRows:
    numbers, train, test = _split(files, made_by, model, context)
    random = np.random.RandomState(seed)
    kept_train, kept_test = _sample(train, MAX_TRAINING_ROWS, random), _sample(test, MAX_TEST_ROWS, random)
    renames = Renames.of(made_by)
    wanted = needed_columns(Reference.of(model).types, files.columns, made_by["target"], renames)
    rows = np.union1d(numbers[kept_train], numbers[kept_test])
    table = read_rows(files, wanted, rows, context)

    def labelled_rows(kept: Rows) -> Labelled | None:
        if not len(kept):
            return None
        part = table.take(pa.array(np.searchsorted(rows, numbers[kept])))
        found = align_target(model, part, wanted, made_by["target"], _unsaid, renames, least_classes=1)
        return found.data

    return SourceRows(
        labelled_rows(kept_train),
        labelled_rows(kept_test),
        {
            "train": {"rows": len(kept_train), "of": len(train)},
            "test": {"rows": len(kept_test), "of": len(test)} if len(test) else None,
            "reason": None if len(test) else "the source was refitted on all its rows; none was held out",
        },
    )


def _split(
    files: TableFiles, made_by: Mapping[str, Any], model: Model, context: Context
) -> tuple[Rows, Rows, Rows]:
    """(row numbers in the files of rows with a target, which of them were trained on, which were held out)."""
    target = made_by["target"]
    column = next(item for item in files.columns if item.name == target)
    number = Column(name=f"{target} row", type="integer", nulls=0)
    table = read_table(files, [column], context)
    table = table.append_column(number.name, pa.array(np.arange(table.num_rows)))
    data = labelled(table, [column, number], target, [number.name], model.task, _unsaid)
    if data.task == "classification":
        data = with_labels_of(model.classes, data, Renames.of(made_by).labels)
    numbers = data.table.column(number.name).to_numpy()
    evaluation = TransferEvaluation.model_validate(made_by.get("evaluation") or {})
    if made_by.get("refit"):
        return numbers, np.arange(data.rows), np.empty(0, np.int64)
    train, test = hold_out(data, evaluation, int(made_by["seed"]), _unsaid)
    return numbers, train, test


def _sample(rows: Rows, most: int, random: np.random.RandomState) -> Rows:
    return rows if len(rows) <= most else np.sort(random.permutation(rows)[:most])


def _none(reason: str) -> SourceRows:
    return SourceRows(None, None, {"train": None, "test": None, "reason": reason})


def _unsaid(message: str) -> None:
    """These warnings were given when the source was trained."""
