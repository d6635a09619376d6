"""Batch handlers on a folder: what is planned, and what is scored of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling import dump
from tests.support.labelled_tables import blobs, columns_of, labelled_from, parquet_files, table_of
from worker.handlers.base import Assignment, ModelFile, Outcome
from worker.handlers.batch_plan import run as plan
from worker.handlers.batch_predict import run
from worker.learning.estimators import Hooks, fit_model

SHARD_ROWS = 1_000


class Silent:
    """A context that nobody listens to."""

    def progress(self, phase: str, completed: int, total: int | None, unit: str, **details: float) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def checkpoint(self, write: Callable[[Path], None], completed: int, unit: str) -> None:
        raise AssertionError("a shard is small enough to be done again")


def assigned(folder: Path, *tables: pa.Table, **fields: Any) -> Assignment:
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
    return Assignment(
        "job",
        "batch_predict",
        1,
        {**spec, **fields},
        folder,
        {"dataset": parquet_files(folder / "in", *tables)},
        {"churn:1": ModelFile(folder / "model", digest, "churn", 1, {})},
    )


def shards_of(assignment: Assignment) -> list[Assignment]:
    """What is planned of it: an assignment for each shard, with the whole files as local copies."""
    planned = plan(assignment, Silent())
    table = assignment.tables["dataset"]
    return [
        replace(
            assignment,
            part=number,
            tables={
                "dataset": replace(
                    table,
                    paths=tuple(table.paths[file] for file, _ in shard),
                    names=tuple(table.names[file] for file, _ in shard),
                    pieces=tuple(piece for _, piece in shard),
                )
            },
        )
        for number, shard in enumerate(planned.shards)
    ]


def scored(assignment: Assignment) -> Outcome:
    return run(assignment, Silent())


def numbered(rows: int, bad: tuple[int, ...] = ()) -> pa.Table:
    """Rows with a number of their own; `bad` ones lack a value that the model needs."""
    table = table_of(blobs(rows)[0])
    holes = pa.array([None if row in bad else value for row, value in enumerate(table["x0"].to_pylist())])
    return table.set_column(0, "x0", holes).append_column("number", pa.array(range(rows)))


def test_a_part_holds_the_good_rows_of_one_shard(tmp_path):
    table = numbered(2_500, bad=(3, 1_500))
    outcomes = [
        scored(shard) for shard in shards_of(assigned(tmp_path, table, on_bad_row="skip", max_error_rate=0.1))
    ]
    data = [file for outcome in outcomes for file in outcome.outputs if file.role == "data"]
    assert [(file.name, file.rows) for file in data] == [
        ("part-00000.parquet", 999),
        ("part-00001.parquet", 999),
        ("part-00002.parquet", 500),
    ]
    assert [outcome.counts["failed"] for outcome in outcomes] == [1, 1, 0]


def test_shards_go_over_the_borders_of_files(tmp_path):
    shards = shards_of(assigned(tmp_path, numbered(700), numbered(700), numbered(1_000)))
    assert [scored(shard).counts["total"] for shard in shards] == [1_000, 1_000, 400]
    assert [len(shard.tables["dataset"].pieces) for shard in shards] == [2, 2, 1]


def test_a_bad_row_is_named_by_its_place_in_its_file(tmp_path):
    table = numbered(1_300, bad=(1_200,))
    shards = shards_of(assigned(tmp_path, numbered(900), table, on_bad_row="skip", max_error_rate=0.1))
    outcome = scored(shards[2])
    (errors,) = [file for file in outcome.outputs if file.role == "errors"]
    line = json.loads(errors.path.read_text())
    assert (line["file"], line["row"], line["column"]) == (shards[2].tables["dataset"].names[0], 1_201, "x0")
    assert "row 1201" in outcome.result["latest_bad_row"]


def test_a_table_with_other_names_is_scored_by_the_map_in_every_shard(tmp_path):
    """Two columns have each other's names, and one has that of none."""
    plain = [scored(shard) for shard in shards_of(assigned(tmp_path / "plain", numbered(1_500)))]
    table = numbered(1_500).rename_columns(["x1", "x0", "x2", "x3", "fünf", "number"])
    renames = {"x1": "x0", "x0": "x1", "fünf": "x4"}
    shards = shards_of(assigned(tmp_path / "theirs", table, column_map=renames))
    for shard, other in zip(shards, plain, strict=True):
        outcome = scored(shard)
        found, wanted = (pq.read_table(done.outputs[0].path) for done in (outcome, other))
        assert found.schema.names[:6] == table.schema.names
        assert found.select(range(5, found.num_columns)).equals(wanted.select(range(5, wanted.num_columns)))
        assert found["fünf"].equals(wanted["x4"])


def test_a_bad_row_is_told_with_the_tables_own_name_for_the_column(tmp_path):
    table = numbered(20, bad=(3,)).rename_columns(["null", "x1", "x2", "x3", "x4", "number"])
    with pytest.raises(InvalidInput, match="row 4, column null: is missing"):
        scored(assigned(tmp_path, table, column_map={"null": "x0"}))


def test_the_limit_of_bad_rows_is_of_the_whole_job(tmp_path):
    """Two of 2,000 rows may fail, and all of them may be in one shard."""
    wanted = {"on_bad_row": "skip", "max_error_rate": 0.001}
    shards = shards_of(assigned(tmp_path / "a", numbered(2_000, bad=(1, 2)), **wanted))
    assert scored(shards[0]).counts["failed"] == 2
    shards = shards_of(assigned(tmp_path / "b", numbered(2_000, bad=(1, 2, 3)), **wanted))
    with pytest.raises(InvalidInput, match="2000 rows"):
        scored(shards[0])


def test_there_are_never_more_shards_than_redis_should_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[plan.__module__], "MOST_SHARDS", 2)
    shards = shards_of(assigned(tmp_path, numbered(2_500)))
    assert [scored(shard).counts["total"] for shard in shards] == [1_250, 1_250]


def test_an_input_without_a_good_row_has_an_output_with_a_schema(tmp_path):
    outcome = scored(assigned(tmp_path, numbered(3, bad=(0, 1, 2)), on_bad_row="skip", max_error_rate=1.0))
    assert [file.role for file in outcome.outputs] == ["errors"]
    names = [column["name"] for column in outcome.result["columns"]]
    assert names == [*[item.name for item in columns_of(numbered(1))], "prediction"]
