"""Exports predict what the model predicts, without any class of Graft's; or say why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skops.io

from api.exporter import NotInstalled, in_a_child
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.contracts.tables import Column
from shared.modeling import Model, dump
from shared.modeling.composite import Stack, blended, composite
from shared.modeling.network import Layer
from tests.e2e import tables
from worker.exports.agreement import agree
from worker.exports.files import TRUSTED, onnx_file, skops_file
from worker.exports.plain import NotConvertible, plain
from worker.exports.samples import as_matrix, samples
from worker.learning.baseline import baseline
from worker.learning.data import labelled
from worker.learning.estimators import fit_model

MIXED = tables.mixed().drop(["since"])
TYPES = {"double": "number", "bool": "boolean", "string": "string", "date32[day]": "date"}


def fitted(
    table: pa.Table, kind: str, numeric: str = "standardize", seed: int = 1, **spec: Any
) -> tuple[Model, dict[str, Any]]:
    columns = tuple(
        Column(name=field.name, type=TYPES[str(field.type)], nulls=table.column(field.name).null_count)
        for field in table.schema
    )
    data = labelled(table, columns, "label", None, "auto", lambda _: None)
    chosen = EstimatorSpec.model_validate({"kind": kind, **spec})
    model = fit_model(data, chosen, PreprocessingSpec.model_validate({"numeric": numeric}), seed, threads=1)
    return model, baseline(data)


def many_categories() -> pa.Table:
    words = [f"w{n % 130}" for n in range(780)]
    labels = ["a" if n % 130 < 60 else "b" for n in range(780)]
    return pa.table({"c": words, "x": [float(n % 7) for n in range(780)], "label": labels})


@pytest.mark.parametrize(
    ("table", "kind", "numeric", "spec"),
    [
        (tables.iris(), "logistic_regression", "standardize", {}),
        (tables.diabetes(), "linear_regression", "standardize", {}),
        (tables.diabetes(), "svm", "standardize", {"kernel": "rbf"}),
        (tables.iris(), "svm", "standardize", {"kernel": "linear"}),
        (tables.iris(), "neural_network", "standardize", {"epochs": 20}),
        (tables.diabetes(), "neural_network", "minmax", {"epochs": 20, "hidden_layers": [8, 4]}),
        (MIXED, "logistic_regression", "standardize", {}),
        (MIXED, "logistic_regression", "minmax", {}),
        (MIXED, "logistic_regression", "normalize", {}),
        (MIXED, "neural_network", "none", {"epochs": 20}),
        (MIXED, "random_forest", "standardize", {"n_estimators": 10}),
        (MIXED, "gradient_boosting", "standardize", {"n_estimators": 10}),
        (tables.diabetes(), "random_forest", "standardize", {"n_estimators": 10}),
        (tables.diabetes(), "gradient_boosting", "standardize", {"n_estimators": 10}),
        (many_categories(), "logistic_regression", "standardize", {}),
    ],
)
def test_a_skops_file_predicts_what_the_model_predicts(
    table: pa.Table, kind: str, numeric: str, spec: dict[str, Any]
) -> None:
    model, described = fitted(table, kind, numeric, **spec)
    content = skops_file(model, described)
    assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED)
    features = table.drop(["label"])
    again = skops.io.loads(content, trusted=list(TRUSTED))
    expected = model.predict(features)
    found = again.predict(as_matrix(features))
    if model.task == "regression":
        assert found == pytest.approx(expected.values, rel=1e-3, abs=1e-3 * np.std(expected.values))
    else:
        assert np.mean(found == expected.values) > 0.99
        assert np.abs(again.predict_proba(as_matrix(features)) - expected.probabilities).max() < 1e-3


@pytest.mark.parametrize(
    ("table", "kind", "spec"),
    [
        (tables.iris(), "logistic_regression", {}),
        (tables.iris(), "neural_network", {"epochs": 20}),
        (tables.diabetes(), "linear_regression", {}),
        (MIXED, "logistic_regression", {}),
        (MIXED, "random_forest", {"n_estimators": 10}),
    ],
)
def test_an_onnx_graph_has_been_compared_with_the_model(
    table: pa.Table, kind: str, spec: dict[str, Any]
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_file(*fitted(table, kind, **spec)))
    assert [item.name for item in session.get_inputs()] == [
        f"column_{place}" for place in range(table.num_columns - 1)
    ]


def test_what_onnx_cannot_express_is_told() -> None:
    with pytest.raises(NotConvertible, match="ONNX cannot express"):
        onnx_file(*fitted(tables.diabetes(), "svm", kernel="rbf"))


def test_without_the_extra_onnx_is_501(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, described = fitted(tables.iris(), "logistic_regression")
    dump(model, tmp_path / "model.joblib")
    absent = tmp_path / "skl2onnx.py"
    absent.write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NotInstalled, match=r"graft\[onnx\]") as caught:
        in_a_child((tmp_path / "model.joblib").read_bytes(), described, "onnx", tmp_path)
    assert caught.value.status == 501
    absent.unlink()
    assert in_a_child((tmp_path / "model.joblib").read_bytes(), described, "onnx", tmp_path)


def test_a_blend_becomes_a_vote_of_pipelines() -> None:
    line, described = fitted(MIXED, "logistic_regression")
    forest, _ = fitted(MIXED, "random_forest", n_estimators=10)
    blend = blended(line, [(line, 0.3, 2.0), (forest, 0.7, 1.0)], line.classes)
    again = skops.io.loads(skops_file(blend, described), trusted=list(TRUSTED))
    rows = samples(blend, described)
    gap = np.abs(again.predict_proba(as_matrix(rows)) - blend.predict(rows).probabilities).max()
    assert gap < 1e-3


def _stack() -> tuple[Model, dict[str, Any]]:
    base, described = fitted(tables.iris(), "logistic_regression")
    head = Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    return composite(base, Stack(base, head, 3), base.classes), described


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: fitted(tables.mixed(), "logistic_regression"), "dates and times"),
        (lambda: fitted(many_categories(), "random_forest", n_estimators=3), "more categories .*: c"),
        (_stack, "stack"),
    ],
)
def test_what_has_no_plain_counterpart_says_why(made: Any, reason: str) -> None:
    with pytest.raises(NotConvertible, match=reason) as caught:
        skops_file(*made())
    assert (caught.value.code, caught.value.status) == ("not_convertible", 422)


@pytest.mark.parametrize(("shift", "fits"), [(0.0, True), (0.0009, True), (0.0011, False)])
def test_an_export_that_differs_is_refused(shift: float, fits: bool) -> None:
    model, described = fitted(tables.iris(), "logistic_regression")
    expected = model.predict(samples(model, described))
    off = expected.probabilities.copy()
    off[0, 0] += shift
    if fits:
        agree(model, expected, expected.values, off, list(model.classes))
    else:
        with pytest.raises(NotConvertible, match="would not agree"):
            agree(model, expected, expected.values, off, list(model.classes))


def test_other_labels_are_refused_even_if_the_probabilities_agree() -> None:
    model, described = fitted(tables.iris(), "logistic_regression")
    expected = model.predict(samples(model, described))
    wrong = expected.values.copy()
    sure = int(expected.probabilities.max(axis=1).argmax())
    wrong[sure] = next(label for label in model.classes if label != wrong[sure])
    with pytest.raises(NotConvertible, match="labels"):
        agree(model, expected, wrong, expected.probabilities, list(model.classes))


def test_the_pipeline_holds_nothing_of_ours() -> None:
    import pickle

    model, _ = fitted(MIXED, "neural_network", epochs=2)
    assert b"shared" not in pickle.dumps(plain(model))
