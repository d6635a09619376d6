"""Every supported kind, loss and optimizer learns; the engine agrees with scikit-learn where both can do it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from shared.contracts.kinds import SUPPORTED
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling.model import softmax
from tests.support.labelled_tables import blobs, bundled, labelled_from, line, table_of
from worker.learning.calibration import sharpness
from worker.learning.defaults import batch_rows, plan
from worker.learning.estimators import Hooks, fit_model
from worker.learning.evaluation import evaluate

COMBINATIONS = [
    (kind, task, loss, optimizer)
    for kind, support in SUPPORTED.items()
    for task, losses in support.losses.items()
    for loss, optimizers in losses.items()
    for optimizer in optimizers or ("auto",)
]


@pytest.mark.parametrize("numeric", ["standardize", "none"])
@pytest.mark.parametrize(("kind", "task", "loss", "optimizer"), COMBINATIONS)
def test_every_supported_combination_beats_the_majority_clearly(kind, task, loss, optimizer, numeric):
    data, test = (labelled_from(table_of(*made), task=task) for made in _tables(task))
    spec = EstimatorSpec(kind=kind, loss=loss, optimizer=optimizer)
    model = fit_model(data, spec, PreprocessingSpec(numeric=numeric), 1)
    metrics = evaluate(model, test)
    assert (metrics["accuracy"] if task == "classification" else metrics["r2"]) > 0.8
    assert model.fitted_as["loss"] == loss
    if optimizer not in ("auto", "lbfgs"):
        assert model.fitted_as["learning_rate"] > 0


def _tables(task):
    if task == "classification":
        return blobs(240, seed=1), blobs(120, seed=2)
    return line(240, seed=1), line(120, seed=2)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_both_kernels_learn(kernel, loss):
    data, test = (labelled_from(table_of(*made)) for made in _tables("classification"))
    model = fit_model(data, EstimatorSpec(kind="svm", loss=loss, kernel=kernel), PreprocessingSpec(), 1)
    assert evaluate(model, test)["accuracy"] > 0.9
    assert (model.estimator.feature_map is not None) == (kernel == "rbf")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("kind", ["logistic_regression", "neural_network"])
def test_wild_scales_without_preprocessing_end_finite_or_say_diverged(kind, optimizer):
    X, y = bundled("wine")
    data = labelled_from(table_of(X * np.logspace(-3, 4, X.shape[1]), y))
    spec = EstimatorSpec(kind=kind, optimizer=optimizer, epochs=30)
    try:
        model = fit_model(data, spec, PreprocessingSpec(numeric="none"), 0)
    except InvalidInput as error:
        assert error.code == "diverged"  # noqa: PT017  either end is right, an infinite model is not
    else:
        assert np.isfinite(model.predict(data.table).probabilities).all()


def _standardized(name: str, seed: int):
    X, y = bundled(name)
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y)
    scaler = StandardScaler().fit(train)
    return train, test, scaler.transform(train), scaler.transform(test), y_train, y_test


def _ours(train, y_train, test, **spec):
    data = labelled_from(table_of(train, y_train), task="classification")
    model = fit_model(data, EstimatorSpec(**spec), PreprocessingSpec(), 0)
    return model.predict(table_of(test))


@pytest.mark.parametrize("name", ["iris", "wine", "digits"])
def test_softmax_by_lbfgs_equals_logistic_regression(name):
    train, test, scaled, scaled_test, y_train, _ = _standardized(name, 0)
    theirs = LogisticRegression(max_iter=5_000, tol=1e-6).fit(scaled, y_train)
    ours = _ours(train, y_train, test, kind="logistic_regression", alpha=1.0, epochs=5_000)
    np.testing.assert_allclose(ours.probabilities, theirs.predict_proba(scaled_test), atol=5e-3)


def test_two_class_softmax_equals_logistic_regression_with_twice_the_c():
    train, test, scaled, scaled_test, y_train, _ = _standardized("breast_cancer", 0)
    theirs = LogisticRegression(C=2.0, max_iter=5_000, tol=1e-6).fit(scaled, y_train)
    ours = _ours(train, y_train, test, kind="logistic_regression", alpha=1.0, epochs=5_000)
    np.testing.assert_allclose(ours.probabilities, theirs.predict_proba(scaled_test), atol=5e-3)


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "digits"])
def test_squared_hinge_by_lbfgs_equals_linear_svc(name):
    train, test, scaled, scaled_test, y_train, _ = _standardized(name, 0)
    theirs = LinearSVC(intercept_scaling=100, max_iter=100_000).fit(scaled, y_train).predict(scaled_test)
    ours = _ours(train, y_train, test, kind="svm", kernel="linear", loss="squared_hinge", epochs=5_000)
    assert (ours.values == theirs).mean() > 0.98


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_nystroem_rbf_is_as_accurate_as_svc(name):
    gaps = []
    for seed in range(3):
        train, test, scaled, scaled_test, y_train, y_test = _standardized(name, seed)
        theirs = (SVC().fit(scaled, y_train).predict(scaled_test) == y_test).mean()
        gaps.append((_ours(train, y_train, test, kind="svm").values == y_test).mean() - theirs)
    assert np.mean(gaps) > -0.012


def test_squared_error_equals_ridge():
    X, y = bundled("diabetes")
    scaled, amounts = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    theirs = Ridge(alpha=1.0).fit(scaled, amounts).predict(scaled) * y.std() + y.mean()
    model = fit_model(
        labelled_from(table_of(X, y)), EstimatorSpec(kind="linear_regression"), PreprocessingSpec(), 0
    )
    np.testing.assert_allclose(model.predict(table_of(X)).values, theirs, rtol=1e-3)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_hinge_probabilities_are_calibrated_and_change_no_label(loss):
    train, test, *_, y_train, y_test = _standardized("digits", 0)
    found = _ours(train, y_train, test, kind="svm", loss=loss, optimizer="adam")
    raw = softmax(found.decision)
    assert log_loss(y_test, found.probabilities) < 0.5 * log_loss(y_test, raw)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), raw.argmax(axis=1))
    confident = found.probabilities.max(axis=1).mean()
    assert abs(confident - (found.values == y_test).mean()) < 0.06


def test_sharpness_finds_the_factor_the_decisions_lack():
    random = np.random.RandomState(0)
    logits = random.normal(0, 2, (20_000, 3))
    y = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    assert sharpness(logits / 4, y) == pytest.approx(4, rel=0.05)


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    data = labelled_from(table_of(*blobs(60)))
    spec = EstimatorSpec(kind="neural_network", epochs=3)
    one, two, other = (fit_model(data, spec, PreprocessingSpec(), seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.estimator.head.weights, two.estimator.head.weights)
    assert not np.array_equal(one.estimator.head.weights, other.estimator.head.weights)


def test_forests_do_not_depend_on_threads():
    data = labelled_from(table_of(*blobs(60)))
    found = [
        fit_model(
            data, EstimatorSpec(kind="random_forest", n_estimators=9), PreprocessingSpec(), 0, threads=n
        )
        for n in (1, 2)
    ]
    a, b = (model.predict(data.table).probabilities for model in found)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "kind", ["logistic_regression", "neural_network", "random_forest", "gradient_boosting"]
)
def test_progress_counts_up_to_no_more_than_the_total(kind):
    steps: list[tuple[int, int, str, float | None]] = []
    phases: list[str] = []
    hooks = Hooks(on_step=lambda *step: steps.append(step), on_phase=phases.append)
    fit_model(
        labelled_from(table_of(*blobs(60))), EstimatorSpec(kind=kind), PreprocessingSpec(), 0, hooks=hooks
    )
    counts = [completed for completed, *_ in steps]
    assert counts == sorted(set(counts))
    assert len(counts) >= 5
    assert counts[-1] <= steps[-1][1]
    assert phases[:2] == ["preparing", "fitting"]


def test_a_resumed_fit_gives_the_same_model():
    data = labelled_from(table_of(*blobs(120)))
    spec = EstimatorSpec(kind="neural_network", epochs=20)
    whole = fit_model(data, spec, PreprocessingSpec(), 0)
    kept = {}

    def keep(state):
        if state.epoch == 7:
            kept.update(state.to_arrays())

    fit_model(data, spec, PreprocessingSpec(), 0, hooks=Hooks(on_state=keep))
    from worker.learning.optimizers import FitState

    resumed = fit_model(data, spec, PreprocessingSpec(), 0, state=FitState.from_arrays(kept))
    np.testing.assert_array_equal(whole.estimator.head.weights, resumed.estimator.head.weights)


def test_a_kind_that_cannot_do_the_task_lists_those_that_can():
    data = labelled_from(table_of(*line(40)))
    with pytest.raises(InvalidInput, match="linear_regression") as caught:
        fit_model(data, EstimatorSpec(kind="logistic_regression"), PreprocessingSpec(), 0)
    assert caught.value.code == "unsupported_estimator"


def test_batches_grow_with_the_rows_within_bounds():
    assert [batch_rows(n) for n in (10, 10_000, 20_000, 1_000_000)] == [32, 32, 64, 256]


def test_a_network_on_few_rows_is_penalized_less():
    spec = EstimatorSpec(kind="neural_network")
    assert plan(spec, "classification", 20).alpha == 1.0
    assert plan(spec, "classification", 10_000).alpha == 10.0
    assert plan(EstimatorSpec(kind="neural_network", alpha=0.0), "classification", 20).alpha == 0.0


@pytest.mark.parametrize(
    ("task", "kind"), [("classification", "logistic_regression"), ("regression", "linear_regression")]
)
def test_auto_is_the_linear_family_of_the_task(task, kind):
    data, test = (labelled_from(table_of(*made), task=task) for made in _tables(task))
    chosen, named = (
        fit_model(data, EstimatorSpec(kind=word), PreprocessingSpec(), 1) for word in ("auto", kind)
    )
    assert chosen.fitted_as == named.fitted_as
    assert chosen.estimator_spec == named.estimator_spec, "what goes on from it need not guess again"
    assert evaluate(chosen, test) == evaluate(named, test)
