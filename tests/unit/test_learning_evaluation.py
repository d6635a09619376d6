"""Metrics, and how sure a gain is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics

from tests.support.labelled_tables import labelled_from, table_of
from worker.learning.evaluation import classification_metrics, majority, regression_metrics
from worker.learning.significance import MIN_VERDICT_ROWS, Gain, accuracy_gain, r2_gain


def strictly_json(value) -> None:
    json.dumps(value, allow_nan=False)


def test_two_classes_are_scored_for_the_second_one():
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    found = classification_metrics(truth, predicted, probabilities, ["no", "yes"])
    assert found["accuracy"] == 0.75
    assert (found["precision"], found["recall"]) == (1.0, 0.5)
    assert found["roc_auc"] == 1.0
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities))
    assert found["confusion_matrix"] == [[2, 0], [1, 1]]
    assert found["classes"] == ["no", "yes"]
    assert found["n_test"] == 4
    strictly_json(found)


def test_more_classes_are_macro_averages():
    random = np.random.RandomState(0)
    truth = np.arange(60) % 3
    probabilities = random.dirichlet([1, 1, 1], 60)
    predicted = probabilities.argmax(axis=1)
    found = classification_metrics(truth, predicted, probabilities, [1, 2, 3])
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, probabilities, multi_class="ovr"))
    strictly_json(found)


def test_the_area_is_null_where_a_class_has_no_test_row():
    truth = np.array([0, 1])
    found = classification_metrics(truth, truth, np.eye(3)[:2], ["a", "b", "c"])
    assert found["roc_auc"] is None
    assert len(found["confusion_matrix"]) == 3
    strictly_json(found)


def test_an_impossible_label_has_a_finite_loss():
    found = classification_metrics(np.array([1]), np.array([0]), np.array([[1.0, 0.0]]), [False, True])
    assert 30 < found["log_loss"] < 40


def test_regression_metrics_equal_scikit_learns_and_r2_can_be_undefined():
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.5, 3.0])
    found = regression_metrics(truth, predicted)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))
    assert found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    assert regression_metrics(truth[:1], predicted[:1])["r2"] is None
    assert regression_metrics(np.ones(3), predicted)["r2"] is None
    strictly_json(regression_metrics(np.ones(3), predicted))


def test_the_majority_is_the_training_rows():
    X = np.zeros((5, 1))
    train = labelled_from(table_of(X, np.array([0, 1, 1, 1, 0])))
    test = labelled_from(table_of(X, np.array([0, 0, 0, 1, 1])), task="classification")
    assert majority(train, test)["accuracy"] == 0.4
    amounts = labelled_from(table_of(X, np.array([1.0, 2.0, 3.0, 4.0, 5.5])))
    assert majority(amounts, amounts)["r2"] == pytest.approx(0)


def test_a_clear_gain_has_an_interval_above_zero_that_shrinks_with_the_rows():
    random = np.random.RandomState(0)
    widths = []
    for rows in (100, 1000):
        ours, theirs = random.rand(rows) < 0.9, random.rand(rows) < 0.6
        gain = accuracy_gain(ours, theirs, 0)
        assert gain.low < gain.value < gain.high
        assert gain.verdict(rows) == "improved"
        assert accuracy_gain(theirs, ours, 0).verdict(rows) == "negative_transfer"
        widths.append(gain.high - gain.low)
    assert widths[1] < widths[0] / 2


def test_equal_models_are_neutral():
    right = np.arange(50) % 2 == 0
    gain = accuracy_gain(right, right, 0)
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    assert gain.verdict(50) == "neutral"


def test_the_interval_of_accuracy_holds_the_truth_about_as_often_as_it_says():
    random = np.random.RandomState(1)
    held = 0
    for trial in range(300):
        gain = accuracy_gain(random.rand(200) < 0.8, random.rand(200) < 0.7, trial)
        held += gain.low <= 0.1 <= gain.high
    assert 0.91 < held / 300 < 0.99


def test_the_gain_of_r2_is_the_difference_of_r2():
    random = np.random.RandomState(0)
    truth = random.normal(size=200)
    ours, theirs = truth + random.normal(0, 0.3, 200), truth + random.normal(0, 0.9, 200)
    gain = r2_gain(truth, ours, theirs, 0)
    assert gain.value == pytest.approx(metrics.r2_score(truth, ours) - metrics.r2_score(truth, theirs))
    assert gain.verdict(200) == "improved"
    assert r2_gain(truth, ours, theirs, 0) == gain


def test_no_verdict_is_given_on_a_handful_of_rows():
    gain = Gain(1.0, 1.0, 1.0)
    assert gain.verdict(MIN_VERDICT_ROWS - 1) == "neutral"
    assert gain.verdict(MIN_VERDICT_ROWS) == "improved"
