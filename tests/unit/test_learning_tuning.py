"""Fine-tuning as a whole: what is blended, by what weights, and that the result is a model like any other."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import Blend, Model, align, dump, load
from tests.support.labelled_tables import blobs, labelled_from, line, table_of
from worker.learning.blending import CALIBRATED_ROWS, blend
from worker.learning.estimators import Hooks, fit_model
from worker.learning.evaluation import evaluate
from worker.learning.selection import OutOfFold
from worker.learning.strategies import Candidate, Transfer
from worker.learning.tuning import Tuned, tune

KINDS = ("logistic_regression", "svm", "neural_network", "random_forest")
SMALL = {"random_forest": {"n_estimators": 10}, "gradient_boosting": {"n_estimators": 10}}


def source_of(kind: str, X, y) -> Model:
    spec = EstimatorSpec(kind=kind, **SMALL.get(kind, {}))
    return fit_model(labelled_from(table_of(X, y)), spec, PreprocessingSpec(), 0)


def tuned(source: Model, data, strategy: str = "auto", **fields) -> Tuned:
    return tune(Transfer(source, 0, **fields), strategy, data, hooks=Hooks(), on_fit=lambda *_: None)


def score(model: Model, data) -> float:
    metrics = evaluate(model, data)
    return metrics["accuracy"] if model.task == "classification" else metrics["r2"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [5, 12, 60])
def test_auto_gives_one_model_with_the_weights_of_its_candidates(kind, rows):
    source = source_of(kind, *blobs(120, spread=2.0))
    X, y = blobs(rows, seed=4, spread=2.0)
    found = tuned(source, labelled_from(table_of(X + 1, y), task="classification"))
    weights = [item.weight for item in found.candidates]
    assert sum(weights) == pytest.approx(1.0)
    assert all(weight == 0 or weight >= 0.01 for weight in weights)
    described = [item.as_json() for item in found.candidates]
    assert {"strategy", "parameters", "cv_score", "cv_std", "cv_loss", "weight"} <= set(described[0])
    prediction = found.model.predict(table_of(X))
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1.0)
    assert prediction.probabilities.shape == (rows, len(found.model.classes))


@pytest.mark.parametrize("kind", ["linear_regression", "svm", "neural_network", "gradient_boosting"])
def test_auto_blends_amounts_and_is_no_worse_than_both_baselines(kind):
    source = source_of(kind, *line(200))
    data = labelled_from(table_of(*line(40, seed=1, shift=60)))
    test = labelled_from(table_of(*line(200, seed=2, shift=60)))
    found = tuned(source, data)
    scratch = Transfer(source, 0).scratch(data, Hooks())
    assert score(found.model, test) > max(score(source, test), score(scratch, test)) - 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_source_is_not_made_worse(kind):
    source = source_of(kind, *blobs(300))
    test = labelled_from(table_of(*blobs(300, seed=9)))
    found = tuned(source, labelled_from(table_of(*blobs(10, seed=4)), task="classification"))
    assert score(found.model, test) >= score(source, test) - 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_wrong_about_everything_is_left(kind):
    source = source_of(kind, *blobs(200))
    X, y = blobs(300, seed=4)
    data = labelled_from(table_of(X[:100], (y[:100] + 1) % 3))
    test = labelled_from(table_of(X[100:], (y[100:] + 1) % 3))
    found = tuned(source, data)
    shares = {item.candidate.strategy: item.weight for item in found.candidates}
    assert shares["source_only"] == 0
    assert score(found.model, test) > 0.9


@pytest.mark.parametrize("kind", ["logistic_regression", "neural_network"])
def test_a_good_source_survives_one_row_of_each_of_many_classes(kind):
    """Leaving a row out leaves its class out: what is fitted on the rest alone must not be judged by that."""
    source = source_of(kind, *blobs(400, classes=10))
    test = labelled_from(table_of(*blobs(400, classes=10, seed=9)))
    data = labelled_from(table_of(*blobs(10, classes=10, seed=4)), task="classification")
    assert score(tuned(source, data).model, test) > score(source, test) - 0.03


@pytest.mark.parametrize("kind", ["logistic_regression", "neural_network"])
def test_a_useless_source_does_not_win_by_one_row_of_each_class(kind):
    X, y = blobs(400, classes=10)
    source = source_of(kind, X, (y + 3) % 10)
    test = labelled_from(table_of(*blobs(400, classes=10, seed=9)))
    data = labelled_from(table_of(*blobs(10, classes=10, seed=4)), task="classification")
    scratch = Transfer(source, 0).scratch(data, Hooks())
    assert score(scratch, test) > 0.6 > score(source, test)
    assert score(tuned(source, data).model, test) > score(scratch, test) - 0.04


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["auto", "stack", "augment", "reweight", "scratch"])
def test_labels_may_be_new_on_either_side(kind, strategy):
    ours = blobs(120, classes=3)
    source = source_of(kind, *ours)
    X, y = blobs(200, classes=5, seed=4)
    X, y = X[y > 0], y[y > 0]  # class 0 is the source's alone
    data = labelled_from(table_of(X[:120], y[:120]))
    model = tuned(source, data, strategy, source_rows=labelled_from(table_of(*ours))).model
    prediction = model.predict(table_of(X[120:]))
    assert {1, 2, 3, 4} <= set(model.classes)
    assert set(prediction.values.tolist()) <= set(model.classes)
    assert set(prediction.values.tolist()) & {3, 4}


@pytest.mark.parametrize("kind", [*KINDS, "linear_regression"])
def test_a_blend_survives_the_store_and_says_the_same(kind, tmp_path):
    made = line if kind == "linear_regression" else blobs
    source = source_of(kind, *made(120))
    X, y = made(30, seed=4)
    model = tuned(source, labelled_from(table_of(X + 1, y), task=source.task)).model
    dump(model, tmp_path / "model.joblib")
    again = load((tmp_path / "model.joblib").read_bytes())
    table = align(table_of(X), again.schema()).table
    np.testing.assert_array_equal(again.predict(table).values, model.predict(table_of(X)).values)
    assert again.schema() == model.schema()


def test_a_blend_can_be_fine_tuned_again():
    source = source_of("logistic_regression", *blobs(120, spread=2.5))
    X, y = blobs(40, seed=4, spread=2.5)
    first = tuned(source, labelled_from(table_of(X + 2, y)))
    assert isinstance(first.model.estimator, Blend)
    X, y = blobs(340, classes=4, seed=5, spread=2.5)
    data, test = labelled_from(table_of(X[:40] + 4, y[:40])), labelled_from(table_of(X[40:] + 4, y[40:]))
    for strategy in ("l2_sp", "stack", "auto"):
        second = tuned(first.model, data, strategy)
        assert score(second.model, test) > score(first.model, test)
        assert set(second.model.classes) == {0, 1, 2, 3}


def test_a_blend_needs_no_scikit_learn_to_predict(tmp_path):
    source = source_of("neural_network", *blobs(120, spread=2.5))
    X, y = blobs(40, seed=4, spread=2.5)
    model = tuned(source, labelled_from(table_of(X + 2, y))).model
    assert isinstance(model.estimator, Blend)
    dump(model, tmp_path / "model.joblib")
    script = (
        "import sys, pathlib, pyarrow as pa; from shared.modeling import load;"
        f"m = load(pathlib.Path({str(tmp_path / 'model.joblib')!r}).read_bytes());"
        "m.predict(pa.table({f'x{i}': [0.5] for i in range(5)}));"
        "assert 'sklearn' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


@pytest.mark.parametrize("kind", ["logistic_regression", "neural_network"])
def test_the_same_rows_and_seed_give_the_same_bytes(kind):
    source = source_of(kind, *blobs(120))
    X, y = blobs(25, seed=4)
    data = labelled_from(table_of(X + 1, y))

    def content() -> bytes:
        stream = io.BytesIO()
        joblib.dump(tuned(source, data).model, stream, protocol=5)
        return stream.getvalue()

    assert content() == content()


def found(outputs, truth, strategies, unseen=None) -> OutOfFold:
    candidates = tuple(Candidate(name, lambda rows, hooks: None) for name in strategies)
    truth = np.asarray(truth)
    outputs = np.asarray(outputs, float)
    classes = tuple(range(outputs.shape[2])) if outputs.ndim == 3 else ()
    unseen = np.zeros(len(truth), bool) if unseen is None else np.asarray(unseen)
    nothing = np.zeros(len(truth), int)
    return OutOfFold(candidates, classes, truth, outputs, nothing, unseen, nothing.astype(bool))


def said(truth, probability: float):
    """Binary outputs that give every row's label this probability."""
    return np.where(np.eye(2)[np.asarray(truth)] == 1, probability, 1 - probability)


def test_little_evidence_hedges_and_much_evidence_decides():
    for rows, low, high in ((2, 0.5, 0.8), (400, 0.95, 1.0)):
        truth = np.arange(rows) % 2
        shares = blend(found([said(truth, 0.8), said(truth, 0.4)], truth, ["stack", "scratch"]))
        assert low < shares.weights[0] <= high


def test_candidates_that_are_right_about_different_rows_are_kept_together():
    truth = np.arange(400) % 2
    half = np.arange(400) < 200
    first = np.where(half[:, None], said(truth, 0.95), said(truth, 0.4))
    second = np.where(half[:, None], said(truth, 0.4), said(truth, 0.95))
    assert blend(found([first, second], truth, ["stack", "scratch"])).weights.min() > 0.4


def test_a_strategy_gains_nothing_by_having_many_parameters():
    truth = np.arange(4) % 2
    same = said(truth, 0.7)
    shares = blend(found([same, same, same, same], truth, ["l2_sp", "l2_sp", "l2_sp", "scratch"]))
    assert shares.weights[3] == pytest.approx(0.5)


def test_rows_whose_label_was_left_out_say_nothing_against_what_is_fitted_on_the_target_alone():
    truth = np.arange(6) % 2
    unseen = np.ones(6, bool)
    sure_and_wrong, never_heard = said(truth, 0.01), said(truth, 0.0)
    names = ["source_only", "scratch"]
    blind = blend(found([sure_and_wrong, never_heard], truth, names)).weights
    fair = blend(found([sure_and_wrong, never_heard], truth, names, unseen)).weights
    assert fair[1] > 0.9 > blind[1]


def test_a_modest_candidate_that_is_always_right_beats_a_sure_one_that_errs():
    rows = 2 * CALIBRATED_ROWS
    truth = np.arange(rows) % 2
    sure = said(truth, 0.99)
    sure[:8] = said(truth[:8], 0.3)
    shares = blend(found([said(truth, 0.7), sure], truth, ["scratch", "reweight"]))
    assert shares.sharpness[0] > 1.5
    assert shares.weights[0] > shares.weights[1]


def test_amounts_are_weighed_by_their_errors():
    random = np.random.RandomState(0)
    truth = random.normal(size=80)
    near, far = truth + random.normal(0, 0.2, 80), truth + random.normal(0, 1.0, 80)
    weights = blend(found([near, far], truth, ["stack", "scratch"])).weights
    assert weights[0] > 0.95


def test_a_constant_amount_has_no_spread_and_is_weighed_all_the_same():
    truth = np.full(6, 3.0)
    weights = blend(found([truth, truth + 1], truth, ["stack", "scratch"])).weights
    assert np.isfinite(weights).all()
    assert weights[0] > 0.9


def test_without_columns_that_the_target_lacks_scratch_predicts_the_sources_tables():
    source = source_of("logistic_regression", *blobs(120))
    X, y = blobs(60, seed=4)
    data = labelled_from(table_of(X, y))
    empty = data.table.set_column(1, "x1", pa.nulls(60, pa.float64()))
    data = replace(data, table=empty)
    model = tuned(source, data, absent=frozenset({"x1"})).model
    assert score(model, data) > 0.9


def test_heads_are_fitted_on_a_spread_of_rows_where_all_would_be_too_many(monkeypatch):
    monkeypatch.setattr("worker.learning.encoded.MAX_NUMBERS", 300)
    data = labelled_from(table_of(*blobs(400)))
    transfer = Transfer(source_of("logistic_regression", *blobs(60, seed=5)), 0)
    encoded = transfer.encoded(data)
    assert encoded.sample.rows == 300 // 5
    assert encoded.sample.table["x0"][-1] == data.table["x0"][-1]
    model = transfer.candidates("new_head")[0].fit(encoded, Hooks())
    assert score(model, data) > 0.9
