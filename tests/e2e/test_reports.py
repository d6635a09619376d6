"""The report of a fine-tuned version over HTTP, and what its verdict keeps aliases from."""

from __future__ import annotations

import numpy as np
import pytest

from tests.e2e import tables
from tests.e2e.test_fine_tuning import fine_tune
from tests.support.client import PARQUET, Graft, Json, as_table, train_body

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def jobs(graft: Graft) -> Json:
    """Two versions of `digits-few`: the first helped nobody, as a few rows of the same digits teach less than the
    source knows; the second is plain training."""
    source = graft.dataset(tables.digits(slice(0, 800)), kind=PARQUET)
    graft.run(train_body(source, "digits-all"))
    few = graft.dataset(tables.digits(slice(800, 840)), kind=PARQUET)
    worse = graft.run(fine_tune(few, "digits-all", strategy="scratch", model={"name": "digits-few"}))
    trained = graft.run(train_body(source, "digits-few"))
    assert [job["result"]["model"]["version"] for job in (worse, trained)] == [1, 2]
    return worse


def test_the_report_is_kept_with_the_version(graft: Graft, jobs: Json) -> None:
    answer = graft.get("/v1/models/digits-few/versions/1/report")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "Accept" in answer.headers["Vary"]
    assert answer.json() == jobs["result"]["report"]
    version = graft.get("/v1/models/digits-few/versions/1").json()
    assert "report" not in version
    assert version["verdict"] == "negative_transfer"


def test_the_report_is_a_page_for_those_who_ask_for_one(graft: Graft, jobs: Json) -> None:
    answer = graft.get("/v1/models/digits-few/versions/1/report", headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.text.startswith("<!doctype html>")
    assert "It made things worse" in answer.text
    assert "<svg" in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/plain, */*;q=0.1", "application/json, text/html"]
)
def test_a_program_gets_json(graft: Graft, jobs: Json, accept: str) -> None:
    answer = graft.get("/v1/models/digits-few/versions/1/report", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("headers", [{}, HTML])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("digits-few/versions/2", "no_report"),
        ("digits-few/versions/9", "unknown_version"),
        ("no/versions/1", None),
    ],
)
def test_what_was_not_fine_tuned_has_no_report(
    graft: Graft, jobs: Json, path: str, code: str | None, headers: Json
) -> None:
    answer = graft.get(f"/v1/models/{path}/report", headers=headers)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert code is None or answer.json()["code"] == code


def test_another_projects_report_does_not_exist(stranger: Graft, jobs: Json) -> None:
    assert stranger.get("/v1/models/digits-few/versions/1/report").status_code == 404


def test_a_version_that_made_it_worse_gets_no_alias_unless_forced(graft: Graft, jobs: Json) -> None:
    here = "/v1/models/digits-few/aliases/champion"
    assert graft.put(here, json={"version": 2}).status_code == 200
    refused = graft.put(here, json={"version": 1})
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "negative_transfer"
    assert jobs["result"]["report"]["summary"]["headline"] in refused.json()["detail"]
    assert graft.get("/v1/models/digits-few").json()["aliases"]["champion"] == 2
    assert graft.put(here, json={"version": 1, "force": "yes"}).status_code == 422
    assert graft.put(here, json={"version": 1, "force": False}).status_code == 409
    assert graft.put(here, json={"version": 1, "force": True}).json() == {"alias": "champion", "version": 1}
    history = graft.get(f"{here}/history").json()["data"]
    assert [(move["version"], move["forced"]) for move in history] == [(1, True), (2, False)]
    assert graft.post(f"{here}/rollback").json()["version"] == 2


def test_a_rollback_to_such_a_version_is_refused(graft: Graft, jobs: Json) -> None:
    here = "/v1/models/digits-few/aliases/challenger"
    graft.put(here, json={"version": 1, "force": True})
    graft.put(here, json={"version": 2})
    refused = graft.post(f"{here}/rollback")
    assert (refused.status_code, refused.json()["code"]) == (409, "negative_transfer")
    assert graft.get("/v1/models/digits-few").json()["aliases"]["challenger"] == 2


def test_columns_and_labels_that_look_like_markup_are_text_on_the_page(graft: Graft) -> None:
    iris = tables.iris()
    X = [
        [float(value) for value in row.values()] for row in iris.select(["f0", "f1", "f2", "f3"]).to_pylist()
    ]
    labels = [f"{MARKUP}{label}" for label in iris["label"].to_pylist()]
    table = as_table(np.array(X), labels, [MARKUP, '"><img src=x onerror=alert(1)>', "f2", "f3"])
    dataset = graft.dataset(table, kind=PARQUET)
    graft.run(train_body(dataset, "marked"))
    graft.run(fine_tune(dataset, "marked", strategy="l2_sp", model={"name": "marked-again"}))
    page = graft.get("/v1/models/marked-again/versions/1/report", headers=HTML).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
