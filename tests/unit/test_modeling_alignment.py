"""A table is brought to a model's columns by name, and everything that was done is told."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from shared.modeling import align


def schema(*, nullable: bool = True, **types: str) -> dict:
    return {
        "inputs": [
            {"name": name, "type": kind, "required": True, "nullable": nullable}
            for name, kind in types.items()
        ]
    }


def reasons(found) -> list[tuple[int, str]]:
    return [(cell.row, cell.column) for cell in found.bad]


def test_columns_are_reordered_by_name_and_extra_ones_are_dropped_and_told():
    found = align(pa.table({"c": [9], "b": [2.0], "a": [1]}), schema(a="integer", b="number"))
    assert found.table.schema.names == ["a", "b"]
    assert found.table.to_pydict() == {"a": [1], "b": [2.0]}
    assert found.extra == ("c",)
    assert found.missing == ()
    assert not found.bad_rows.any()


def test_a_missing_column_is_null_and_told():
    found = align(pa.table({"a": [1, 2]}), schema(a="integer", city="string"))
    assert found.missing == ("city",)
    assert found.table.column("city").to_pylist() == [None, None]
    assert found.table.column("city").type == pa.string()


def test_integers_and_numbers_stand_in_for_each_other_without_a_cast():
    found = align(pa.table({"a": [1.5], "b": [2]}), schema(a="integer", b="number"))
    assert found.mistyped == ()
    assert found.table.to_pydict() == {"a": [1.5], "b": [2]}


def test_text_is_parsed_cell_by_cell_and_bad_cells_are_named():
    table = pa.table({"a": ["1", " 2.5 ", "x", "", None, "inf", "1_000"]})
    found = align(table, schema(a="number"))
    assert found.table.column("a").to_pylist() == [1, 2.5, None, None, None, None, None]
    assert reasons(found) == [(2, "a"), (5, "a"), (6, "a")]
    assert "'x' is not a number" in found.bad[0].reason
    assert found.bad_rows.tolist() == [False, False, True, False, False, True, True]
    assert found.report()["mistyped"] == [
        {"column": "a", "expected": "number", "found": "string", "bad_cells": 3}
    ]


def test_text_becomes_booleans_dates_and_times():
    table = pa.table(
        {
            "flag": ["TRUE", "no", "maybe"],
            "day": ["2024-05-31", "2024-05-31T23:00:00", "31.5.2024"],
            "at": ["2024-05-31T12:00:00+02:00", "2024-05-31", "noon"],
        }
    )
    found = align(table, schema(flag="boolean", day="date", at="datetime"))
    assert found.table.column("flag").to_pylist() == [True, False, None]
    assert found.table.column("day").to_pylist() == [dt.date(2024, 5, 31)] * 2 + [None]
    assert found.table.column("at").to_pylist()[:2] == [
        dt.datetime(2024, 5, 31, 10, tzinfo=dt.UTC),
        dt.datetime(2024, 5, 31, tzinfo=dt.UTC),
    ]
    assert reasons(found) == [(2, "flag"), (2, "day"), (2, "at")]


def test_numbers_become_booleans_only_if_they_are_zero_or_one():
    found = align(pa.table({"flag": [0, 1, 2, None]}), schema(flag="boolean"))
    assert found.table.column("flag").to_pylist() == [False, True, None, None]
    assert reasons(found) == [(2, "flag")]


def test_booleans_become_numbers_and_everything_becomes_text():
    table = pa.table({"a": [True, None], "n": [3, 4], "b": [False, True], "d": [dt.date(2024, 1, 2), None]})
    found = align(table, schema(a="integer", n="string", b="string", d="string"))
    assert found.table.to_pydict() == {
        "a": [1, None],
        "n": ["3", "4"],
        "b": ["false", "true"],
        "d": ["2024-01-02", None],
    }
    assert not found.bad


def test_dates_and_times_become_each_other():
    table = pa.table(
        {
            "d": pa.array([dt.datetime(2024, 1, 2, 13)], pa.timestamp("us")),
            "t": pa.array([dt.date(2024, 1, 2)]),
        }
    )
    found = align(table, schema(d="date", t="datetime"))
    assert found.table.column("d").to_pylist() == [dt.date(2024, 1, 2)]
    assert found.table.column("t").to_pylist() == [dt.datetime(2024, 1, 2, tzinfo=dt.UTC)]


def test_what_cannot_be_cast_at_all_makes_every_cell_bad_that_is_not_missing():
    found = align(pa.table({"a": [dt.date(2024, 1, 2), None]}), schema(a="number"))
    assert reasons(found) == [(0, "a")]
    assert found.table.column("a").to_pylist() == [None, None]
    found = align(pa.table({"a": [[1], [2]]}), schema(a="number"))
    assert reasons(found) == [(0, "a"), (1, "a")]


def test_a_missing_cell_is_bad_only_where_the_model_cannot_impute():
    table = pa.table({"a": [1.0, None, float("nan")]})
    assert not align(table, schema(a="number")).bad
    found = align(table, schema(nullable=False, a="number"))
    assert reasons(found) == [(1, "a"), (2, "a")]


def test_a_cell_is_reported_once_even_if_it_is_bad_and_then_missing():
    found = align(pa.table({"a": ["x", None]}), schema(nullable=False, a="number"))
    assert reasons(found) == [(0, "a"), (1, "a")]


@pytest.mark.parametrize("chunked", [True, False])
def test_dictionaries_chunks_and_batches_are_taken(chunked):
    table = pa.table({"a": pa.array(["1", "2", "y", "1"]).dictionary_encode()})
    source = pa.concat_tables([table.slice(0, 1), table.slice(1)]) if chunked else table.to_batches()[0]
    found = align(source, schema(a="integer"))
    assert isinstance(found.table, pa.Table if chunked else pa.RecordBatch)
    assert found.table.column(0).to_pylist() == [1, 2, None, 1]
    assert reasons(found) == [(2, "a")]


def test_an_empty_table_aligns():
    found = align(pa.table({"a": pa.array([], pa.string())}), schema(a="number", b="date"))
    assert found.table.num_rows == 0
    assert found.missing == ("b",)
