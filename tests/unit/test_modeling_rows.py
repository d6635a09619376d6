"""JSON rows become a batch, or an error that points at each bad field."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.modeling import rows_to_batch
from shared.modeling.rows import MAX_ERRORS, _checked, _columns

SCHEMA = {
    "inputs": [
        {"name": "age", "type": "integer", "required": True, "nullable": True},
        {"name": "income", "type": "number", "required": True, "nullable": True},
        {"name": "a/b~c", "type": "string", "required": True, "nullable": True},
        {"name": "flag", "type": "boolean", "required": True, "nullable": False},
        {"name": "day", "type": "date", "required": True, "nullable": True},
        {"name": "at", "type": "datetime", "required": True, "nullable": True},
    ]
}
GOOD = {
    "age": 3,
    "income": 2,
    "a/b~c": "x",
    "flag": True,
    "day": "2024-01-02",
    "at": "2024-01-02T03:00:00+01:00",
}


def errors(*rows) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        rows_to_batch(rows, SCHEMA)
    assert caught.value.code == "invalid_rows"
    return [(error.pointer, error.detail) for error in caught.value.errors]


def test_good_rows_become_a_batch_in_the_models_order():
    batch = rows_to_batch([dict(reversed(GOOD.items())), {**GOOD, "age": None, "income": 1.5}], SCHEMA)
    assert batch.schema.names == list(GOOD)
    assert batch.to_pylist()[0] == {
        **GOOD,
        "day": dt.date(2024, 1, 2),
        "at": dt.datetime(2024, 1, 2, 2, tzinfo=dt.UTC),
    }
    assert batch.column("age").to_pylist() == [3, None]
    assert batch.column("income").to_pylist() == [2.0, 1.5]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("age", "3", "number"),
        ("age", True, "number"),
        ("age", 2**63, "range"),
        ("income", "2", "number"),
        ("income", [], "number"),
        ("income", float("nan"), "finite"),
        ("income", float("inf"), "finite"),
        ("income", 10**400, "range"),
        ("a/b~c", 3, "string"),
        ("a/b~c", json.loads('"\\ud800"'), "Unicode"),
        ("flag", 1, "true or false"),
        ("flag", None, "null"),
        ("day", "02.01.2024", "date"),
        ("day", 5, "date"),
        ("at", "noon", "time"),
    ],
)
def test_a_mistyped_value_is_pointed_at(field, value, word):
    ((pointer, detail),) = errors(GOOD, {**GOOD, field: value})
    assert pointer == f"/rows/1/{field.replace('~', '~0').replace('/', '~1')}"
    assert word in detail


def test_a_column_of_round_training_values_takes_fractions():
    assert rows_to_batch([{**GOOD, "age": 4.5}], SCHEMA).column("age").to_pylist() == [4.5]


def test_missing_and_unknown_keys_are_pointed_at():
    row = dict(GOOD)
    row["agee"] = row.pop("age")
    assert dict(errors(row)) == {
        "/rows/0/agee": "is not a column of the model",
        "/rows/0/age": "is required",
    }


def test_a_row_that_is_no_object_is_pointed_at():
    assert errors([1, 2])[0][0] == "/rows/0"


def test_errors_are_bounded():
    assert len(errors(*[{}] * 1000)) == MAX_ERRORS


def test_no_rows_are_an_empty_batch():
    assert rows_to_batch([], SCHEMA).num_rows == 0


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.sampled_from(["2024-01-02", "2024-01-02T03:00:00Z", "2024-13-02", "\ud800", "x", ""]),
    st.just([1]),
)
ROWS = st.lists(
    st.one_of(
        st.fixed_dictionaries({name: st.one_of(st.just(value), CELLS) for name, value in GOOD.items()}),
        st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in GOOD.items()}),
        st.just(dict(GOOD)),
        st.just({**GOOD, "more": 1}),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=500)
@given(ROWS)
def test_columns_that_are_read_at_once_are_those_that_are_read_cell_by_cell(rows: list[dict]) -> None:
    at_once = _columns(rows, SCHEMA["inputs"])
    try:
        one_by_one = _checked(rows, SCHEMA["inputs"], "/rows")
    except InvalidInput:
        assert at_once is None
    else:
        assert at_once is None or all(map(pa.Array.equals, at_once, one_by_one))


def test_good_rows_are_read_at_once() -> None:
    assert _columns([GOOD, {**GOOD, "age": None, "a/b~c": None, "day": None}], SCHEMA["inputs"]) is not None
