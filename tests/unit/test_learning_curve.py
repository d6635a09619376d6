"""How many more labels would pay, on curves that are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling.model import Prediction
from tests.support.labelled_tables import blobs, labelled_from, line, table_of
from worker.learning import learning_curve as subject
from worker.learning.data import Labelled
from worker.learning.estimators import fit_model
from worker.learning.learning_curve import labels_needed
from worker.learning.power_law import fitted


@dataclass
class Known:
    """A model that is wrong on a share of the rows which a power law of its training rows gives."""

    error: float
    seed: int
    classes: tuple[int, ...] = (0, 1)

    def predict(self, table: Any) -> Prediction:
        truth = table["label"].to_numpy()
        wrong = np.random.RandomState(self.seed).rand(len(truth)) < self.error
        codes = np.where(wrong, 1 - truth, truth)
        return Prediction(codes, codes)


def coins(rows: int) -> Labelled:
    y = np.arange(rows) % 2
    return labelled_from(table_of(np.random.RandomState(0).normal(size=(rows, 2)), y))


def law(a: float, b: float, c: float) -> Any:
    """Fits that obey error = a + b · n^(-c)."""
    calls: list[int] = []

    def fit(rows: Labelled) -> Any:
        calls.append(rows.rows)
        return Known(a + b * rows.rows**-c, len(calls))

    fit.calls = calls  # type: ignore[attr-defined]
    return fit


def test_an_exact_power_law_is_recovered():
    rows = np.array([20.0, 40.0, 80.0, 160.0, 320.0])
    curves = fitted(rows, 0.05 + 1.2 * rows**-0.5, np.eye(5) * 1e-6)
    for more in (640, 1600):
        truth = 1 - (0.05 + 1.2 * more**-0.5)
        found = curves.score(more)
        assert found.mean == pytest.approx(truth, abs=0.01)
        assert found.low <= truth <= found.high
    assert curves.gain(320, 640).mean == pytest.approx(1.2 * (320**-0.5 - 640**-0.5), abs=0.005)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rows = np.array([25.0, 40.0, 65.0, 100.0])
    random = np.random.RandomState(0)
    hits = 0
    for _ in range(200):
        a, b, c = random.uniform(0, 0.15), random.uniform(0.5, 2), random.uniform(0.3, 0.9)
        errors = a + b * rows**-c + random.normal(0, 0.02, 4)
        found = fitted(rows, errors, np.eye(4) * 0.02**2).score(300)
        hits += found.low <= 1 - (a + b * 300**-c) <= found.high
    assert 0.65 <= hits / 200 <= 0.98


def test_a_falling_score_gives_a_flat_curve():
    found = fitted(np.array([10.0, 20.0, 40.0]), np.array([0.1, 0.2, 0.3]), np.eye(3) * 1e-6)
    assert found.gain(40, 400).high < 0.015


def test_more_labels_pay_where_the_curve_is_steep():
    fit = law(0.0, 3.0, 0.5)
    found = labels_needed(fit, coins(150), coins(4000), source_score=0.8, seed=0)
    json.dumps(found, allow_nan=False)
    assert found["outcome"] == "pays"
    assert found["more_labels"] in (75, 150)
    ahead = {item["labels"]: item for item in found["extrapolation"]}
    assert ahead[300]["score"] == pytest.approx(1 - 3 * 300**-0.5, abs=0.03)
    assert ahead[300]["low"] < ahead[300]["score"] < ahead[300]["high"]
    assert found["beats_source_at"] is not None
    assert f"{found['more_labels']:,} more labels" in found["sentence"]


def test_more_labels_do_not_pay_where_the_curve_is_flat():
    found = labels_needed(law(0.15, 0.0, 1.0), coins(400), coins(4000), source_score=0.5, seed=0)
    assert (found["outcome"], found["more_labels"]) == ("flat", None)
    assert "flat" in found["sentence"]
    assert found["beats_source_at"] is None


def test_what_cannot_be_known_from_few_noisy_rows_is_not_said():
    found = labels_needed(law(0.2, 1.0, 0.5), coins(24), None, source_score=0.5, seed=3)
    assert found["more_labels"] is None or found["extrapolation"][0]["gain"]["low"] >= subject.WORTH
    ahead = found["extrapolation"][-1]
    assert ahead["high"] - ahead["low"] > 0.1


def test_too_few_rows_are_told_and_not_fitted():
    fit = law(0.1, 1.0, 0.5)
    found = labels_needed(fit, coins(subject.MIN_ROWS - 1), None, source_score=0.5, seed=0)
    assert not fit.calls
    assert found["points"] == []
    assert found["reason"]
    assert "cannot be said" in found["sentence"]
    assert labels_needed(fit, coins(subject.MIN_ROWS), None, source_score=0.5, seed=0)["points"]


def test_the_number_of_fits_is_bounded_and_none_sees_more_than_it_may():
    fit = law(0.1, 1.0, 0.5)
    labels_needed(fit, coins(100), coins(50), source_score=0.5, seed=0)
    assert len(fit.calls) == 3 * subject.REPEATS + 1, "all rows are fitted once"
    assert max(fit.calls) == 100
    fit = law(0.1, 1.0, 0.5)
    labels_needed(fit, coins(100), None, source_score=0.5, seed=0)
    assert len(fit.calls) == 4 * subject.REPEATS
    assert max(fit.calls) == 66, "the other third is for testing"


def test_subsets_are_nested_and_tested_on_other_rows():
    seen: list[tuple[set[float], set[float]]] = []

    class Watched(Known):
        def predict(self, table: Any) -> Prediction:
            seen.append((self.rows, set(table["x0"].to_pylist())))  # type: ignore[attr-defined]
            return super().predict(table)

    def fit(rows: Labelled) -> Any:
        model = Watched(0.1, 1)
        model.rows = set(rows.table["x0"].to_pylist())  # type: ignore[attr-defined]
        return model

    labels_needed(fit, coins(60), None, source_score=0.5, seed=0)
    by_repeat = [seen[start : start + 4] for start in range(0, len(seen), 4)]
    for fits in by_repeat:
        for (smaller, _), (larger, _) in pairwise(fits):
            assert smaller < larger
        assert all(not trained & tested for trained, tested in fits)
        assert len({frozenset(tested) for _, tested in fits}) == 1
    assert len({frozenset(fits[0][1]) for fits in by_repeat}) == subject.REPEATS


def test_fits_that_the_rows_do_not_allow_leave_points_out():
    def fit(rows: Labelled) -> Any:
        if rows.rows < 40:
            raise InvalidInput("too few", code="too_few_rows")
        return Known(0.1, 1)

    found = labels_needed(fit, coins(60), coins(60), source_score=0.5, seed=0)
    assert found["points"] == []
    assert "no curve" in found["reason"]


@pytest.mark.parametrize("rows", [40, 200])
def test_real_fits_of_both_tasks_give_curves(rows):
    for data, kind in ((blobs(rows, spread=4.0), "logistic_regression"), (line(rows), "linear_regression")):
        table = labelled_from(table_of(*data))

        def fit(part: Labelled, kind: str = kind) -> Any:
            return fit_model(part, EstimatorSpec(kind=kind), PreprocessingSpec(), 0)

        found = labels_needed(fit, table, None, source_score=0.5, seed=0)
        json.dumps(found, allow_nan=False)
        assert [item["labels"] for item in found["points"]][-1] == rows * 2 // 3
        assert found["points"][-1]["score"] > found["points"][0]["score"] - 0.05
        assert labels_needed(fit, table, None, source_score=0.5, seed=0) == found
