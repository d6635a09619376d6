"""Ways to move a source to a target: what each keeps, what each learns, and how one is chosen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling import Model
from tests.support.labelled_tables import blobs, columns_of, labelled_from, line, silent, table_of
from worker.learning.estimators import Hooks, fit_model
from worker.learning.evaluation import evaluate
from worker.learning.selection import MAX_ROWS, best, out_of_fold, scores
from worker.learning.strategies import ANCHOR_ALPHAS, Candidate, Transfer
from worker.learning.target import align_target

FAMILIES = ("logistic_regression", "svm", "neural_network")


def source_of(kind: str, X, y, **spec) -> Model:
    estimator = EstimatorSpec(kind=kind, **spec)
    return fit_model(labelled_from(table_of(X, y)), estimator, PreprocessingSpec(), 0)


def run(source: Model, strategy: str, data, source_rows=None) -> Model:
    transfer = Transfer(source, 0, source_rows=source_rows)
    return transfer.candidates(strategy)[0].fit(transfer.encoded(data), Hooks())


def accuracy(model: Model, data) -> float:
    return evaluate(model, data)["accuracy"]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("strategy", ["continue", "l2_sp", "new_head", "augment", "scratch"])
def test_every_strategy_learns_labels_that_the_source_does_not_know(kind, strategy):
    ours = blobs(90, classes=3)
    source = source_of(kind, *ours)
    X, y = blobs(240, classes=5, seed=4)
    train, test = labelled_from(table_of(X[:200], y[:200])), labelled_from(table_of(X[200:], y[200:]))
    before = accuracy(run(source, "source_only", train), test)
    model = run(source, strategy, train, labelled_from(table_of(*ours)))
    assert before <= 0.6
    assert accuracy(model, test) > before + 0.1
    assert set(model.classes) == {0, 1, 2, 3, 4}
    assert {3, 4} & set(model.predict(test.table).values.tolist())


@pytest.mark.parametrize("kind", FAMILIES)
def test_labels_that_only_the_source_knows_stay_unless_the_head_is_new(kind):
    source = source_of(kind, *blobs(90, classes=3))
    X, y = blobs(60, classes=3, seed=4)
    data = labelled_from(table_of(X[y < 2], y[y < 2]))
    assert run(source, "continue", data).classes == (0, 1, 2)
    assert run(source, "l2_sp", data).classes == (0, 1, 2)
    assert run(source, "new_head", data).classes == (0, 1)
    assert run(source, "scratch", data).classes == (0, 1)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("strategy", ["continue", "l2_sp", "new_head"])
def test_the_sources_preprocessing_is_kept(kind, strategy):
    source = source_of(kind, *blobs(90))
    X, y = blobs(60, seed=4)
    data = labelled_from(table_of(X * 3 + 10, y))
    assert run(source, strategy, data).encoder is source.encoder
    scratch = run(source, "scratch", data)
    assert scratch.encoder.columns[0].mean == pytest.approx((X * 3 + 10)[:, 0].mean())


def test_a_new_head_leaves_the_hidden_layers_alone_and_continue_does_not():
    source = source_of("neural_network", *blobs(90), epochs=5)
    data = labelled_from(table_of(*blobs(60, seed=4)))
    frozen, moved = (run(source, strategy, data).estimator for strategy in ("new_head", "continue"))
    np.testing.assert_array_equal(frozen.layers[0].weights, source.estimator.layers[0].weights)
    assert not np.array_equal(moved.layers[0].weights, source.estimator.layers[0].weights)


def test_the_nystroem_map_is_never_refitted_but_from_scratch():
    source = source_of("svm", *blobs(90))
    data = labelled_from(table_of(*blobs(60, seed=4)))
    for strategy in ("continue", "l2_sp", "new_head"):
        assert run(source, strategy, data).estimator.feature_map is source.estimator.feature_map
    assert run(source, "scratch", data).estimator.feature_map is not source.estimator.feature_map


@pytest.mark.parametrize("kind", ["logistic_regression", "neural_network", "linear_regression"])
def test_a_stronger_anchor_stays_closer_to_the_source(kind):
    made = line if kind == "linear_regression" else blobs
    source = source_of(kind, *made(90))
    X, y = made(60, seed=4)
    transfer = Transfer(source, 0)
    encoded = transfer.encoded(labelled_from(table_of(X + 2, y)))
    distances = []
    for alpha in ANCHOR_ALPHAS:
        head = transfer.anchored(encoded, Hooks(), alpha=alpha, restandardize=False).estimator.head
        moved = np.append(
            head.weights - source.estimator.head.weights, head.bias - source.estimator.head.bias
        )
        distances.append(float(np.linalg.norm(moved)))
    assert distances == sorted(distances)
    assert distances[0] < 0.5 * distances[-1]


@pytest.mark.parametrize("kind", [*FAMILIES, "linear_regression"])
def test_source_and_target_rows_together_beat_a_few_target_rows_alone(kind):
    made = line if kind == "linear_regression" else blobs
    ours = made(200)
    source = source_of(kind, *ours)
    train, test = (labelled_from(table_of(*made(n, seed=4)), task=source.task) for n in (8, 200))
    metric = "r2" if kind == "linear_regression" else "accuracy"
    alone = evaluate(run(source, "scratch", train), test)[metric]
    for strategy in ("augment", "reweight"):
        model = run(source, strategy, train, labelled_from(table_of(*ours)))
        assert evaluate(model, test)[metric] > alone
        assert model.fitted_as["strategy"] == strategy


def test_reweighting_leans_on_the_source_rows_that_look_like_the_target():
    """The concept bends: a line fitted to all of the source is wrong where the target lies."""
    random = np.random.RandomState(0)
    X = random.uniform(-3, 3, (600, 2))
    y = (X[:, 1] > np.abs(X[:, 0]) - 1.5).astype(int)
    ours, theirs = labelled_from(table_of(X, y)), X[:, 0] > 1.0
    source = source_of("logistic_regression", X, y)
    train = labelled_from(table_of(X[theirs][:20], y[theirs][:20]))
    test = labelled_from(table_of(X[theirs][20:], y[theirs][20:]))
    before = accuracy(run(source, "source_only", train), test)
    assert accuracy(run(source, "reweight", train, ours), test) > before + 0.03


@pytest.mark.parametrize("strategy", ["augment", "reweight"])
def test_without_the_sources_rows_the_strategies_that_need_them_are_refused(strategy):
    transfer = Transfer(source_of("logistic_regression", *blobs(90)), 0)
    with pytest.raises(InvalidInput) as caught:
        transfer.candidates(strategy)
    assert caught.value.code == "source_rows_needed"
    assert strategy not in {item.strategy for item in transfer.candidates("auto")}


@pytest.mark.parametrize("kind", ["logistic_regression", "svm", "neural_network", "random_forest"])
def test_a_stack_unlearns_a_consistent_confusion_from_few_rows(kind):
    """The target calls everything by another name: far from the weights, near in the logits."""
    small = {"n_estimators": 20} if kind == "random_forest" else {}
    source = source_of(kind, *blobs(150), **small)
    X, y = blobs(330, seed=4)
    swapped = np.array([0, 2, 1])[y]
    train, test = labelled_from(table_of(X[:30], swapped[:30])), labelled_from(table_of(X[30:], swapped[30:]))
    transfer = Transfer(source, 0)
    gentle = transfer.stacked(transfer.encoded(train), Hooks(), alpha=1.0)
    assert accuracy(run(source, "source_only", train), test) < 0.5
    assert accuracy(gentle, test) > 0.9


def test_a_stack_on_amounts_corrects_scale_and_offset():
    X, y = line(200)
    for kind in ("linear_regression", "gradient_boosting"):
        source = source_of(kind, X, y)
        train = labelled_from(table_of(X[:60], 3 * y[:60] + 500))
        test = labelled_from(table_of(X[60:], 3 * y[60:] + 500))
        transfer = Transfer(source, 0)
        model = transfer.stacked(transfer.encoded(train), Hooks(), alpha=1.0)
        assert evaluate(run(source, "source_only", train), test)["r2"] < 0
        assert evaluate(model, test)["r2"] > 0.8


@pytest.mark.parametrize("loss", ["hinge", "epsilon_insensitive"])
@pytest.mark.parametrize("strategy", ["continue", "l2_sp", "new_head"])
def test_losses_with_kinks_transfer_too(loss, strategy):
    made = blobs if loss == "hinge" else line
    source = source_of("svm", *made(120), loss=loss, kernel="linear", optimizer="adam")
    data = labelled_from(table_of(*made(120, seed=4)))
    model = run(source, strategy, data)
    metrics = evaluate(model, data)
    assert metrics.get("accuracy", metrics.get("r2")) > 0.8
    assert model.fitted_as["loss"] == ("log_loss" if loss == "hinge" else "squared_epsilon_insensitive")


@pytest.mark.parametrize("kind", ["linear_regression", "neural_network"])
@pytest.mark.parametrize("strategy", ["continue", "l2_sp", "new_head", "stack", "scratch"])
def test_regression_moves_to_a_shifted_target(kind, strategy):
    source = source_of(kind, *line(200))
    train = labelled_from(table_of(*line(200, seed=1, shift=60)))
    test = labelled_from(table_of(*line(100, seed=2, shift=60)))
    before = evaluate(run(source, "source_only", train), test)["r2"]
    assert evaluate(run(source, strategy, train), test)["r2"] > before + 0.02


@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
def test_trees_are_kept_regrown_or_stacked_and_say_why_not_more(kind):
    ours = blobs(90)
    source = source_of(kind, *ours, n_estimators=10)
    transfer = Transfer(source, 0)
    assert {item.strategy for item in transfer.candidates("auto")} == {"source_only", "scratch", "stack"}
    for strategy in ("continue", "l2_sp", "new_head"):
        with pytest.raises(InvalidInput, match="trees") as caught:
            transfer.candidates(strategy)
        assert caught.value.code == "unsupported_strategy"
    data = labelled_from(table_of(*blobs(40, seed=4)))
    for strategy in ("augment", "reweight"):
        model = run(source, strategy, data, labelled_from(table_of(*ours)))
        assert accuracy(model, data) > 0.9
        assert model.fitted_as["strategy"] == strategy


@pytest.mark.parametrize("kind", [*FAMILIES, "random_forest", "gradient_boosting"])
@pytest.mark.parametrize("rows", [5, 12, 40])
def test_every_candidate_is_scored_on_rows_it_was_not_fitted_on(kind, rows):
    small = {"n_estimators": 10} if kind in ("random_forest", "gradient_boosting") else {}
    source = source_of(kind, *blobs(90), **small)
    data = labelled_from(table_of(*blobs(rows, seed=4)), task="classification")
    fits: list[tuple[int, int]] = []
    transfer = Transfer(source, 0)
    candidates = transfer.candidates("auto")
    found = scores(out_of_fold(transfer, candidates, data, lambda *step: fits.append(step)))
    assert [item.candidate for item in found] == list(candidates)
    assert best(found).score == max(item.score for item in found)
    assert fits[-1][0] == fits[-1][1] == len(fits)
    assert all(0 <= item.score <= 1 for item in found)


def test_a_candidate_never_sees_the_row_it_is_scored_on():
    source = source_of("logistic_regression", *blobs(90))
    data = labelled_from(table_of(*blobs(23, seed=4)))
    seen: list[set[float]] = []

    def fit(rows, hooks):
        seen.append(set(rows.data.table.column("x0").to_pylist()))
        return source

    found = out_of_fold(Transfer(source, 0), [Candidate("probe", fit)], data, lambda *_: None)
    values = np.array(data.table.column("x0").to_pylist())
    for part, inside in enumerate(seen):
        assert inside == set(values[found.fold != part])


def test_large_targets_are_compared_on_a_sample():
    source = source_of("logistic_regression", *blobs(90))
    seen: list[int] = []

    def fit(rows, hooks):
        seen.append(rows.data.rows)
        return source

    data = labelled_from(table_of(*blobs(MAX_ROWS + 1_000)))
    out_of_fold(Transfer(source, 0), [Candidate("source_only", fit)], data, lambda *_: None)
    assert seen == [MAX_ROWS * 4 // 5] * 5


def aligned(source: Model, table: pa.Table, warn=silent, target: str = "label"):
    return align_target(source, table, columns_of(table), target, warn)


def test_target_columns_are_aligned_by_name_and_every_difference_is_told():
    X, y = blobs(60)
    source = source_of("logistic_regression", X, y)
    table = table_of(X, y).drop_columns(["x1"]).append_column("extra", pa.array(["?"] * 60))
    table = table.set_column(0, "x0", pa.array([str(v) for v in X[:, 0]])).select(
        ["label", "extra", "x4", "x3", "x2", "x0"]
    )
    warnings: list[str] = []
    found = aligned(source, table, warnings.append)
    assert found.data.table.schema.names == ["x0", "x1", "x2", "x3", "x4"]
    np.testing.assert_allclose(found.data.table.column("x0"), X[:, 0])
    assert found.absent == {"x1"}
    assert found.columns == {
        "missing": ["x1"],
        "extra": ["extra"],
        "mistyped": [{"column": "x0", "expected": "number", "found": "string", "bad_cells": 0}],
        "mapped": {},
    }
    assert len(warnings) == 3
    scratch = Transfer(source, 0, absent=found.absent).scratch(found.data, Hooks())
    assert [item.name for item in scratch.encoder.columns] == ["x0", "x2", "x3", "x4"]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0, 1], ["0", "1"], (0, 1)),
        (["0", "1"], [0, 1], ("0", "1")),
        ([False, True], [0, 1], (False, True)),
        ([0, 1], [False, True], (0, 1)),
        (["false", "true"], [False, True], ("false", "true")),
        ([False, True], ["no", "yes"], (False, True)),
    ],
)
def test_labels_are_brought_to_the_sources_kind(ours, theirs, expected):
    X, y = blobs(40, classes=2)
    source = source_of("logistic_regression", X, np.array(ours)[y])
    found = aligned(source, table_of(X).append_column("label", pa.array([theirs[k] for k in y])))
    assert found.data.classes == expected
    assert [type(label) for label in found.data.classes] == [type(label) for label in expected]
    assert accuracy(source, found.data) > 0.9


def test_targets_that_do_not_fit_the_source_are_refused():
    X, y = blobs(40, classes=2)
    source = source_of("logistic_regression", X, y)
    words = table_of(X).append_column("label", pa.array([["cat", "dog"][k] for k in y]))
    with pytest.raises(InvalidInput) as caught:
        aligned(source, words)
    assert caught.value.code == "label_type_mismatch"
    with pytest.raises(InvalidInput) as caught:
        aligned(source, pa.table({"other": [1.0, 2.0], "label": [0, 1]}))
    assert caught.value.code == "no_shared_columns"
    with pytest.raises(InvalidInput) as caught:
        aligned(source, table_of(X, np.zeros(40, int)))
    assert caught.value.code == "one_class"
