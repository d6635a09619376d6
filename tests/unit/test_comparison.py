"""Versions side by side: what differs, and whether their metrics may be compared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.comparison import compare
from shared.contracts.models import ModelVersion
from shared.held_out import Measured, same_rows

SPEC = {"seed": 1, "evaluation": {"test_fraction": 0.2, "stratify": True}}


def version(number: int, **fields: Any) -> ModelVersion:
    return ModelVersion.model_validate(
        {
            "name": "churn",
            "version": number,
            "job": f"job_{number}",
            "created_at": datetime(2026, 11, 1, tzinfo=UTC),
            "task": "classification",
            "estimator": {"kind": "svm"},
            "target": "label",
            "schema": schema({"a": "number", "b": "string"}, ["no", "yes"]),
            "metrics": {"accuracy": 0.5, "n_test": 20},
            "dataset": "ds_1",
            "sha256": "0",
            "signature": "0",
            "bytes": 1,
            "library_versions": {"numpy": "2.0"},
            "compatibility": {"status": "same"},
            **fields,
        }
    )


def schema(inputs: dict[str, str], classes: list[Any] | None, **categories: list[str]) -> dict[str, Any]:
    described = [
        {"name": name, "type": kind, **({"categories": categories[name]} if name in categories else {})}
        for name, kind in inputs.items()
    ]
    return {"inputs": described, "output": {"name": "label", "type": "string", "classes": classes}}


def measured(**fields: Any) -> Measured:
    known: dict[str, Any] = {
        "rows": "sha",
        "target": "label",
        "task": "classification",
        "classes": ("no", "yes"),
        "n_test": 20,
        "spec": SPEC,
        "method": "holdout",
    }
    return Measured(**{**known, **fields})


@pytest.mark.parametrize(
    ("other", "same", "why"),
    [
        ({}, True, "same seed"),
        ({"rows": "other"}, False, "another dataset"),
        ({"target": "age"}, False, "another target"),
        ({"task": "regression"}, False, "another target"),
        ({"method": "cross_validation"}, False, "cross-validates"),
        ({"n_test": 21}, False, "number of rows"),
        ({"spec": None}, None, "gone"),
        ({"spec": {**SPEC, "seed": 2}}, False, "seed"),
        (
            {"spec": {**SPEC, "evaluation": {"test_fraction": 0.2001, "stratify": True}}},
            False,
            "test_fraction",
        ),
        ({"spec": {**SPEC, "evaluation": {"test_fraction": 0.2, "stratify": False}}}, False, "stratify"),
        ({"spec": {**SPEC, "label_map": {"ja": "yes"}}}, False, "label_map"),
        ({"spec": {**SPEC, "estimator": {"kind": "svm"}, "features": ["a"]}}, True, "same seed"),
        ({"classes": ("yes", "no")}, False, "classes"),
    ],
)
def test_rows_are_the_same_only_if_all_that_decides_them_is(other: Any, same: bool | None, why: str) -> None:
    for pair in ((measured(), measured(**other)), (measured(**other), measured())):
        found = same_rows(*pair)
        assert found.same is same
        assert why in found.reason


def test_a_cross_validation_predicts_every_row_however_it_is_folded() -> None:
    folded = {"method": "cross_validation"}
    assert same_rows(measured(**folded), measured(**folded, spec={"seed": 7})).same is True
    assert same_rows(measured(**folded), measured(**folded, spec=None)).same is True
    assert same_rows(measured(**folded), measured(**folded, rows="other")).same is False


def test_a_regression_is_not_stratified() -> None:
    plain = {"task": "regression", "classes": None}
    other = {"seed": 1, "evaluation": {"test_fraction": 0.2, "stratify": False}}
    assert same_rows(measured(**plain), measured(**plain, spec=other)).same is True


def test_metrics_stand_side_by_side_with_their_differences() -> None:
    found = compare(
        [
            version(1, metrics={"accuracy": 0.5, "log_loss": 0.9, "confusion_matrix": [[1]], "n_test": 20}),
            version(2, metrics={"accuracy": 0.75, "log_loss": 0.4, "confusion_matrix": [[2]], "n_test": 20}),
            version(3, metrics={"accuracy": 0.75, "roc_auc": None, "n_test": 20}),
        ],
        [measured()] * 3,
    )
    rows = {row.name: row for row in found.metrics}
    assert list(rows) == ["n_test", "accuracy", "log_loss", "confusion_matrix", "roc_auc"]
    accuracy, loss = rows["accuracy"], rows["log_loss"]
    assert (accuracy.values, accuracy.differences) == ([0.5, 0.75, 0.75], [0.0, 0.25, 0.25])
    assert (accuracy.better, accuracy.best) == ("higher", [1, 2])
    assert (loss.better, loss.values, loss.differences[1:], loss.best) == (
        "lower",
        [0.9, 0.4, None],
        [pytest.approx(-0.5), None],
        None,
    )
    assert rows["confusion_matrix"].differences == [None, None, None]
    assert rows["roc_auc"].values == [None, None, None]
    assert found.same_held_out is True


def test_nothing_is_best_of_what_was_measured_on_other_rows() -> None:
    pair = [version(1), version(2, metrics={"accuracy": 0.9, "n_test": 20})]
    for other, same in ((measured(rows="other"), False), (measured(spec=None), None)):
        found = compare(pair, [measured(), other])
        assert found.same_held_out is same
        assert [row.best for row in found.metrics] == [None, None]
        assert found.metrics[1].differences == [0.0, pytest.approx(0.4)], "it is told, and what it is worth"


@pytest.mark.parametrize("fields", [{"target": "other"}, {"task": "regression"}])
def test_metrics_of_another_question_have_no_difference(fields: dict[str, Any]) -> None:
    found = compare([version(1), version(2, **fields)], [measured(), measured(**fields)])
    assert all(row.differences[1] is None for row in found.metrics)


def test_settings_that_differ_are_told_and_no_others() -> None:
    found = compare(
        [
            version(
                1, estimator={"kind": "svm", "alpha": 0.1, "kernel": {"name": "rbf", "gamma": 1}}, seed=1
            ),
            version(
                2,
                estimator={
                    "kind": "svm",
                    "alpha": 0.2,
                    "kernel": {"name": "rbf", "gamma": 2},
                    "epochs": None,
                },
                preprocessing={"numeric": "minmax"},
                seed=1,
                library_versions={"numpy": "2.1", "python": "3.11"},
            ),
        ],
        [measured()] * 2,
    )
    assert {row.name: row.values for row in found.params} == {
        "estimator.alpha": [0.1, 0.2],
        "estimator.kernel.gamma": [1, 2],
        "preprocessing": [{}, None],
        "preprocessing.numeric": [None, "minmax"],
    }
    assert {row.name: row.values for row in found.libraries} == {
        "numpy": ["2.0", "2.1"],
        "python": [None, "3.11"],
    }


def test_schemas_are_compared_column_by_column_with_the_first() -> None:
    first = version(
        1, schema=schema({"a": "number", "b": "string", "c": "integer"}, ["no", "yes"], b=["x", "y"])
    )
    other = version(
        2, schema=schema({"b": "string", "c": "number", "d": "date"}, ["yes", "maybe"], b=["y", "z"])
    )
    (same, found) = compare([first, first, other], [measured()] * 3).schema_differences
    assert (same.same, found.same, found.ref) == (True, False, "churn:2")
    assert (found.added, found.removed) == (["d"], ["a"])
    assert [item.model_dump() for item in found.retyped] == [
        {"name": "c", "before": "integer", "after": "number"}
    ]
    assert [item.model_dump() for item in found.categories] == [
        {"name": "b", "added": ["z"], "removed": ["x"]}
    ]
    assert (found.classes_added, found.classes_removed, found.target) == (["maybe"], ["no"], None)
    renamed = compare([first, version(3, target="leaves", schema=first.schema_)], [measured()] * 2)
    (changed,) = renamed.schema_differences
    assert changed.target is not None
    assert (changed.target.before, changed.target.after) == ("label: string", "leaves: string")
