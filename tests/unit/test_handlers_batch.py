"""Batch scoring on a folder: shards become parts, and an attempt that was cut off is continued exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import dump
from tests.support.labelled_tables import blobs, columns_of, labelled_from, parquet_files, table_of
from worker.handlers.base import Assignment, ModelFile, Outcome
from worker.handlers.batch_predict import run
from worker.learning.estimators import Hooks, fit_model

SHARD_ROWS = 1_000


class CutOff(Exception):
    """The process dies."""


class Saving:
    """A context that keeps the checkpoints it is offered, and ends the attempt after `most` of them."""

    def __init__(self, folder: Path, most: int = 1_000) -> None:
        self.folder = folder
        self.most = most
        self.saved: list[Path] = []

    def progress(self, phase: str, completed: int, total: int | None, unit: str, **details: float) -> None:
        self.latest = (completed, total)

    def warn(self, message: str) -> None:
        pass

    def checkpoint(self, write: Callable[[Path], None], completed: int, unit: str) -> None:
        assert (completed % SHARD_ROWS, unit) == (0, "rows")
        folder = self.folder / f"checkpoint-{completed}"
        folder.mkdir(parents=True)
        write(folder)
        self.saved.append(folder)
        if len(self.saved) == self.most:
            raise CutOff


def scored(folder: Path, *tables: pa.Table, context: Saving | None = None, **fields: Any) -> Outcome:
    model = fit_model(
        labelled_from(table_of(*blobs(60))),
        EstimatorSpec(kind="logistic_regression"),
        PreprocessingSpec(missing="fail"),
        1,
        hooks=Hooks(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    dump(model, folder / "model")
    digest = hashlib.sha256((folder / "model").read_bytes()).hexdigest()
    spec = {
        "model": "churn:1",
        "output": {"format": "parquet", "columns": "all", "probabilities": True},
        "id_column": None,
        "on_bad_row": "fail",
        "max_error_rate": 0.0,
        "shard_rows": SHARD_ROWS,
    }
    assignment = Assignment(
        "job",
        "batch_predict",
        1,
        {**spec, **{name: value for name, value in fields.items() if name != "checkpoint"}},
        folder,
        {"dataset": parquet_files(folder / "in", *tables)},
        {"churn:1": ModelFile(folder / "model", digest, "churn", 1, {})},
        fields.get("checkpoint"),
    )
    return run(assignment, context or Saving(folder / "unused"))


def numbered(rows: int, bad: tuple[int, ...] = ()) -> pa.Table:
    """Rows with a number of their own; `bad` ones lack a value that the model needs."""
    table = table_of(blobs(rows)[0])
    holes = pa.array([None if row in bad else value for row, value in enumerate(table["x0"].to_pylist())])
    return table.set_column(0, "x0", holes).append_column("number", pa.array(range(rows)))


def contents(outcome: Outcome) -> dict[str, bytes]:
    return {file.name: file.path.read_bytes() for file in outcome.outputs}


def test_a_part_holds_the_good_rows_of_one_shard(tmp_path):
    outcome = scored(tmp_path, numbered(2_500, bad=(3, 1_500)), on_bad_row="skip", max_error_rate=0.1)
    assert [file.rows for file in outcome.outputs] == [999, 999, 500, 2]
    assert outcome.counts == {"total": 2_500, "succeeded": 2_498, "failed": 2}


def test_shards_go_over_the_borders_of_files(tmp_path):
    outcome = scored(tmp_path, numbered(700), numbered(700), numbered(1_000))
    assert [file.rows for file in outcome.outputs] == [1_000, 1_000, 400]


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("cuts", [[1], [2], [1, 1, 1]])
def test_an_attempt_that_is_cut_off_is_continued_to_the_same_output(tmp_path, format, cuts):
    tables = [numbered(1_300, bad=(5, 1_100)), numbered(2_900, bad=(0, 1, 2_800))]
    wanted = {
        "on_bad_row": "skip",
        "max_error_rate": 0.1,
        "output": {"format": format, "columns": "all", "probabilities": True},
    }
    whole = scored(tmp_path / "whole", *tables, **wanted)
    checkpoint = None
    for number, cut in enumerate(cuts):
        context = Saving(tmp_path / f"saved-{number}", cut)
        with pytest.raises(CutOff):
            scored(tmp_path / f"cut-{number}", *tables, context=context, checkpoint=checkpoint, **wanted)
        checkpoint = context.saved[-1]
    context = Saving(tmp_path / "last")
    resumed = scored(tmp_path / "resumed", *tables, context=context, checkpoint=checkpoint, **wanted)
    assert contents(resumed) == contents(whole)
    assert (resumed.counts, resumed.result) == (whole.counts, whole.result)
    assert len(context.saved) == 4 - sum(cuts), "it did not begin again"


def test_a_checkpoint_without_a_good_row_can_be_continued(tmp_path):
    table = numbered(1_500, bad=tuple(range(1_000)))
    context = Saving(tmp_path / "saved", 1)
    wanted = {"on_bad_row": "skip", "max_error_rate": 1.0}
    with pytest.raises(CutOff):
        scored(tmp_path / "cut", table, context=context, **wanted)
    outcome = scored(tmp_path / "resumed", table, checkpoint=context.saved[0], **wanted)
    assert outcome.counts == {"total": 1_500, "succeeded": 500, "failed": 1_000}


def test_an_input_without_a_good_row_has_an_output_with_a_schema(tmp_path):
    outcome = scored(tmp_path, numbered(3, bad=(0, 1, 2)), on_bad_row="skip", max_error_rate=1.0)
    assert [file.role for file in outcome.outputs] == ["errors"]
    names = [column["name"] for column in outcome.result["columns"]]
    assert names == [*[item.name for item in columns_of(numbered(1))], "prediction"]
