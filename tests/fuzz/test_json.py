"""The reader of JSON bodies: what it reads, what it refuses, and that it never does anything else."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import strict_json
from tests.fuzz.json_cases import CASES

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@pytest.mark.parametrize("name", CASES)
def test_a_text_is_read_or_refused_as_the_table_says(name: str) -> None:
    text, is_read = CASES[name]
    if is_read:
        strict_json.loads(text)
        return
    with pytest.raises(ValueError) as refused:
        strict_json.loads(text)
    assert len(str(refused.value)) < 200


@settings(max_examples=200)
@given(VALUES)
def test_what_is_written_as_json_is_read_as_it_was(value: object) -> None:
    assert strict_json.loads(json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text('{}[]",:0123456789.eE+-\\utrfn ', max_size=60).map(str.encode))
def test_whatever_comes_is_read_or_a_value_error(text: bytes) -> None:
    try:
        value = strict_json.loads(text)
    except ValueError:
        return
    json.dumps(value, allow_nan=True, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1, "a": 2}', "/a"),
        ('{"rows": [{}, {"a/b": 1, "a/b": 2}]}', "/rows/1/a~1b"),
        ('{"a": {"b": 1, "b": 2}, "a": 3}', "/a"),
    ],
)
def test_a_name_that_comes_twice_is_told_with_its_place(text: str, place: str) -> None:
    with pytest.raises(strict_json.DuplicateName) as refused:
        strict_json.loads(text)
    assert refused.value.place == place


def test_a_number_that_no_double_holds_is_for_the_field_to_refuse() -> None:
    assert strict_json.loads("1e400") == math.inf
