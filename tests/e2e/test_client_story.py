"""The Python client as a data scientist uses it, against a running stack."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pytest

import graft
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.support.client import CSV, JSONL, written

DIGITS = "client-digits"


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[graft.Client]:
    with graft.Client(stack.url, KEYS["default"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def trained(client: graft.Client) -> graft.Job:
    job = client.train(
        tables.digits(slice(0, 600)), target="label", name=DIGITS, estimator="svm", tags={"team": "x"}
    )
    return job.wait(timeout=120)


def test_a_table_is_trained_on_as_it_is(trained: graft.Job) -> None:
    assert trained.status == "succeeded"
    assert trained.model == f"{DIGITS}:1"
    assert trained.result is not None
    assert trained.result["metrics"]["accuracy"] > 0.8
    assert trained.usage is not None
    assert trained.record.spec["estimator"]["kind"] == "svm"


@pytest.mark.parametrize("form", ["path", "text path", "bytes", "file", "frame", "table", "gzip", "jsonl"])
def test_a_dataset_comes_from_whatever_holds_a_table(client: graft.Client, tmp_path: Path, form: str) -> None:
    table = tables.digits(slice(0, 50))
    csv = tmp_path / "digits.csv"
    csv.write_bytes(written(table, CSV))
    told: list[tuple[int, int | None]] = []
    if form == "path":
        made = client.upload(csv, on_progress=lambda done, total: told.append((done, total)))
        assert told[-1] == (csv.stat().st_size, csv.stat().st_size)
    elif form == "text path":
        made = client.upload(str(csv))
    elif form == "bytes":
        made = client.upload(csv.read_bytes(), name="digits", format="csv")
    elif form == "file":
        with csv.open("rb") as file:
            made = client.upload(file)
    elif form == "frame":
        made = client.upload(table.to_pandas(), name="digits")
    elif form == "table":
        made = client.upload(table, name="digits")
    elif form == "gzip":
        packed = tmp_path / "digits.csv.gz"
        packed.write_bytes(gzip.compress(csv.read_bytes()))
        made = client.upload(packed)
    else:
        made = client.upload(io.BytesIO(written(table, JSONL)), name="digits", format="jsonl")
    assert (made.name, made.rows, len(made.columns)) == ("digits", 50, table.num_columns)
    client.datasets.delete(made.id)


def test_a_large_table_goes_in_parts(client: graft.Client, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(40_000)))
    told: list[tuple[int, int | None]] = []
    made = client.upload(path, part_bytes=65_536, on_progress=lambda done, total: told.append((done, total)))
    assert made.rows == 40_000
    assert told == sorted(told)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    client.datasets.delete(made.id)


def test_rows_are_scored_whatever_holds_them(client: graft.Client, trained: graft.Job) -> None:
    rows = tables.digits(slice(600, 620)).drop_columns("label")
    version = client.models[f"{DIGITS}:1"]
    from_table = version.predict(rows, probabilities=True)
    assert version.predict(rows.to_pandas()).predictions == from_table.predictions
    assert client.models.get(DIGITS).predict(rows.to_pylist()).predictions == from_table.predictions
    assert from_table.probabilities is not None
    assert len(from_table.probabilities[0]) == 10


def test_scores_of_a_batch_come_as_a_table_a_frame_or_files(
    client: graft.Client, trained: graft.Job, tmp_path: Path
) -> None:
    rows = tables.digits(slice(600, 700)).drop_columns("label")
    job = client.batch_predict(DIGITS, rows, output={"format": "csv", "columns": "none"}).wait(timeout=120)
    outputs = job.outputs
    assert (outputs.rows, outputs.failed_rows) == (100, 0)
    table = outputs.to_arrow()
    assert table.num_rows == 100
    frame = outputs.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["prediction"].tolist() == table["prediction"].to_pylist()
    (file,) = outputs.download(tmp_path / "scored.csv")
    assert file.read_bytes().count(b"\n") == 101
    assert [path.parent for path in outputs.download(tmp_path / "folder")] == [tmp_path / "folder"]


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_an_output_of_many_files_becomes_one_file(
    client: graft.Client, trained: graft.Job, tmp_path: Path, format: str
) -> None:
    rows = pa.concat_tables([tables.digits(slice(0, 600)).drop_columns("label")] * 4)
    output = {"format": format, "columns": "none", "row_numbers": True}
    job = client.batch_predict(DIGITS, rows, output=output, shard_rows=1_000).wait(timeout=120)
    outputs = job.outputs
    assert len(outputs.manifest.files) == 3
    (file,) = outputs.download(tmp_path / f"scored.{format}")
    read = {
        "csv": pyarrow.csv.read_csv,
        "jsonl": pyarrow.json.read_json,
        "parquet": pyarrow.parquet.read_table,
    }
    assert read[format](file)["_row"].to_pylist() == list(range(1, 2_401))
    assert outputs.to_arrow()["_row"].to_pylist() == list(range(1, 2_401))
    assert list(tmp_path.iterdir()) == [file]


def test_a_fine_tune_says_whether_it_helped(client: graft.Client, trained: graft.Job) -> None:
    job = client.fine_tune(
        client.models[DIGITS],
        tables.digits(slice(700, 780)),
        target="label",
        name="client-tuned",
        strategy="stack",
    ).wait(progress=True, timeout=300)
    assert job.report is not None
    assert job.report["verdict"] in {"improved", "neutral", "negative_transfer"}
    version = client.models["client-tuned"]
    assert version.verdict == job.report["verdict"]
    assert version.report["verdict"] == version.verdict
    assert version.card.startswith("# client\\-tuned, version 1")
