"""Forms have every field of their contract and no other, and what is typed becomes the body that it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.dashboard import forms
from api.dashboard.new_job import KINDS, form_for
from shared.contracts.jobs import SubmitBody
from shared.contracts.refusals import invalid
from shared.errors import FieldError

DATASET = "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV"
BODIES: dict[str, dict[str, Any]] = {
    "train": {
        "dataset": DATASET,
        "target": " a column, with spaces ",
        "features": ["age", "b: 'c'"],
        "estimator": {"kind": "neural_network", "hidden_layers": [64, 32], "learning_rate": 0.01},
        "evaluation": {"test_fraction": 0.3, "stratify": False},
        "metadata": {"ticket": "ML-7", "n": 3},
        "model": {"name": "churn", "tags": {"team": "south"}, "description": "two\nlines"},
    },
    "fine_tune": {
        "base_model": "churn@champion",
        "dataset": DATASET,
        "target": "y",
        "column_map": {"years": "age"},
        "label_map": {"ja": "yes"},
        "refit": False,
        "model": {"name": "south"},
    },
    "batch_predict": {
        "model": "churn:3",
        "input": {"dataset": DATASET},
        "output": {"format": "csv", "columns": "id", "probabilities": False, "row_numbers": True},
        "column_map": {"years": "age"},
        "id_column": "id",
        "on_bad_row": "skip",
        "max_error_rate": 0.5,
    },
    "evaluate": {"model": "churn", "dataset": DATASET},
    "shift_report": {"source": DATASET, "dataset": DATASET, "target": "y"},
    "rank_sources": {"dataset": DATASET, "target": "y", "candidates": ["a:1", "b@x"], "limit": 2},
}


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    for name, held in value.items():
        if isinstance(held, dict) and held and name not in {"metadata", "tags", "column_map", "label_map"}:
            yield from _leaves(held, f"{path}/{name}")
        else:
            yield f"{path}/{name}"


def test_there_is_a_form_for_every_type_of_job() -> None:
    schema = TypeAdapter(SubmitBody).json_schema()
    assert set(KINDS) == set(schema["discriminator"]["mapping"]) == set(BODIES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_has_every_field_of_the_contract(kind: str) -> None:
    body = SubmitBody.model_validate({"type": kind, **BODIES[kind]}).root
    names = {one.pointer for one in form_for(kind).fields}
    assert set(_leaves(body.model_dump(exclude={"type"}))) <= names
    assert not [name for name in KINDS[kind][1] if name not in names], "a field is named that there is not"


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_typed_is_that_body(kind: str) -> None:
    body = SubmitBody.model_validate({"type": kind, **BODIES[kind]}).root
    form = form_for(kind)
    texts = forms.texts_of(form, body.model_dump(mode="json"))
    sent = {
        one.pointer: texts[one.pointer]
        for one in form.fields
        if one.control != "switch" or texts[one.pointer]
    }
    assert SubmitBody.model_validate({"type": kind, **forms.body_of(form, sent)}).root == body


def test_what_cannot_be_read_goes_on_as_it_was_typed() -> None:
    sent = {
        "/seed": "many",
        "/evaluation/test_fraction": "a half",
        "/metadata": "{",
        "/estimator/hidden_layers": "8, x",
    }
    body = {"type": "train", **forms.body_of(form_for("train"), sent)}
    assert (body["seed"], body["evaluation"]["test_fraction"], body["metadata"]) == ("many", "a half", "{")
    assert body["estimator"]["hidden_layers"] == [8, "x"]
    with pytest.raises(ValidationError) as caught:
        SubmitBody.model_validate(body)
    form = forms.refused(form_for("train"), invalid(caught.value).errors, "")
    wrong = {one.pointer for one in form.wrong}
    assert set(sent) <= wrong
    assert {"/dataset", "/target", "/estimator/kind", "/model/name"} <= wrong
    assert not form.general


def test_an_error_stands_at_its_field_or_the_nearest_and_none_is_lost() -> None:
    errors = [
        FieldError("/features/3", "no such column"),
        FieldError("/estimator", "does not do that"),
        FieldError("/nowhere", "is strange"),
        FieldError("", "is not good"),
    ]
    form = forms.refused(form_for("train"), errors, "refused")
    assert {one.pointer for one in form.wrong} == {"/features", "/estimator/kind"}
    assert form.general == ("nowhere: is strange", "is not good")
    assert forms.refused(form_for("train"), (), "full").general == ("full",)
