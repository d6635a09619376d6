"""A batch over text files with faults, planned and scored shard by shard: every row in is out, or listed, once."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.contracts.tables import Format
from shared.modeling import Model, dump
from shared.tables.contracts import Piece
from tests.support.faulty_rows import FAULTS, MAKERS, TEXTS
from tests.support.labelled_tables import labelled_from
from tests.unit.test_handlers_batch import Silent
from worker.handlers.base import Assignment, ModelFile, Outcome, TableFiles
from worker.handlers.batch_plan import run as plan
from worker.handlers.batch_predict import run
from worker.learning.estimators import fit_model

SPEC: dict[str, Any] = {
    "model": "m:1",
    "output": {"format": "parquet", "columns": "all", "probabilities": True, "row_numbers": True},
    "id_column": None,
    "on_bad_row": "skip",
    "max_error_rate": 1.0,
}


@functools.cache
def model() -> Model:
    """It needs the columns `x` and `day` of the faulty rows."""
    random = np.random.default_rng(0)
    x = random.standard_normal(60)
    days = random.integers(0, 20_000, 60).astype("datetime64[D]")
    table = pa.table({"x": x, "day": pa.array(days), "label": (x > 0).astype(int)})
    return fit_model(labelled_from(table), EstimatorSpec(kind="logistic_regression"), PreprocessingSpec(), 1)


def scored(folder: Path, format: Format, files: list[bytes], shard_rows: int) -> list[Outcome]:
    """Plan, lay out each shard's bytes as a worker does, score."""
    dump(model(), folder / "model")
    digest = hashlib.sha256((folder / "model").read_bytes()).hexdigest()
    models = {"m:1": ModelFile(folder / "model", digest, "m", 1, {})}
    paths = tuple(folder / f"file-{number}" for number in range(len(files)))
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    names = tuple(path.name for path in paths)
    spec = {**SPEC, "shard_rows": shard_rows}
    whole = TableFiles(format, paths, (), 0, "", names)
    planned = plan(Assignment("j", "plan", 1, spec, folder, {"dataset": whole}, models), Silent())
    outcomes = []
    for number, shard in enumerate(planned.shards):
        place = folder / f"shard-{number}"
        place.mkdir()
        pieces = [(at, Piece.unpack(json.loads(json.dumps(packed(piece))))) for at, piece in shard]
        laid = []
        for order, (at, piece) in enumerate(pieces):
            laid.append(place / f"part-{order}")
            laid[-1].write_bytes(b"".join(files[at][start:end] for start, end in piece.ranges))
        table = TableFiles(
            format,
            tuple(laid),
            columns_of(planned),
            planned.result["rows"],
            "",
            tuple(names[at] for at, _ in pieces),
            tuple(piece for _, piece in pieces),
        )
        work = Assignment("j", "batch_predict", 1, spec, place, {"dataset": table}, models, number)
        outcomes.append(run(work, Silent()))
    return outcomes


def packed(piece: Piece) -> dict[str, Any]:
    return {name: getattr(piece, name) for name in Piece.__dataclass_fields__}


def columns_of(planned: Outcome) -> Any:
    from shared.contracts.tables import Column

    return tuple(Column.model_validate(column) for column in planned.result["columns"])


@settings(max_examples=40)
@given(
    format=st.sampled_from(["csv", "jsonl"]),
    drawn=st.lists(
        st.lists(st.tuples(FAULTS, TEXTS, st.integers(0, 2)), min_size=0, max_size=15), min_size=1, max_size=3
    ),
    shard_rows=st.sampled_from([1, 4, 1_000]),
)
def test_rows_in_are_rows_out_and_failed_rows(
    format: Format, drawn: list[list[tuple[str, str, int]]], shard_rows: int
) -> None:
    files, good, bad = [], [], []
    for at, rows in enumerate(drawn):
        rows = [("none", "first", 0), ("none", "second", 0), *rows]  # so that the columns' types are certain
        content, line = (b"id,x,s,day,at\n", 2) if format == "csv" else (b"", 1)
        for number, (fault, text, blank) in enumerate(rows, 1):
            row = MAKERS[format](number, fault, text)
            content += b"\n" * blank + row.text + b"\n"
            listed = row.bad and (format, fault) != ("csv", "at")  # then it is a column of text
            (bad if listed else good).append((f"file-{at}", number, line + blank))
            line += blank + row.lines
        files.append(content)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = scored(Path(folder), format, files, shard_rows)
        outputs = [file for outcome in outcomes for file in outcome.outputs]
        tables = [pq.read_table(file.path) for file in outputs if file.role == "data"]
        lines = [
            json.loads(line)
            for file in outputs
            if file.role == "errors"
            for line in file.path.read_text().splitlines()
        ]
    assert [(line["file"], line["row"], line["line"]) for line in lines] == bad
    found = [row for table in tables for row in table.to_pylist()]
    assert [(row["_file"], row["_row"]) for row in found] == [(name, number) for name, number, _ in good]
    assert all(row["prediction"] in (0, 1) for row in found)
    assert sum(outcome.counts["total"] for outcome in outcomes if outcome.counts) == len(good) + len(bad)
