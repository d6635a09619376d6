"""Online prediction over HTTP: many rows, cold models, and what is counted of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e import tables
from tests.support.client import Graft, train_body

ROWS = [{name: value for name, value in row.items() if name != "label"} for row in tables.mixed().to_pylist()]
ROWS = [{**row, "since": str(row["since"])} for row in ROWS]


@pytest.fixture(scope="module")
def clerk(client_of: Callable[..., Graft]) -> Graft:
    """A project with a model of every type of column."""
    client = client_of("clerks")
    client.run(train_body(client.dataset(tables.mixed()), "stays", "random_forest"))
    return client


def counted(client: Graft, name: str, **labels: str) -> float:
    """The sum of the samples of that name with these labels."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        found = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if (
            found
            and found[1] == name
            and all(f'{key}="{value}"' in found[2] for key, value in labels.items())
        ):
            total += float(found[3])
    return total


def test_thousands_of_rows_are_predicted_as_they_are_one_by_one(clerk: Graft) -> None:
    rows = [ROWS[n % len(ROWS)] for n in range(3_000)]
    answer = clerk.post("/v1/models/stays/predict", json={"rows": rows, "probabilities": True})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert len(found["predictions"]) == len(found["probabilities"]) == 3_000
    for place in (0, 7, 299):
        one = clerk.post(
            "/v1/models/stays/predict", json={"rows": [ROWS[place]], "probabilities": True}
        ).json()
        assert one["predictions"] == [found["predictions"][place]]
        assert one["probabilities"][0] == pytest.approx(found["probabilities"][place])


def test_a_bad_cell_among_a_thousand_rows_is_pointed_at(clerk: Graft) -> None:
    rows = [*ROWS * 4]
    rows[1_023] = {**rows[1_023], "age": "forty"}
    answer = clerk.post("/v1/models/stays/predict", json={"rows": rows})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/rows/1023/age", "detail": "should be a number"}]
    assert "forty" not in answer.text


@pytest.mark.parametrize(("rows", "status"), [(10_000, 200), (10_001, 422)])
def test_a_request_may_have_so_many_rows(clerk: Graft, rows: int, status: int) -> None:
    answer = clerk.post("/v1/models/stays/predict", json={"rows": [ROWS[0]] * rows})
    assert answer.status_code == status
    if status == 422:
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/rows"]


def test_many_who_ask_for_a_cold_model_at_once_have_it_loaded_once_a_process(clerk: Graft) -> None:
    clerk.run(train_body(clerk.dataset(tables.mixed()), "cold", seed=5))
    labels = {"project": "clerks", "model": "cold", "version": "1"}

    def ask(_: int) -> int:
        return clerk.post("/v1/models/cold/predict", json={"rows": [ROWS[0]]}).status_code

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(ask, range(48))) == {200}
    assert 1 <= counted(clerk, "graft_model_loads_total", **labels) <= 2  # the stack's API has two processes


def test_requests_rows_and_seconds_are_counted_for_each_version(clerk: Graft) -> None:
    labels = {"project": "clerks", "model": "stays", "version": "1"}
    names = ("graft_predict_requests_total", "graft_predict_rows_total", "graft_predict_seconds_count")
    before = [counted(clerk, name, **labels) for name in names]
    refused = counted(clerk, names[0], **labels, outcome="refused")
    assert clerk.post("/v1/models/stays/predict", json={"rows": ROWS[:5]}).status_code == 200
    assert clerk.post("/v1/models/stays:1/predict", json={"rows": [{}]}).status_code == 422
    after = [counted(clerk, name, **labels) for name in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 5, 2]
    assert counted(clerk, names[0], **labels, outcome="refused") == refused + 1


def test_counters_are_the_admins_and_of_the_own_project(
    clerk: Graft, operator: Graft, client_of: Callable[..., Graft]
) -> None:
    assert clerk.post("/v1/models/stays/predict", json={"rows": ROWS[:1]}).status_code == 200
    assert 'model="stays"' in operator.get("/metrics").text
    assert 'model="stays"' not in client_of("clerks-next-door").get("/metrics").text
    assert client_of("clerks", "read").get("/metrics").status_code == 403
