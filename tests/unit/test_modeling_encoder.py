"""Columns of every type become a float32 matrix, and its statistics stay readable."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared.contracts.specs import PreprocessingSpec
from shared.errors import InvalidInput
from shared.modeling.encoder import CategoryColumn, Encoder
from tests.support.labelled_tables import columns_of, silent
from worker.learning.preprocessing import MAX_CATEGORIES, fit_encoder


def fitted(table: pa.Table, warn=silent, for_trees: bool = False, **spec) -> Encoder:
    return fit_encoder(table, columns_of(table), PreprocessingSpec(**spec), warn, for_trees=for_trees)


def test_standardized_numbers_have_mean_zero_and_variance_one():
    table = pa.table({"a": [1.0, 2.0, 3.0, 6.0], "b": [10, 20, 30, 40]})
    X = fitted(table).transform(table)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(X.std(axis=0), 1, atol=1e-6)


def test_minmax_maps_the_training_range_to_zero_and_one():
    table = pa.table({"a": [2.0, 4.0, 6.0]})
    encoder = fitted(table, numeric="minmax")
    np.testing.assert_allclose(encoder.transform(pa.table({"a": [2.0, 3.0, 8.0]}))[:, 0], [0, 0.25, 1.5])


def test_normalize_gives_each_row_length_one_and_leaves_other_columns_alone():
    table = pa.table({"a": [3.0, 0.0], "flag": [True, False], "b": [4.0, 0.0]})
    X = fitted(table, numeric="normalize").transform(table)
    np.testing.assert_allclose(X, [[0.6, 1, 0.8], [0, 0, 0]], rtol=1e-6)


def test_numeric_none_and_trees_leave_numbers_as_they_are():
    table = pa.table({"a": [1.5, 100.0]})
    assert fitted(table, numeric="none").transform(table)[:, 0].tolist() == [1.5, 100.0]
    assert fitted(table, for_trees=True).transform(table)[:, 0].tolist() == [1.5, 100.0]


@pytest.mark.parametrize("numeric", ["standardize", "minmax", "normalize", "none"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e12])
def test_a_constant_column_gives_finite_features(numeric, value):
    table = pa.table({"a": [value] * 7, "b": np.arange(7.0)})
    X = fitted(table, numeric=numeric).transform(table)
    assert np.isfinite(X).all()
    if numeric == "standardize":
        np.testing.assert_allclose(X[:, 0], 0, atol=1e-6)


def test_missing_numbers_are_imputed_with_the_training_mean_and_counted():
    table = pa.table({"a": [1.0, None, 3.0, float("nan"), float("inf")]})
    encoder = fitted(table, numeric="none")
    assert encoder.transform(table)[:, 0].tolist() == [1, 2, 3, 2, 2]
    assert encoder.columns[0].missing == 3
    assert encoder.gaps(table) == {"a": {"missing": 3}}


def test_missing_fail_names_the_column_when_fitting_and_when_predicting():
    with pytest.raises(InvalidInput, match="'b'") as caught:
        fitted(pa.table({"a": [1, 2], "b": [1.0, None]}), missing="fail")
    assert caught.value.code == "missing_values"
    encoder = fitted(pa.table({"a": ["x", "y"]}), missing="fail")
    with pytest.raises(InvalidInput, match="'a'") as caught:
        encoder.transform(pa.table({"a": ["x", None]}))
    assert caught.value.code == "missing_values"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 3], pa.int8()),
        pa.array([1, 2, 3], pa.uint64()),
        pa.array([1, 2, 3], pa.float32()),
        pa.array([Decimal(1), Decimal(2), Decimal(3)], pa.decimal128(5, 2)),
        pa.array([1, 2, 3]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_every_numeric_arrow_type_gives_the_same_features(values):
    encoder = fitted(pa.table({"a": [1.0, 2.0, 3.0]}))
    expected = encoder.transform(pa.table({"a": [1.0, 2.0, 3.0]}))
    np.testing.assert_array_equal(encoder.transform(pa.table({"a": values})), expected)
    np.testing.assert_array_equal(
        fitted(pa.table({"a": values})).transform(pa.table({"a": values})), expected
    )


def test_booleans_are_zero_and_one_and_a_missing_one_is_the_share_of_true():
    table = pa.table({"flag": [True, False, True, True, None]})
    assert fitted(table).transform(table)[:, 0].tolist() == [1, 0, 1, 1, 0.75]


def test_text_becomes_one_feature_a_category():
    table = pa.table({"city": ["b", "a", "b"]})
    encoder = fitted(table)
    assert encoder.feature_names() == ["city=b", "city=a"]
    assert encoder.transform(table).tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_every_text_arrow_type_gives_the_same_features(kind):
    words = ["b", None, "a", "b", "new"]
    encoder = fitted(pa.table({"city": ["a", "b", "b", None]}))
    expected = encoder.transform(pa.table({"city": words}))
    plain = pa.array(words)
    values = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    np.testing.assert_array_equal(encoder.transform(pa.table({"city": values})), expected)


def test_unseen_text_sets_no_feature_and_is_counted():
    encoder = fitted(pa.table({"city": ["a", "b"]}))
    other = pa.table({"city": ["c", None, "a"]})
    assert encoder.transform(other).tolist() == [[0, 0], [0, 0], [1, 0]]
    assert encoder.gaps(other) == {"city": {"missing": 1, "unseen": 1}}


def test_missing_text_has_a_feature_where_training_had_some():
    table = pa.table({"city": ["a", None, "b", "a"]})
    encoder = fitted(table)
    assert encoder.feature_names() == ["city=a", "city=b", "city=<missing>"]
    assert encoder.transform(table).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_categories_beyond_the_cap_share_a_feature_and_warn():
    words = [f"w{n:03d}" for n in range(MAX_CATEGORIES + 5)]
    warnings: list[str] = []
    encoder = fitted(pa.table({"text": [*words, *words[:MAX_CATEGORIES]]}), warnings.append)
    column = encoder.columns[0]
    assert isinstance(column, CategoryColumn)
    assert len(column.categories) == MAX_CATEGORIES
    assert column.other == 5
    assert encoder.width == MAX_CATEGORIES + 1
    found = encoder.transform(pa.table({"text": [words[-1], "never seen"]}))
    assert found[:, -1].tolist() == [1, 1]
    assert len(warnings) == 1
    assert "'text'" in warnings[0]


def test_exactly_as_many_categories_as_the_cap_need_no_other():
    warnings: list[str] = []
    encoder = fitted(pa.table({"text": [f"w{n}" for n in range(MAX_CATEGORIES)]}), warnings.append)
    assert encoder.width == MAX_CATEGORIES
    assert not warnings


def test_dates_give_days_and_cycles():
    days = [dt.date(2024, 1, 1), dt.date(2024, 7, 4), None]
    encoder = fitted(pa.table({"when": pa.array(days, pa.date32())}))
    X = encoder.transform(pa.table({"when": pa.array(days, pa.date32())}))
    assert encoder.feature_names() == [
        "when.days",
        "when.month_sin",
        "when.month_cos",
        "when.weekday_sin",
        "when.weekday_cos",
    ]
    np.testing.assert_allclose(X[0], [-1, 0, 1, 0, 1], atol=1e-6)  # a Monday in January
    np.testing.assert_allclose(X[1, :3], [1, 0, -1], atol=1e-6)  # July is opposite
    np.testing.assert_allclose(X[1, 3:], [np.sin(2 * np.pi * 3 / 7), np.cos(2 * np.pi * 3 / 7)], atol=1e-6)
    assert X[2].tolist() == [0] * 5


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("s"),
        pa.timestamp("ms", tz="UTC"),
        pa.timestamp("us"),
        pa.timestamp("ns", tz="Europe/Berlin"),
    ],
)
def test_times_of_every_unit_give_the_same_features(kind):
    moments = [dt.datetime(2024, 3, 1, 6), dt.datetime(2025, 3, 2, 18)]
    table = pa.table({"at": pa.array(moments, pa.timestamp("us", tz="UTC"))})
    encoder = fitted(table)
    X = encoder.transform(table)
    np.testing.assert_allclose(X[0, 5:], [1, 0], atol=1e-6)  # six o'clock
    np.testing.assert_allclose(X[1, 5:], [-1, 0], atol=1e-6)
    other = pa.table({"at": table.column("at").cast(pa.timestamp(kind.unit, tz="UTC")).cast(kind)})
    np.testing.assert_allclose(encoder.transform(other), X, atol=1e-6)


def test_date64_and_date32_agree():
    days = pa.array([dt.date(2024, 1, 1), dt.date(1969, 12, 30)])
    encoder = fitted(pa.table({"when": days}))
    first = encoder.transform(pa.table({"when": days}))
    np.testing.assert_array_equal(first, encoder.transform(pa.table({"when": days.cast(pa.date64())})))


def test_columns_are_found_by_name_in_any_order_and_extra_ones_ignored():
    table = pa.table({"a": [1.0, 2.0], "b": ["x", "y"]})
    encoder = fitted(table)
    shuffled = pa.table({"z": [0, 0], "b": ["x", "y"], "a": [1.0, 2.0]})
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(table))


def test_a_missing_or_mistyped_column_is_named():
    encoder = fitted(pa.table({"a": [1.0, 2.0]}))
    with pytest.raises(InvalidInput, match="'a'") as caught:
        encoder.transform(pa.table({"b": [1.0]}))
    assert caught.value.code == "missing_column"
    with pytest.raises(InvalidInput, match="'a'") as caught:
        encoder.transform(pa.table({"a": ["text"]}))
    assert caught.value.code == "mistyped_column"


def test_chunks_and_batches_give_the_same_features():
    table = pa.table({"a": [1.0, None, 3.0], "city": ["x", "y", None], "flag": [True, None, False]})
    encoder = fitted(table)
    expected = encoder.transform(table)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    np.testing.assert_array_equal(encoder.transform(chunked), expected)
    np.testing.assert_array_equal(encoder.transform(table.combine_chunks().to_batches()[0]), expected)
    assert encoder.transform(table.slice(0, 0)).shape == (0, encoder.width)


def test_a_column_without_values_warns_and_stays_harmless():
    warnings: list[str] = []
    table = pa.table({"a": pa.array([None, None], pa.float64()), "b": pa.array([None, None], pa.string())})
    X = fitted(table, warnings.append).transform(table)
    assert np.isfinite(X).all()
    assert len(warnings) == 2


def test_slices_say_which_features_a_column_became():
    encoder = fitted(pa.table({"a": [1.0, 2.0], "city": ["x", "y"], "flag": [True, False]}))
    assert encoder.slices() == {"a": slice(0, 1), "city": slice(1, 3), "flag": slice(3, 4)}
    assert len(encoder.feature_names()) == encoder.width == 4


@pytest.mark.parametrize("numeric", ["standardize", "minmax", "normalize", "none"])
def test_few_rows_become_the_very_features_that_they_become_among_many(numeric):
    rng = np.random.default_rng(3)
    rows = 1_000
    holes = rng.random(rows) < 0.2
    table = pa.table(
        {
            "double": pa.array(rng.normal(50, 9, rows), mask=holes),
            "infinite": np.where(holes, np.inf, rng.normal(size=rows)),
            "whole": rng.integers(-9, 9, rows),
            "single": pa.array(rng.normal(size=rows).astype(np.float32)),
            "decimal": pa.array([Decimal(n).scaleb(-2) for n in range(rows)]),
            "constant": np.full(rows, 0.1),
            "flag": rng.random(rows) < 0.5,
            "text": [f"t{n % 3}" for n in range(rows)],
        }
    )
    encoder = fitted(table, numeric=numeric)
    among_many = encoder.transform(table)
    for size in (1, 7, 100):
        piece = slice(300, 300 + size)
        few = encoder.transform(table.slice(300, size))
        assert few.tobytes() == among_many[piece].tobytes()
        assert encoder.transform(table.slice(300, size).to_batches()[0]).tobytes() == few.tobytes()
