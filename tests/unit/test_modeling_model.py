"""A model predicts, describes itself, and is the same bytes when it is made again."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import sys

import joblib
import numpy as np
import pyarrow as pa
import pytest
from sklearn.kernel_approximation import Nystroem

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InternalError
from shared.modeling import Model, dump, load, rows_to_batch
from shared.modeling.network import BLOCK_ROWS, Layer, Network, NystroemMap
from tests.support.labelled_tables import blobs, labelled_from, line, table_of
from worker.learning.estimators import fit_model

MAKE = """
import hashlib, sys, threadpoolctl
threadpoolctl.threadpool_limits(1)
import numpy as np, pyarrow as pa
from pathlib import Path
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import dump
from tests.support.labelled_tables import blobs, labelled_from, table_of
from worker.learning.estimators import fit_model
X, y = blobs(90)
table = table_of(X, y).append_column("city", pa.array(["a", "b", None] * 30))
folder = Path(sys.argv[1])
for kind in sys.argv[2:]:
    kind, _, loss = kind.partition("/")
    sizes = {} if kind not in ("random_forest", "gradient_boosting") else {"n_estimators": 7}
    spec = EstimatorSpec(kind=kind, loss=loss or "auto", **sizes)
    dump(fit_model(labelled_from(table), spec, PreprocessingSpec(), 7, threads=2), folder / kind)
    print(kind, hashlib.sha256((folder / kind).read_bytes()).hexdigest())
"""


def fitted(kind: str = "logistic_regression", **spec) -> Model:
    X, y = blobs(60)
    table = table_of(X, y).set_column(5, "label", pa.array(np.array(["low", "mid", "top"])[y]))
    return fit_model(labelled_from(table), EstimatorSpec(kind=kind, **spec), PreprocessingSpec(), 0)


def test_two_processes_make_the_same_bytes(tmp_path):
    kinds = [
        "logistic_regression",
        "svm",
        "svm/hinge",
        "neural_network",
        "random_forest",
        "gradient_boosting",
    ]
    found = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-c", MAKE, str(folder), *kinds]
        env = {"PYTHONHASHSEED": str(number), "PATH": ""}
        found.append(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout)
    assert len(found[0].splitlines()) == len(kinds)
    assert found[0] == found[1]


def test_a_loaded_model_predicts_the_same_and_dumps_the_same_bytes(tmp_path):
    model = fitted()
    dump(model, tmp_path / "one")
    content = (tmp_path / "one").read_bytes()
    again = load(content)
    X, _ = blobs(20, seed=1)
    np.testing.assert_array_equal(
        model.predict(table_of(X)).probabilities, again.predict(table_of(X)).probabilities
    )
    assert load(io.BytesIO(content)) is not None
    dump(again, tmp_path / "two")
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("one", "two")}
    assert len(digests) == 1


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05."])
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(InternalError) as caught:
        load(content)
    assert caught.value.code == "artifact_unreadable"


def test_other_objects_and_newer_formats_are_refused(tmp_path):
    joblib.dump({"not": "a model"}, tmp_path / "other")
    with pytest.raises(InternalError, match="no model"):
        load((tmp_path / "other").read_bytes())
    dump(dataclasses.replace(fitted(), format=99), tmp_path / "new")
    with pytest.raises(InternalError) as caught:
        load((tmp_path / "new").read_bytes())
    assert caught.value.code == "artifact_too_new"


def test_importing_and_using_a_network_needs_no_scikit_learn(tmp_path):
    dump(fitted("svm"), tmp_path / "model")
    program = f"""
import sys
from pathlib import Path
from shared.modeling import load, rows_to_batch
model = load(Path({str(tmp_path / "model")!r}).read_bytes())
row = {{item["name"]: 0.5 for item in model.schema()["inputs"]}}
print(model.predict(rows_to_batch([row], model.schema())).values)
assert not any(name.partition(".")[0] in ("sklearn", "scipy", "worker") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)


def test_the_schema_is_json_and_says_what_goes_in_and_comes_out():
    table = pa.table({"age": [1, 2, 3, 4], "city": ["a", "b", "a", "b"], "ok": [True, False, True, False]})
    data = labelled_from(table, target="ok")
    model = fit_model(data, EstimatorSpec(kind="logistic_regression"), PreprocessingSpec(), 0)
    assert json.loads(json.dumps(model.schema())) == {
        "inputs": [
            {"name": "age", "type": "integer", "required": True, "nullable": True},
            {"name": "city", "type": "string", "required": True, "nullable": True, "categories": ["a", "b"]},
        ],
        "output": {"name": "ok", "type": "boolean", "task": "classification", "classes": [False, True]},
    }
    batch = rows_to_batch([{"age": 1, "city": None}], model.schema())
    assert model.predict(batch).values.dtype == np.bool_


@pytest.mark.parametrize(
    "kind", ["logistic_regression", "svm", "neural_network", "random_forest", "gradient_boosting"]
)
def test_labels_are_the_users_own_and_probabilities_agree_with_them(kind):
    X, y = blobs(60, seed=3)
    found = fitted(kind).predict(table_of(X))
    names = np.array(["low", "mid", "top"])
    assert (found.values == names[y]).mean() > 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(names[found.probabilities.argmax(axis=1)], found.values)


def test_regression_answers_in_the_targets_own_units():
    X, y = line(200)
    model = fit_model(
        labelled_from(table_of(X, y)), EstimatorSpec(kind="linear_regression"), PreprocessingSpec(), 0
    )
    found = model.predict(table_of(X))
    assert found.probabilities is None
    assert abs(found.values.mean() - y.mean()) < 1
    assert np.corrcoef(found.values, y)[0, 1] > 0.99


def test_the_nystroem_map_equals_scikit_learns():
    random = np.random.RandomState(0)
    X = random.normal(size=(50, 4)).astype(np.float32)
    theirs = Nystroem(gamma=0.3, n_components=20, random_state=0).fit(X)
    ours = NystroemMap(theirs.components_, theirs.normalization_.T.astype(np.float32), 0.3)
    np.testing.assert_allclose(ours(X), theirs.transform(X), atol=1e-4)


@pytest.mark.parametrize("mapped", [True, False])
def test_decisions_are_the_head_on_the_hidden_features_and_blocks_do_not_matter(mapped):
    random = np.random.RandomState(0)

    def layer(inputs, outputs):
        return Layer(
            random.normal(size=(inputs, outputs)).astype(np.float32),
            random.normal(size=outputs).astype(np.float32),
        )

    feature_map = NystroemMap(random.normal(size=(6, 3)).astype(np.float32), np.eye(6, dtype=np.float32), 0.5)
    network = Network(feature_map, (), layer(6, 2)) if mapped else Network(None, (layer(3, 5),), layer(5, 2))
    X = random.normal(size=(BLOCK_ROWS + 3, 3)).astype(np.float32)
    expected = network.hidden(X) @ network.head.weights + network.head.bias
    np.testing.assert_allclose(network.decision(X), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network.decision(X[-5:]), expected[-5:], rtol=1e-4, atol=1e-5)
    assert network.decision(X[:0]).shape == (0, 2)
