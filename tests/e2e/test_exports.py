"""Exports over HTTP: files that others can open without Graft, and the model card."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.e2e import tables
from tests.support.client import Graft, train_body

_WITHOUT_GRAFT = """
import json, sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"shared", "worker", "api", "graft"}:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Nowhere())
import numpy as np, skops.io

trusted = re_trusted
model = skops.io.load(sys.argv[1], trusted=trusted)
X = np.array(json.load(sys.stdin))
print(json.dumps([model.predict(X).tolist(), model.predict_proba(X).tolist()]))
"""


@pytest.fixture(scope="module")
def sender(client_of: Callable[..., Graft]) -> Graft:
    client = client_of("senders")
    dataset = client.dataset(tables.iris())
    client.run(
        train_body(
            dataset, "flowers", "random_forest", estimator={"kind": "random_forest", "n_estimators": 10}
        )
    )
    client.run(train_body(dataset, "petals"))
    client.run(train_body(client.dataset(tables.mixed()), "dated"))
    return client


def rows() -> list[list[float]]:
    return [list(row.values()) for row in tables.iris().drop(["label"]).to_pylist()]


def online(client: Graft, name: str) -> tuple[list[str], list[list[float]]]:
    body = {"rows": tables.iris().drop(["label"]).to_pylist(), "probabilities": True}
    found = client.post(f"/v1/models/{name}/predict", json=body).json()
    return found["predictions"], found["probabilities"]


@pytest.mark.parametrize("name", ["flowers", "petals"])
def test_a_skops_file_opens_where_graft_is_not_and_predicts_the_same(
    sender: Graft, tmp_path: Path, name: str
) -> None:
    answer = sender.get(f"/v1/models/{name}/versions/1/export", params={"format": "skops"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}-1.skops"'
    file = tmp_path / "model.skops"
    file.write_bytes(answer.content)
    card = sender.get(f"/v1/models/{name}/versions/1/export").text
    trusted = re.search(r"trusted=(\[.*?\])", card, re.DOTALL)
    assert trusted, "the card says which types to trust"
    script = _WITHOUT_GRAFT.replace("re_trusted", trusted[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(file)],
        input=json.dumps(rows()).encode(),
        capture_output=True,
        timeout=120,
        check=True,
    )
    labels, probabilities = json.loads(done.stdout)
    expected = online(sender, name)
    assert labels == expected[0]
    assert np.abs(np.array(probabilities) - np.array(expected[1])).max() < 1e-3


def test_an_onnx_graph_runs_and_predicts_the_same(sender: Graft) -> None:
    answer = sender.get("/v1/models/petals/versions/1/export", params={"format": "onnx"})
    assert answer.status_code == 200, answer.text
    session = onnxruntime.InferenceSession(answer.content)
    feeds = {f"column_{n}": np.array(rows(), np.float32)[:, n : n + 1] for n in range(4)}
    labels, probabilities = session.run(None, feeds)
    expected = online(sender, "petals")
    assert list(labels) == expected[0]
    assert np.abs(probabilities - np.array(expected[1])).max() < 1e-3


@pytest.mark.parametrize("format", ["skops", "onnx"])
def test_a_version_that_cannot_be_converted_says_why(sender: Graft, format: str) -> None:
    answer = sender.get("/v1/models/dated/versions/1/export", params={"format": format})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_convertible")
    assert "dates" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "format", "status"),
    [
        ("flowers/versions/1", "pickle", 422),
        ("flowers/versions/9", "skops", 404),
        ("flowers/versions/9", "card", 404),
        ("nobody/versions/1", "onnx", 404),
    ],
)
def test_what_cannot_be_exported_is_refused(sender: Graft, path: str, format: str, status: int) -> None:
    answer = sender.get(f"/v1/models/{path}/export", params={"format": format})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_card_says_what_it_is_and_how_it_was_measured(sender: Graft) -> None:
    answer = sender.get("/v1/models/flowers/versions/1/export", params={"format": "card"})
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    version = sender.get("/v1/models/flowers/versions/1").json()
    for said in (
        "# flowers, version 1",
        "| accuracy |",
        "## Limits",
        "## Made with",
        version["sha256"],
        "Licence",
    ):
        assert said in answer.text


def test_the_card_of_a_fine_tune_has_its_verdict_and_nothing_that_people_named_is_markup(
    sender: Graft,
) -> None:
    dataset = sender.dataset(tables.iris())
    nasty = "</td><script>alert(1)</script> | [x](javascript:alert(1)) `code` **bold** ![i](http://e.vil)"
    body = {
        "type": "fine_tune",
        "base_model": "petals:1",
        "dataset": dataset,
        "target": "label",
        "strategy": "continue",
        "model": {"name": "tuned", "description": nasty, "tags": {"license": nasty}},
    }
    sender.run(body)
    text = sender.get("/v1/models/tuned/versions/1/export").text
    assert "## Transfer: " in text
    assert "fine\\-tuned from petals, version 1" in text or "fine-tuned from petals, version 1" in text
    for raw in ("<script>", "[x](", "`code`", "**bold**", "![i]", " | ["):
        assert raw not in text
