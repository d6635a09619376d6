"""The registry and online prediction over HTTP."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import httpx
import joblib
import pytest

from tests.e2e import tables
from tests.e2e.conftest import RunningStack
from tests.e2e.test_datasets import placed, s3
from tests.support.client import Graft, Json, train_body

ROW = {"f0": 5.1, "f1": 3.5, "f2": 1.4, "f3": 0.2}


@pytest.fixture(scope="module")
def flowers(graft: Graft) -> str:
    """A model with three versions."""
    dataset = graft.dataset(tables.iris())
    model = {"name": "garden", "description": "species of iris", "tags": {"team": "botany"}}
    for seed in range(3):
        graft.run(train_body(dataset, "garden", model=model, seed=seed))
    return "garden"


def test_a_model_shows_its_versions_description_and_tags(graft: Graft, flowers: str) -> None:
    model = graft.get("/v1/models/garden").json()
    assert (model["latest_version"], model["description"], model["tags"]) == (
        3,
        "species of iris",
        {"team": "botany"},
    )
    versions = graft.get("/v1/models/garden/versions").json()["data"]
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert "garden" in [
        item["name"] for item in graft.get("/v1/models", params={"limit": 500}).json()["data"]
    ]


def test_a_version_says_all_that_is_known_of_it(graft: Graft, flowers: str) -> None:
    version = graft.get("/v1/models/garden/versions/2").json()
    assert version["task"] == "classification"
    assert version["estimator"]["kind"] == "logistic_regression"
    assert [item["name"] for item in version["schema"]["inputs"]] == ["f0", "f1", "f2", "f3"]
    assert version["schema"]["output"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert version["metrics"]["accuracy"] > 0.8
    assert version["seed"] == 1
    assert version["parent"] is None
    assert {"python", "scikit-learn", "numpy"} <= set(version["library_versions"])
    assert version["baseline"]
    job = graft.job(version["job"])
    assert job["result"]["model"] == {"name": "garden", "version": 2}


def test_descriptions_and_tags_can_be_changed_one_by_one(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    graft.run(train_body(dataset, "shed", model={"name": "shed", "tags": {"a": "1"}}))
    changed = graft.patch("/v1/models/shed", json={"description": "new"})
    assert (changed.json()["description"], changed.json()["tags"]) == ("new", {"a": "1"})
    assert graft.patch("/v1/models/shed", json={"tags": {}}).json()["tags"] == {}
    assert graft.patch("/v1/models/shed", json={"name": "x"}).status_code == 422


def test_an_alias_moves_rolls_back_and_keeps_its_history(graft: Graft, flowers: str) -> None:
    here = "/v1/models/garden/aliases/champion"
    for version in (1, 2, 3):
        assert graft.put(here, json={"version": version}).json() == {"alias": "champion", "version": version}
    assert graft.get("/v1/models/garden").json()["aliases"] == {"champion": 3}
    assert graft.post(f"{here}/rollback").json()["version"] == 2
    assert graft.post(f"{here}/rollback").json()["version"] == 1
    exhausted = graft.post(f"{here}/rollback")
    assert (exhausted.status_code, exhausted.json()["code"]) == (409, "no_previous_version")
    history = graft.get(f"{here}/history").json()["data"]
    assert [(move["previous"], move["version"]) for move in history] == [
        (2, 1),
        (3, 2),
        (2, 3),
        (1, 2),
        (None, 1),
    ]
    assert graft.get("/v1/models/garden/versions/1").json()["aliases"] == ["champion"]
    assert graft.delete(here).status_code == 204
    assert graft.get("/v1/models/garden").json()["aliases"] == {}
    assert graft.get(f"{here}/history").json()["data"][0]["version"] is None


@pytest.mark.parametrize(
    ("alias", "body", "status"),
    [
        ("champion", {"version": 99}, 404),
        ("champion", {"version": "1"}, 422),
        ("Bad Name", {"version": 1}, 422),
    ],
)
def test_an_alias_that_makes_no_sense_is_refused(
    graft: Graft, flowers: str, alias: str, body: Json, status: int
) -> None:
    assert graft.put(f"/v1/models/garden/aliases/{alias}", json=body).status_code == status


@pytest.fixture(scope="module")
def orchard(graft: Graft) -> str:
    """A model with two versions that only the tests of conditions change."""
    dataset = graft.dataset(tables.iris())
    for seed in range(2):
        graft.run(train_body(dataset, "orchard", seed=seed))
    return "/v1/models/orchard"


def test_a_change_with_if_match_is_made_only_to_what_was_seen(graft: Graft, orchard: str) -> None:
    for path in (orchard, f"{orchard}/versions/1"):
        seen = graft.get(path)
        tag = seen.headers["ETag"]
        assert tag == f'"{seen.json()["revision"]}"'
        mine = graft.patch(path, json={"description": "mine"}, headers={"If-Match": tag})
        assert (mine.status_code, mine.json()["description"]) == (200, "mine")
        assert mine.headers["ETag"] != tag
        yours = graft.patch(path, json={"description": "yours"}, headers={"If-Match": tag})
        assert (yours.status_code, yours.json()["code"]) == (412, "precondition_failed")
        assert yours.headers["Content-Type"] == "application/problem+json"
        assert yours.headers["ETag"] == mine.headers["ETag"] == graft.get(path).headers["ETag"]
        assert graft.get(path).json() == mine.json()
        weak = graft.patch(path, json={}, headers={"If-Match": f"W/{mine.headers['ETag']}"})
        assert weak.status_code == 412
        assert graft.patch(path, json={"tags": {}}, headers={"If-Match": "*"}).status_code == 200
        assert graft.patch(path, json={"tags": {}}, headers={"If-None-Match": "*"}).status_code == 412


def test_an_alias_is_moved_only_from_where_it_was_seen(graft: Graft, orchard: str) -> None:
    here = f"{orchard}/aliases/pinned"
    fresh = graft.put(here, json={"version": 1}, headers={"If-None-Match": "*"})
    assert fresh.status_code == 200
    assert graft.put(here, json={"version": 2}, headers={"If-None-Match": "*"}).status_code == 412
    seen = graft.get(here)
    assert (seen.json(), seen.headers["ETag"]) == ({"alias": "pinned", "version": 1}, fresh.headers["ETag"])
    tag = {"If-Match": seen.headers["ETag"]}
    moved = graft.put(here, json={"version": 2}, headers=tag)
    assert moved.status_code == 200
    assert graft.put(here, json={"version": 1}, headers=tag).status_code == 412
    assert graft.post(f"{here}/rollback", headers=tag).status_code == 412
    assert graft.delete(here, headers=tag).status_code == 412
    back = graft.post(f"{here}/rollback", headers={"If-Match": moved.headers["ETag"]})
    assert (back.status_code, back.json()["version"]) == (200, 1)
    assert graft.delete(here, headers={"If-Match": back.headers["ETag"]}).status_code == 204
    gone = graft.put(here, json={"version": 1}, headers={"If-Match": "*"})
    assert (gone.status_code, "ETag" in gone.headers) == (412, False)
    assert graft.get(here).status_code == 404


@pytest.mark.parametrize("path", ["", "/versions", "/versions/1", "/aliases/looked-at"])
def test_what_has_not_changed_is_304(graft: Graft, orchard: str, path: str) -> None:
    graft.put(f"{orchard}/aliases/looked-at", json={"version": 1})
    first = graft.get(orchard + path)
    tag = first.headers["ETag"]
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = graft.get(orchard + path, headers={"If-None-Match": header})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert graft.get(orchard + path, headers={"If-None-Match": '"other"'}).json() == first.json()
    assert graft.get(orchard + path, headers={"If-Match": '"other"'}).status_code == 412
    graft.put(f"{orchard}/aliases/looked-at", json={"version": 2})
    changed = graft.get(orchard + path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    graft.delete(f"{orchard}/aliases/looked-at")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["3", '"3', "3, 4", '*, "3"'])
def test_a_condition_that_is_none_is_400(graft: Graft, orchard: str, header: str, value: str) -> None:
    seen = graft.get(orchard)
    for response in (
        graft.get(orchard, headers={header: value}),
        graft.patch(orchard, json={"description": "never"}, headers={header: value}),
        graft.put(f"{orchard}/aliases/never", json={"version": 1}, headers={header: value}),
    ):
        assert (response.status_code, response.json()["code"]) == (400, "malformed")
        assert header in response.json()["detail"]
    assert graft.get(orchard).json() == seen.json()


def test_a_version_has_a_description_and_tags_of_its_own(graft: Graft, orchard: str) -> None:
    before = graft.get(f"{orchard}/versions/2").json()
    body = {"description": "the dry summer", "tags": {"reviewed": "yes"}}
    changed = graft.patch(f"{orchard}/versions/2", json=body).json()
    assert changed == before | body | {"revision": changed["revision"]}
    assert graft.get(f"{orchard}/versions/1").json()["tags"] == {}
    for wrong in ({"metrics": {}}, {"tags": {"a": 1}}, {"description": "x" * 2001}):
        assert graft.patch(f"{orchard}/versions/2", json=wrong).status_code == 422
    assert graft.patch(f"{orchard}/versions/99", json=body).status_code == 404


def test_models_are_listed_by_task_and_tags(graft: Graft, orchard: str) -> None:
    graft.patch(orchard, json={"tags": {"place": "hill", "kind": "fruit"}}).raise_for_status()

    def names(**params: Any) -> list[str]:
        response = graft.get("/v1/models", params={"limit": 500, **params})
        assert response.status_code == 200, response.text
        return [item["name"] for item in response.json()["data"]]

    assert names(tag="place:hill") == ["orchard"]
    assert names(tag=["place:hill", "kind:fruit"]) == ["orchard"]
    assert names(tag=["place:hill", "kind:nut"]) == []
    assert "orchard" in names(task="classification")
    assert names(task="regression", tag="place:hill") == []
    for wrong in ({"task": "clustering"}, {"tag": "place"}, {"tag": ["place:hill", "x"]}, {"tag": ":x"}):
        assert graft.get("/v1/models", params=wrong).status_code == 422, wrong


def test_the_history_says_which_key_moved_an_alias(
    graft: Graft, orchard: str, client_of: Callable[..., Graft]
) -> None:
    mover = client_of("default", "read", "submit", "admin", name="mover")
    here = f"{orchard}/aliases/moved"
    graft.put(here, json={"version": 1})
    mover.put(here, json={"version": 2})
    mover.post(f"{here}/rollback")
    keys = {key["id"]: key["name"] for key in mover.get("/v1/keys", params={"limit": 500}).json()["data"]}
    page = graft.get(f"{here}/history", params={"limit": 2}).json()
    assert [keys[move["by"]] for move in page["data"]] == ["mover", "mover"]
    assert [move["rollback"] for move in page["data"]] == [True, False]
    rest = graft.get(f"{here}/history", params={"after": page["next"]}).json()
    assert [(move["version"], move["by"]) for move in rest["data"]] == [(1, None)]
    assert not rest["has_more"]
    graft.delete(here)


def test_versions_are_compared_side_by_side(graft: Graft) -> None:
    dataset, other = graft.dataset(tables.iris()), graft.dataset(tables.iris())
    for changes in ({"seed": 5}, {"seed": 5, "kind": "random_forest"}, {"seed": 6}):
        graft.run(train_body(dataset, "rivals", **changes))
    graft.run(train_body(other, "copy", seed=5))
    graft.put("/v1/models/rivals/aliases/best", json={"version": 2}).raise_for_status()

    def compared(refs: str) -> Json:
        response = graft.get("/v1/models/compare", params={"refs": refs})
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    found = compared("rivals:1,rivals@best,rivals,copy")
    assert [item["ref"] for item in found["versions"]] == ["rivals:1", "rivals:2", "rivals:3", "copy:1"]
    assert [item["held_out"]["same"] for item in found["versions"]] == [True, True, False, True]
    assert "seed" in found["versions"][2]["held_out"]["reason"]
    assert found["same_held_out"] is False
    metrics = {row["name"]: row for row in found["metrics"]}
    versions = [graft.get(f"/v1/models/rivals/versions/{number}").json() for number in (1, 2, 3)]
    accuracies = [version["metrics"]["accuracy"] for version in versions]
    assert metrics["accuracy"]["values"] == [*accuracies, accuracies[0]]
    assert metrics["accuracy"]["differences"][1] == pytest.approx(accuracies[1] - accuracies[0])
    assert metrics["accuracy"]["best"] is None
    params = {row["name"]: row["values"] for row in found["params"]}
    assert params["estimator.kind"][:2] == ["logistic_regression", "random_forest"]
    assert params["seed"] == [5, 5, 6, 5]
    assert all(item["same"] for item in found["schema_differences"])
    best = {row["name"]: row["best"] for row in compared("rivals:1,copy:1")["metrics"]}
    assert best["accuracy"] == [0, 1]


@pytest.mark.parametrize(
    ("refs", "status", "pointers"),
    [
        ("garden:1,garden:99", 404, ["/refs/1"]),
        ("nobody,garden:1,garden@nothing", 404, ["/refs/0", "/refs/2"]),
        ("garden:1", 422, ["/refs"]),
        (",".join(["garden:1"] * 11), 422, ["/refs"]),
        ("garden:1,,garden:2", 422, ["/refs"]),
        ("garden:1,Garden", 422, ["/refs"]),
        ("", 422, ["/refs"]),
    ],
)
def test_what_cannot_be_compared_is_pointed_at(
    graft: Graft, flowers: str, refs: str, status: int, pointers: list[str]
) -> None:
    response = graft.get("/v1/models/compare", params={"refs": refs})
    assert response.status_code == status, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == pointers


def test_no_new_model_gets_a_name_that_has_a_route_of_its_own(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    assert graft.refused(train_body(dataset, "compare")) == ["/model/name"]
    assert graft.get("/v1/models/compare").status_code == 422
    assert graft.get("/v1/models/compare/versions").status_code == 404
    for response in (graft.delete("/v1/models/compare"), graft.patch("/v1/models/compare", json={})):
        assert response.status_code == 405
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_lineage_goes_from_a_dataset_to_an_output_and_back(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    trained = graft.run(train_body(dataset, "ancestor"))
    rows = graft.dataset(tables.iris().drop_columns("label"))
    batch = graft.run({"type": "batch_predict", "model": "ancestor:1", "input": {"dataset": rows}})
    lineage = graft.get("/v1/models/ancestor/versions/1/lineage").json()
    edges = {(edge["source"], edge["relation"], edge["target"]) for edge in lineage["edges"]}
    assert edges >= {
        (dataset, "trained_on", trained["id"]),
        (trained["id"], "produced_by", "ancestor:1"),
        ("ancestor:1", "used_by", batch["id"]),
        (batch["id"], "produced_by", f"{batch['id']}/output"),
    }
    assert (lineage["root"], lineage["truncated"]) == ("ancestor:1", False)
    below = graft.get(f"/v1/datasets/{dataset}/lineage").json()
    assert {"ancestor:1", batch["id"], f"{batch['id']}/output"} <= {node["id"] for node in below["nodes"]}
    cut = graft.get(f"/v1/datasets/{dataset}/lineage", params={"limit": 2}).json()
    assert (len(cut["nodes"]), cut["truncated"]) == (2, True)
    up = graft.get("/v1/models/ancestor/versions/1/lineage", params={"direction": "up"}).json()
    assert {node["id"] for node in up["nodes"]} == {"ancestor:1", trained["id"], dataset}
    for wrong in ({"depth": 0}, {"depth": 101}, {"limit": 0}, {"limit": 1001}, {"direction": "left"}):
        assert graft.get(f"/v1/datasets/{dataset}/lineage", params=wrong).status_code == 422


def test_what_refers_to_a_version_keeps_it_and_is_named(graft: Graft) -> None:
    dataset = graft.dataset(tables.iris())
    for seed in range(3):
        graft.run(train_body(dataset, "fading", seed=seed))
    here = "/v1/models/fading"
    graft.put(f"{here}/aliases/champion", json={"version": 2})
    batch = {"type": "batch_predict", "model": "fading:2", "input": {"dataset": dataset}}
    schedule = graft.post("/v1/schedules", json={"name": "later", "cron": "0 0 1 1 *", "job": batch}).json()
    for path in (f"{here}/versions/2", here):
        kept = graft.delete(path)
        assert kept.status_code == 409
        assert kept.json()["code"] in {"version_in_use", "model_in_use"}
        assert kept.json()["referrers"] == [
            {"kind": "alias", "id": "champion"},
            {"kind": "schedule", "id": schedule["id"]},
        ]
    tag = graft.get(f"{here}/versions/3").headers["ETag"]
    assert graft.delete(f"{here}/versions/3", headers={"If-Match": '"other"'}).status_code == 412
    assert graft.delete(f"{here}/versions/3", headers={"If-Match": tag}).status_code == 204
    assert graft.delete(f"{here}/versions/3").status_code == 404
    assert graft.get(here).json()["latest_version"] == 2
    for path in ("", "/artifact", "/lineage", "/report"):
        assert graft.get(f"{here}/versions/3{path}").status_code == 404
    assert graft.post("/v1/models/fading:3/predict", json={"rows": [ROW]}).status_code == 404
    assert graft.refused({**batch, "model": "fading:3"}) == ["/model"]
    assert graft.run(train_body(dataset, "fading", seed=4))["result"]["model"]["version"] == 4
    assert graft.delete(f"/v1/schedules/{schedule['id']}").status_code == 204
    assert graft.post(f"{here}/aliases/champion/rollback").json()["code"] == "no_previous_version"
    graft.put(f"{here}/aliases/champion", json={"version": 4})
    assert graft.delete(f"{here}/versions/2").status_code == 204
    rolled = graft.post(f"{here}/aliases/champion/rollback")
    assert (rolled.status_code, rolled.json()["code"]) == (409, "version_gone")
    assert graft.get(here).json()["aliases"] == {"champion": 4}
    graft.delete(f"{here}/aliases/champion")
    assert graft.delete(f"{here}/versions/1").status_code == 204
    only = graft.delete(f"{here}/versions/4")
    assert (only.status_code, only.json()["code"]) == (409, "only_version")
    assert graft.delete(here).status_code == 204
    assert graft.get(here).status_code == 404
    assert graft.run(train_body(dataset, "fading", seed=5))["result"]["model"]["version"] == 5


@pytest.mark.parametrize("ref", ["garden", "garden:1", "garden@stable"])
def test_online_prediction_takes_every_kind_of_reference(graft: Graft, flowers: str, ref: str) -> None:
    graft.put("/v1/models/garden/aliases/stable", json={"version": 2})
    answer = graft.post(f"/v1/models/{ref}/predict", json={"rows": [ROW, ROW], "probabilities": True}).json()
    assert answer["model"] == {"name": "garden", "version": {"garden": 3, "garden:1": 1}.get(ref, 2)}
    assert answer["predictions"] == ["setosa", "setosa"]
    assert answer["classes"] == ["setosa", "versicolor", "virginica"]
    assert sum(answer["probabilities"][0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "pointers"),
    [
        ([ROW, {**ROW, "f1": "wide"}], ["/rows/1/f1"]),
        ([{key: value for key, value in ROW.items() if key != "f2"}], ["/rows/0/f2"]),
        ([{**ROW, "f9": 1}], ["/rows/0/f9"]),
        ([{**ROW, "f0": [1]}], ["/rows/0/f0"]),
        ([{**ROW, "f0": True}], ["/rows/0/f0"]),
        ([], ["/rows"]),
        (["row"], ["/rows/0"]),
    ],
)
def test_rows_that_do_not_fit_the_schema_are_refused_cell_by_cell(
    graft: Graft, flowers: str, rows: list[object], pointers: list[str]
) -> None:
    response = graft.post("/v1/models/garden/predict", json={"rows": rows})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == pointers


def test_a_missing_value_is_imputed(graft: Graft, flowers: str) -> None:
    response = graft.post("/v1/models/garden/predict", json={"rows": [{**ROW, "f1": None}]})
    assert response.json()["predictions"] == ["setosa"]


def test_a_whole_number_column_takes_fractions(graft: Graft) -> None:
    dataset = graft.dataset("x,label\n" + "".join(f"{n},{'a' if n < 30 else 'b'}\n" for n in range(60)))
    graft.run(train_body(dataset, "whole"))
    response = graft.post("/v1/models/whole/predict", json={"rows": [{"x": 2.5}, {"x": 55}]})
    assert response.json()["predictions"] == ["a", "b"]


def test_the_artifact_can_be_downloaded_and_is_the_one_recorded(graft: Graft, flowers: str) -> None:
    response = graft.get("/v1/models/garden/versions/1/artifact")
    assert response.status_code == 302
    content = httpx.get(response.headers["Location"]).raise_for_status().content
    version = graft.get("/v1/models/garden/versions/1").json()
    assert hashlib.sha256(content).hexdigest() == version["sha256"]
    assert len(content) == version["bytes"]
    assert joblib.load(io.BytesIO(content)).task == "classification"


def test_a_changed_artifact_is_refused_unopened(graft: Graft, stack: RunningStack) -> None:
    dataset = graft.dataset(tables.iris())
    # A seed of its own: the workers keep artifacts by their digest, and read none that they have a second time.
    job = graft.run(train_body(dataset, "tampered", seed=77))
    client = s3(stack.store.settings)
    bucket, key = next(
        (bucket, key)
        for bucket, key in placed(stack.store)
        if job["id"] in key and key.endswith("/model.joblib")
    )
    content = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    client.put_object(Bucket=bucket, Key=key, Body=bytes(content))
    online = graft.post("/v1/models/tampered/predict", json={"rows": [ROW]})
    assert (online.status_code, online.json()["code"]) == (409, "bad_signature")
    exported = graft.get("/v1/models/tampered/versions/1/export", params={"format": "skops"})
    assert (exported.status_code, exported.json()["code"]) == (409, "bad_signature")
    error = graft.failed({"type": "batch_predict", "model": "tampered", "input": {"dataset": dataset}})
    assert error["code"] == "bad_signature"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/nobody",
        "/v1/models/nobody/versions",
        "/v1/models/garden/versions/99",
        "/v1/models/garden/versions/99/artifact",
        "/v1/models/garden/versions/99/lineage",
        "/v1/models/garden/aliases/nothing/history",
        "/v1/models/..%2f..%2fetc",
    ],
)
def test_what_is_not_there_is_404(graft: Graft, flowers: str, path: str) -> None:
    response = graft.get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_another_projects_model_does_not_exist(graft: Graft, stranger: Graft, flowers: str) -> None:
    for path in ("", "/versions", "/versions/1", "/versions/1/artifact", "/versions/1/lineage"):
        assert stranger.get(f"/v1/models/garden{path}").status_code == 404, path
    assert stranger.patch("/v1/models/garden", json={"description": "mine"}).status_code == 404
    assert stranger.put("/v1/models/garden/aliases/x", json={"version": 1}).status_code == 404
    assert stranger.post("/v1/models/garden/predict", json={"rows": [ROW]}).status_code == 404
    assert graft.get("/v1/models/garden").json()["description"] == "species of iris"
