"""Which task, which labels, which rows: and what is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.specs import EvaluationSpec
from shared.errors import InvalidInput
from tests.support.labelled_tables import columns_of, labelled_from, silent
from worker.learning.baseline import baseline
from worker.learning.data import MAX_AUTO_CLASSES, MAX_CLASSES, labelled
from worker.learning.splitting import folds, hold_out


def with_target(values, **columns):
    return pa.table({"x": np.arange(len(values), dtype=float), **columns, "label": values})


def refused(values, code: str, task: str = "auto") -> str:
    with pytest.raises(InvalidInput) as caught:
        labelled_from(with_target(values), task=task)
    assert caught.value.code == code
    return caught.value.message


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a"] * 3, "classification", ("a", "b")),
        ([True, False] * 3, "classification", (False, True)),
        ([3, 1, 2] * 4, "classification", (1, 2, 3)),
        ([3.0, 1.0, None] * 4, "classification", (1, 3)),
        (list(range(MAX_AUTO_CLASSES)) * 2, "classification", tuple(range(MAX_AUTO_CLASSES))),
        (list(range(MAX_AUTO_CLASSES + 1)) * 2, "regression", ()),
        ([1, 2, 3], "regression", ()),
        ([0.5, 1.0] * 5, "regression", ()),
    ],
)
def test_auto_takes_texts_truth_values_and_few_whole_numbers_for_labels(values, task, classes):
    data = labelled_from(with_target(values))
    assert (data.task, data.classes) == (task, classes)
    assert [type(label) for label in data.classes] == [type(label) for label in classes]


def test_the_task_can_be_chosen():
    assert labelled_from(with_target([1, 2] * 3), task="regression").task == "regression"
    assert labelled_from(with_target([1, 2, 3]), task="classification").classes == (1, 2, 3)


def test_codes_point_at_the_labels():
    data = labelled_from(with_target(pa.array(["b", "a", "b"]).dictionary_encode()))
    assert data.values().tolist() == ["b", "a", "b"]


def test_rows_without_a_target_are_left_out_with_a_warning():
    warnings: list[str] = []
    data = labelled_from(with_target(["a", None, "b", None]), warn=warnings.append)
    assert data.table.column("x").to_pylist() == [0, 2]
    assert warnings == ["2 rows have no target and were left out"]
    data = labelled_from(with_target([0.5, float("nan"), 1.5]))
    assert data.y.tolist() == [0.5, 1.5]


def test_targets_that_cannot_be_learned_are_refused():
    assert "'a'" in refused(["a", "a"], "one_class")
    refused([True, True], "one_class")
    refused([None, None], "too_few_rows")
    assert "string" in refused(["1", "2"], "target_not_numeric", "regression")
    refused([True, False], "target_not_numeric", "regression")
    refused([dt.date(2024, 1, 1)] * 2, "target_not_numeric")
    refused([dt.date(2024, 1, 1)] * 2, "target_not_categorical", "classification")
    refused([0.5, 1.5], "target_not_categorical", "classification")
    refused([1.5, float("inf")], "target_not_numeric", "regression")
    refused([f"free text {n}" for n in range(MAX_CLASSES + 1)], "too_many_classes")


def test_features_default_to_every_other_column_and_can_be_chosen():
    table = with_target(["a", "b"], city=["x", "y"])
    assert [item.name for item in labelled_from(table).features] == ["x", "city"]
    data = labelled(table, columns_of(table), "label", ["city"], "auto", silent)
    assert [item.name for item in data.features] == ["city"]


@pytest.mark.parametrize(
    ("target", "features", "code"),
    [
        ("nope", None, "unknown_column"),
        ("label", ["nope"], "unknown_column"),
        ("label", ["label"], "target_leaks"),
    ],
)
def test_unknown_columns_and_the_target_as_feature_are_refused(target, features, code):
    table = with_target(["a", "b"])
    with pytest.raises(InvalidInput) as caught:
        labelled(table, columns_of(table), target, features, "auto", silent)
    assert caught.value.code == code
    assert caught.value.errors


def test_a_table_with_nothing_but_the_target_is_refused():
    with pytest.raises(InvalidInput) as caught:
        labelled_from(pa.table({"label": ["a", "b"]}))
    assert caught.value.code == "no_features"


def test_taking_rows_keeps_features_and_labels_together():
    data = labelled_from(with_target(["a", "b", "c", "a"]))
    some = data.take(np.array([3, 1]))
    assert some.table.column("x").to_pylist() == [1, 3]
    assert some.values().tolist() == ["b", "a"]


def spec(**fields) -> EvaluationSpec:
    return EvaluationSpec(**fields)


def test_held_out_rows_are_stratified_seeded_and_disjoint():
    data = labelled_from(with_target(["a"] * 80 + ["b"] * 20))
    train, test = hold_out(data, spec(), 1, silent)
    assert len(test) == 20
    assert np.bincount(data.y[test]).tolist() == [16, 4]
    assert sorted([*train, *test]) == list(range(100))
    np.testing.assert_array_equal(test, hold_out(data, spec(), 1, silent)[1])
    assert not np.array_equal(test, hold_out(data, spec(), 2, silent)[1])


def test_a_class_with_one_row_is_used_for_training_with_a_warning():
    warnings: list[str] = []
    data = labelled_from(with_target(["a"] * 10 + ["b"] * 10 + ["rare"]))
    for seed in range(5):
        train, test = hold_out(data, spec(), seed, warnings.append)
        assert data.classes.index("rare") in data.y[train]
        assert {0, 1} == set(data.y[test])
    assert "'rare'" in warnings[0]


def test_too_few_rows_to_stratify_are_drawn_at_random_and_every_class_is_trained():
    warnings: list[str] = []
    data = labelled_from(with_target(["a", "b", "c", "d"] * 2), task="classification")
    train, test = hold_out(data, spec(test_fraction=0.25), 0, warnings.append)
    assert len(test) == 2
    assert set(data.y[train]) == {0, 1, 2, 3}
    assert "at random" in warnings[0]


def test_stratify_false_draws_at_random():
    data = labelled_from(with_target(["a"] * 50 + ["b"] * 50))
    counts = {
        tuple(np.bincount(data.y[hold_out(data, spec(stratify=False), s, silent)[1]])) for s in range(8)
    }
    assert len(counts) > 1


@pytest.mark.parametrize(("rows", "fraction", "fine"), [(2, 0.5, False), (3, 0.3, True), (10, 0.95, False)])
def test_too_few_rows_to_split_are_refused(rows, fraction, fine):
    data = labelled_from(with_target([0.5 + n for n in range(rows)]))
    if fine:
        assert len(hold_out(data, spec(test_fraction=fraction), 0, silent)[1]) == 1
        return
    with pytest.raises(InvalidInput) as caught:
        hold_out(data, spec(test_fraction=fraction), 0, silent)
    assert caught.value.code == "too_few_rows"


def test_training_never_sees_one_class_only():
    data = labelled_from(with_target(["a", "a", "a", "a", "b", "c"]), task="classification")
    codes = set()
    for seed in range(50):
        try:
            train, _ = hold_out(data, spec(test_fraction=0.7, stratify=False), seed, silent)
        except InvalidInput as error:
            codes.add(error.code)
        else:
            assert len(set(data.y[train])) > 1
    assert codes == {"too_few_rows"}


def test_folds_spread_every_class_as_evenly_as_possible():
    y = np.array([0] * 11 + [1] * 3 + [2])
    fold = folds(y, 5, 0, stratify=True)
    for label in range(3):
        counts = np.bincount(fold[y == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 1


def test_the_baseline_describes_every_column_and_the_target():
    table = pa.table(
        {
            "n": [1.0, 2.0, None, 4.0],
            "flag": [True, None, False, True],
            "city": ["a", "b", "a", None],
            "when": [dt.date(1970, 1, 2)] * 4,
            "label": ["x", "y", "x", "x"],
        }
    )
    found = baseline(labelled_from(table))
    assert found["columns"]["n"]["missing"] == 0.25
    assert found["columns"]["n"]["quantiles"][0] == 1.0
    assert len(found["columns"]["n"]["quantiles"]) == 11
    assert found["columns"]["flag"] == {"type": "boolean", "missing": 0.25, "true": 2, "false": 1}
    assert found["columns"]["city"]["top"] == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]
    assert found["columns"]["when"]["mean"] == 86_400
    assert found["target"]["labels"] == [{"label": "x", "count": 3}, {"label": "y", "count": 1}]
