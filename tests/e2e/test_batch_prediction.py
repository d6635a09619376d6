"""Batch prediction over HTTP: every format, rows accounted for, the manifest, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tests.e2e import tables
from tests.e2e.conftest import USER_BUCKET, RunningStack
from tests.e2e.test_datasets import s3
from tests.support.client import CSV, JSONL, PARQUET, Graft, Json, train_body, written

KINDS = {"csv": CSV, "parquet": PARQUET, "jsonl": JSONL}


@pytest.fixture(scope="module")
def model(graft: Graft) -> str:
    graft.run(train_body(graft.dataset(tables.iris()), "flowers"))
    return "flowers:1"


def numbered(rows: int = 150) -> pa.Table:
    """Iris without labels, with an id for each row."""
    table = tables.iris().drop_columns(["label"]).slice(0, rows)
    return table.append_column("flower_id", pa.array([f"no-{n}" for n in range(table.num_rows)]))


def batch(dataset: str, **changes: Any) -> Json:
    return {"type": "batch_predict", "model": "flowers", "input": {"dataset": dataset}, **changes}


def fetched(manifest: Json) -> pa.Table:
    """All output rows, through the presigned links."""
    parts = []
    for file in manifest["files"]:
        content = httpx.get(file["url"]).raise_for_status().content
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["bytes"]
        parts.append(parsed(content, file["name"]))
        assert parts[-1].num_rows == file["rows"]
    return pa.concat_tables(parts)


def parsed(content: bytes, name: str) -> pa.Table:
    if name.endswith(".parquet"):
        return pq.read_table(io.BytesIO(content))
    if name.endswith(".csv"):
        return pa.csv.read_csv(io.BytesIO(content))
    return pa.Table.from_pylist([json.loads(line) for line in content.splitlines()])


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("format", KINDS)
def test_every_row_is_scored_from_and_to_every_format(
    graft: Graft, model: str, source: str, format: str
) -> None:
    table = numbered()
    dataset = graft.dataset(table, kind=KINDS[source])
    job = graft.run(batch(dataset, output={"format": format}, id_column="flower_id"))
    assert job["counts"] == {"total": 150, "succeeded": 150, "failed": 0}
    manifest = graft.output(job["id"])
    assert (manifest["rows"], manifest["failed_rows"], manifest["errors"]) == (150, 0, None)
    version = graft.get("/v1/models/flowers/versions/1").json()
    assert manifest["model"] == {"name": "flowers", "version": 1, "sha256": version["sha256"]}
    output = fetched(manifest)
    assert output["flower_id"].to_pylist() == table["flower_id"].to_pylist(), "the order is kept"
    assert output.schema.names == [
        *table.schema.names,
        "prediction",
        "probability_setosa",
        "probability_versicolor",
        "probability_virginica",
    ]
    agreed = [
        p == t
        for p, t in zip(output["prediction"].to_pylist(), tables.iris()["label"].to_pylist(), strict=True)
    ]
    assert sum(agreed) > 140


def test_batch_and_online_prediction_agree(graft: Graft, model: str) -> None:
    table = numbered(20)
    output = fetched(graft.output(graft.run(batch(graft.dataset(table, kind=PARQUET)))["id"]))
    rows = table.drop_columns(["flower_id"]).to_pylist()
    online = graft.post("/v1/models/flowers/predict", json={"rows": rows, "probabilities": True}).json()
    assert output["prediction"].to_pylist() == online["predictions"]
    for name, row in zip(online["classes"], zip(*online["probabilities"], strict=True), strict=True):
        assert output[f"probability_{name}"].to_pylist() == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ({"columns": "id", "probabilities": False}, ["flower_id", "prediction"]),
        ({"columns": "none", "probabilities": False}, ["prediction"]),
    ],
)
def test_the_output_holds_the_columns_that_were_asked_for(
    graft: Graft, model: str, output: Json, names: list[str]
) -> None:
    dataset = graft.dataset(numbered(), kind=PARQUET)
    job = graft.run(batch(dataset, output=output, id_column="flower_id"))
    manifest = graft.output(job["id"])
    assert [column["name"] for column in manifest["columns"]] == names
    assert fetched(manifest).schema.names == names


def broken() -> str:
    """Five rows, two of which hold words where the model wants numbers."""
    return "f0,f1,f2,f3\n5,3,1,0\n5,x,1,0\n6,3,4,1\n6,3,4,y\n7,3,6,2\n"


def test_a_bad_row_fails_the_job_and_is_named(graft: Graft, model: str) -> None:
    error = graft.failed(batch(graft.dataset(broken())))
    assert error["code"] == "bad_row"
    assert "row 2" in error["message"]
    assert "f1" in error["message"]


def test_skipped_rows_are_listed_and_the_rows_add_up(graft: Graft, model: str) -> None:
    job = graft.run(batch(graft.dataset(broken()), on_bad_row="skip", max_error_rate=0.5))
    assert job["counts"] == {"total": 5, "succeeded": 3, "failed": 2}
    manifest = graft.output(job["id"])
    assert (manifest["rows"], manifest["failed_rows"], manifest["errors"]["rows"]) == (3, 2, 2)
    assert fetched(manifest).num_rows == 3
    lines = [json.loads(line) for line in httpx.get(manifest["errors"]["url"]).text.splitlines()]
    assert [(line["row"], line["column"]) for line in lines] == [(2, "f1"), (4, "f3")]
    assert all(line["reason"] for line in lines)


def test_too_many_bad_rows_fail_the_job(graft: Graft, model: str) -> None:
    error = graft.failed(batch(graft.dataset(broken()), on_bad_row="skip", max_error_rate=0.2))
    assert error["code"] == "too_many_bad_rows"


#: What others call the columns: one has a name of its own, and two have each other's.
COLUMN_MAP = {"länge": "f0", "f1": "f2", "f2": "f1"}


def foreign(table: pa.Table) -> pa.Table:
    """The same rows, with columns as `COLUMN_MAP` says that they are called."""
    theirs = {ours: name for name, ours in COLUMN_MAP.items()}
    return table.rename_columns([theirs.get(name, name) for name in table.schema.names])


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_table_with_other_names_is_scored_as_with_the_models_and_keeps_its_own(
    graft: Graft, model: str, kind: str
) -> None:
    table = numbered()
    plain = fetched(graft.output(graft.run(batch(graft.dataset(table, kind=PARQUET)))["id"]))
    body = batch(graft.dataset(foreign(table), kind=kind), column_map=COLUMN_MAP)
    job = graft.run(body)
    assert job["spec"]["column_map"] == COLUMN_MAP
    assert job["warnings"] == ["columns that the model does not use: flower_id"]
    output = fetched(graft.output(job["id"]))
    assert output.schema.names == foreign(plain).schema.names
    assert output["länge"].to_pylist() == table["f0"].to_pylist()
    assert output.select(plain.schema.names[5:]).equals(plain.select(plain.schema.names[5:]))


@pytest.mark.parametrize("format", KINDS)
def test_a_prefix_with_other_names_is_scored_shard_by_shard(
    graft: Graft, model: str, stack: RunningStack, format: str
) -> None:
    table = pa.concat_tables([numbered()] * 20)
    plain = fetched(graft.output(graft.run(batch(graft.dataset(table, kind=PARQUET)))["id"]))
    client, place = s3(stack.store.settings), f"foreign/{format}"
    for number in range(2):
        content = written(foreign(table.slice(number * 1_500, 1_500)), KINDS[format])
        client.put_object(Bucket=USER_BUCKET, Key=f"{place}/{number}.{format}", Body=content)
    body = batch("", input={"uri": f"s3://{USER_BUCKET}/{place}/"}, column_map=COLUMN_MAP, shard_rows=1_000)
    manifest = graft.output(graft.run(body)["id"])
    assert len(manifest["files"]) == 3
    output = fetched(manifest)
    assert output["prediction"].equals(plain["prediction"])
    assert output["länge"].to_pylist() == table["f0"].to_pylist()


def test_a_bad_row_is_named_by_the_tables_own_column(graft: Graft, model: str, stack: RunningStack) -> None:
    renamed = broken().replace("f1,f2,f3", "breite,f2,f3")
    body = batch(graft.dataset(renamed), column_map={"breite": "f1"})
    assert "row 2 (line 3), column breite" in graft.failed(body)["message"]
    job = graft.run({**body, "on_bad_row": "skip", "max_error_rate": 0.5})
    assert _listed(graft, job) == [(2, "breite"), (4, "f3")]
    lines = [{"f0": 5, "breite": value, "f2": 1, "f3": 0} for value in ("3", "x", 4)]
    for number, some in enumerate((lines[:2], lines[2:])):  # they differ on its type: the model's rules
        content = "".join(json.dumps(line) + "\n" for line in some).encode()
        key = f"foreign/bad/{number}.jsonl"
        s3(stack.store.settings).put_object(Bucket=USER_BUCKET, Key=key, Body=content)
    body["input"] = {"uri": f"s3://{USER_BUCKET}/foreign/bad/"}
    job = graft.run({**body, "on_bad_row": "skip", "max_error_rate": 0.7})
    assert {column for _, column in _listed(graft, job)} == {"breite"}
    assert pa.types.is_floating(fetched(graft.output(job["id"])).schema.field("breite").type)


def _listed(graft: Graft, job: Json) -> list[tuple[int, str]]:
    lines = httpx.get(graft.output(job["id"])["errors"]["url"]).text.splitlines()
    return [(line["row"], line["column"]) for line in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("column_map", "code", "named"),
    [
        ({"nope": "f0"}, "unknown_column", "nope"),
        ({"flower_id": "f0"}, "column_collision", "f0 of its own"),
        ({"f0": "f1", "f1": "f0", "flower_id": "f2"}, "column_collision", "f2 of its own"),
        ({}, "missing_columns", "--column"),
    ],
)
def test_what_a_prefix_lacks_is_found_before_its_first_row_is_scored(
    graft: Graft, model: str, stack: RunningStack, column_map: Json, code: str, named: str
) -> None:
    table = numbered(3) if column_map else foreign(numbered(3))
    key = f"foreign/lacking-{code}/0.csv"
    s3(stack.store.settings).put_object(Bucket=USER_BUCKET, Key=key, Body=written(table, CSV))
    error = graft.failed(batch("", input={"uri": f"s3://{USER_BUCKET}/{key}"}, column_map=column_map))
    assert error["code"] == code
    assert named in error["message"]


def test_large_outputs_come_in_parts(graft: Graft, model: str) -> None:
    table = pa.concat_tables([numbered()] * 20)
    job = graft.run(batch(graft.dataset(table, kind=PARQUET), shard_rows=1000))
    manifest = graft.output(job["id"])
    assert [file["rows"] for file in manifest["files"]] == [1000, 1000, 1000]
    assert fetched(manifest)["flower_id"].to_pylist() == table["flower_id"].to_pylist()


def test_a_prefix_is_scored_where_it_lies_and_the_output_reads_as_a_dataset(
    graft: Graft, model: str, stack: RunningStack
) -> None:
    client = s3(stack.store.settings)
    for number in range(3):
        content = written(numbered(50), PARQUET)
        client.put_object(Bucket=USER_BUCKET, Key=f"scoring/in/day-{number}.parquet", Body=content)
    body = batch(
        "",
        input={"uri": f"s3://{USER_BUCKET}/scoring/in/"},
        output={"uri": f"s3://{USER_BUCKET}/scoring/out"},
    )
    job = graft.run(body)
    assert job["counts"]["succeeded"] == 150
    prefix = job["result"]["output"]["uri"].removeprefix(f"s3://{USER_BUCKET}/")
    assert prefix.startswith("scoring/out/")
    listed = client.list_objects_v2(Bucket=USER_BUCKET, Prefix=prefix)["Contents"]
    names = [item["Key"].removeprefix(prefix) for item in listed]
    assert sorted(names) == ["_manifest.json", "part-00000.parquet"]
    manifest = json.loads(client.get_object(Bucket=USER_BUCKET, Key=prefix + "_manifest.json")["Body"].read())
    assert (manifest["rows"], manifest["job"]) == (150, job["id"])
    assert manifest["schema_sha256"] == graft.output(job["id"])["schema_sha256"]


def test_rows_of_a_prefix_are_skipped_for_every_kind_of_fault(
    graft: Graft, model: str, stack: RunningStack
) -> None:
    client = s3(stack.store.settings)
    broken_lines = [b'{"f0": 5, "f1": 3, "f2": 1, "f3": 0}'] * 6
    broken_lines[1] = b'{"f0": 5, "f1": "x", "f2": 1, "f3": 0}'
    broken_lines[4] = b'{"f0": 5,'
    files = {
        "csv": b"f0,f1,f2,f3\n5,3,1,0\n\n5,x,1,0\n5,3,1\n6,3,4,1\n6,\xff,4,1\n",
        "jsonl": b"\n".join(broken_lines),
    }
    wanted = {
        "csv": [(2, 4, "f1"), (3, 5, None), (5, 7, None)],
        "jsonl": [(2, 2, "f1"), (5, 5, None)],
    }
    for format, content in files.items():
        client.put_object(Bucket=USER_BUCKET, Key=f"faulty/{format}/a.{format}", Body=content)
        body = batch("", input={"uri": f"s3://{USER_BUCKET}/faulty/{format}/"}, output={"row_numbers": True})
        job = graft.run({**body, "on_bad_row": "skip", "max_error_rate": 0.7})
        manifest = graft.output(job["id"])
        lines = [json.loads(line) for line in httpx.get(manifest["errors"]["url"]).text.splitlines()]
        assert [(line["row"], line["line"], line["column"]) for line in lines] == wanted[format]
        assert {line["file"] for line in lines} == {f"a.{format}"}
        output = fetched(manifest)
        failed = {row for row, _, _ in wanted[format]}
        total = job["counts"]["total"]
        assert output["_row"].to_pylist() == [row for row in range(1, total + 1) if row not in failed]
        assert set(output["_file"].to_pylist()) == {f"a.{format}"}
        error = graft.failed(body)
        assert error["code"] in {"ragged_row", "bad_row", "mixed_types", "invalid_utf8"}


def test_decision_scores_are_written_if_asked_for(graft: Graft, model: str) -> None:
    dataset = graft.dataset(numbered(), kind=PARQUET)
    output = {"columns": "none", "probabilities": False, "decision": True}
    found = fetched(graft.output(graft.run(batch(dataset, output=output))["id"]))
    names = ["decision_setosa", "decision_versicolor", "decision_virginica"]
    assert found.schema.names == ["prediction", *names]
    scores = zip(*(found[name].to_pylist() for name in names), strict=True)
    labels = [name.removeprefix("decision_") for name in names]
    assert found["prediction"].to_pylist() == [labels[row.index(max(row))] for row in scores]


def test_decision_scores_of_trees_are_refused(graft: Graft, model: str) -> None:
    estimator = {"kind": "gradient_boosting", "n_estimators": 5}
    graft.run(train_body(graft.dataset(tables.iris()), "grove", estimator=estimator))
    dataset = graft.dataset(numbered())
    body = batch(dataset, model="grove", output={"decision": True})
    assert graft.refused(body) == ["/output/decision"]


def test_a_prefix_of_compressed_text_is_scored(graft: Graft, model: str, stack: RunningStack) -> None:
    client = s3(stack.store.settings)
    for number, (codec, suffix) in enumerate((("gzip", "gz"), ("zstd", "zst"))):
        content = pa.Codec(codec).compress(written(numbered(50), CSV), asbytes=True)
        client.put_object(Bucket=USER_BUCKET, Key=f"packed/day-{number}.csv.{suffix}", Body=content)
    job = graft.run(batch("", input={"uri": f"s3://{USER_BUCKET}/packed/"}))
    assert job["counts"] == {"total": 100, "succeeded": 100, "failed": 0}
    assert fetched(graft.output(job["id"]))["flower_id"].to_pylist()[48:52] == [
        "no-48",
        "no-49",
        "no-0",
        "no-1",
    ]


def test_the_output_is_not_there_until_the_job_has_succeeded(graft: Graft, model: str) -> None:
    dataset = graft.dataset(broken())
    job_id = graft.submit(batch(dataset)).json()["id"]
    graft.ended(job_id)
    response = graft.get(f"/v1/jobs/{job_id}/output")
    assert (response.status_code, response.json()["code"]) == (409, "no_output_yet")
    trained = graft.get("/v1/jobs", params={"type": "train", "limit": 1}).json()["data"][0]["id"]
    assert graft.get(f"/v1/jobs/{trained}/output").status_code == 404


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"model": "nobody"}, ["/model"]),
        ({"input": {"dataset": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"}}, ["/input/dataset"]),
        ({"input": {}}, ["/input"]),
        ({"input": {"uri": "s3://elsewhere/x/"}}, ["/input/uri"]),
        ({"output": {"uri": "s3://elsewhere/x/"}}, ["/output/uri"]),
        ({"output": {"format": "xlsx"}}, ["/output/format"]),
        ({"output": {"columns": "id"}}, ["/id_column"]),
        ({"id_column": "nope"}, ["/id_column"]),
        ({"on_bad_row": "skip"}, ["/max_error_rate"]),
        ({"max_error_rate": 2}, ["/max_error_rate"]),
        ({"shard_rows": 1}, ["/shard_rows"]),
        ({"column_map": {"nope": "f0"}}, ["/column_map/nope"]),
        ({"column_map": {"flower_id": "f0"}}, ["/column_map/flower_id"]),
        ({"column_map": {"flower_id": "label"}}, ["/column_map/flower_id"]),
        ({"column_map": {"f0": "f1"}}, ["/column_map/f0", "/input/dataset"]),
        ({"column_map": {"f0": "f1", "f1": "f1"}}, ["/column_map/f1"]),
        ({"column_map": {"f0": 3}}, ["/column_map/f0"]),
        ({"column_map": ["f0"]}, ["/column_map"]),
        ({"column_map": {"a": "b"}, "input": {"uri": f"s3://{USER_BUCKET}/x/"}}, ["/column_map/a"]),
    ],
)
def test_a_bad_field_is_refused_at_its_pointer(
    graft: Graft, model: str, change: Json, pointers: list[str]
) -> None:
    dataset = graft.dataset(numbered())
    assert graft.refused({**batch(dataset), **change}) == pointers


def test_a_dataset_without_a_needed_column_is_refused(graft: Graft, model: str) -> None:
    dataset = graft.dataset(numbered().drop_columns(["f2"]))
    response = graft.submit(batch(dataset))
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == "/input/dataset"
    assert "needs: f2." in error["detail"]
    assert "column_map (--column theirs=ours)" in error["detail"], "it may be there by another name"


def test_formulas_are_defused_in_csv(graft: Graft, model: str) -> None:
    table = numbered(2).set_column(4, "flower_id", pa.array(["=HYPERLINK(1)", "plain"]))
    job = graft.run(batch(graft.dataset(table, kind=PARQUET), output={"format": "csv"}))
    assert fetched(graft.output(job["id"]))["flower_id"].to_pylist() == ["'=HYPERLINK(1)", "plain"]
