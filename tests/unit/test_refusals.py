"""What is said of a body that is not valid: in words that tell what to write, and without repeating what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.jobs import SubmitBody
from shared.contracts.kinds import CHOICES, supported
from shared.contracts.refusals import invalid
from shared.errors import FieldError

DATASET = "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def told(**changes: Any) -> list[FieldError]:
    body = {
        "type": "train",
        "dataset": DATASET,
        "target": "label",
        "estimator": {"kind": "auto"},
        "model": {"name": "churn"},
    }
    with pytest.raises(ValidationError) as refused:
        SubmitBody.model_validate(body | changes)
    return list(invalid(refused.value).errors)


@pytest.mark.parametrize("kind", CHOICES)
def test_an_unknown_setting_is_told_which_there_are(kind: str) -> None:
    (error,) = told(estimator={"kind": kind, "max_iter": "abc"})
    assert error.pointer == "/estimator/max_iter"
    assert error.detail.startswith("no such setting")
    for name in ("loss", *supported(kind).parameters):  # type: ignore[arg-type]
        assert name in error.detail
    assert "max_iter" not in error.detail


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("logistic_regression", "epoch", "epochs"),
        ("neural_network", "hiddenlayers", "hidden_layers"),
        ("random_forest", "N_ESTIMATOR", "n_estimators"),
    ],
)
def test_a_misspelt_setting_is_told_which_was_meant(kind: str, given: str, meant: str) -> None:
    (error,) = told(estimator={"kind": kind, given: 3})
    assert f"did you mean {meant}?" in error.detail


def test_a_setting_of_another_kind_is_not_guessed_and_auto_says_which_kinds_take_it() -> None:
    (error,) = told(estimator={"kind": "random_forest", "epoch": 3})
    assert "did you mean" not in error.detail
    (error,) = told(estimator={"kind": "auto", "n_estimators": 3})
    assert "A kind that takes it: gradient_boosting, random_forest" in error.detail


def test_very_long_settings_and_settings_without_a_kind_are_refused_like_any_other_field() -> None:
    (error,) = told(estimator={"kind": "auto", "epochs" * 10_000: 3})
    assert "did you mean" not in error.detail
    assert {error.pointer for error in told(estimator={"epoch": 3})} == {
        "/estimator/kind",
        "/estimator/epoch",
    }
    assert {error.pointer for error in told(estimator={"kind": ["auto"]})} == {"/estimator/kind"}


def test_names_and_references_are_refused_in_words_and_not_by_a_pattern() -> None:
    named = told(model={"name": "My Model"})
    dataset = told(dataset="iris.csv")
    ref = told(type="evaluate", model="My Model@prod")
    for field, (error, *_) in {"/model/name": named, "/dataset": dataset, "/model": ref}.items():
        assert error.pointer == field
        assert "^" not in error.detail
        assert "My" not in error.detail
    assert "small letters, digits, . _ -" in named[0].detail
    assert "name@alias" in ref[0].detail


def test_the_schema_keeps_the_pattern() -> None:
    schema = str(SubmitBody.model_json_schema())
    assert "^[a-z0-9][a-z0-9._-]{0,62}$" in schema
