"""Rows that look like the training rows, made from what a version's baseline keeps of each column.

Numbers between and beyond the training quantiles, texts known and unseen, and missing cells where the model imputes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shared.modeling import Model
from shared.modeling.columns import ARROW_TYPES
from shared.modeling.encoder import BooleanColumn, CategoryColumn

ROWS = 400
_MISSING_SHARE = 0.05


def samples(model: Model, baseline: Mapping[str, Any], *, missing_texts: bool = True) -> pa.Table:
    """ROWS rows of the model's columns; always the same ones. Columns of dates and times are null."""
    random = np.random.RandomState(0)
    arrays, names = [], []
    for item in model.encoder.columns:
        names.append(item.name)
        described = (baseline.get("columns") or {}).get(item.name) or {}
        values: list[Any]
        if isinstance(item, CategoryColumn):
            values = list(random.choice([*item.categories, "a text that nobody has seen"], ROWS))
            values = [str(value) for value in values]
        elif isinstance(item, BooleanColumn):
            values = [bool(value) for value in random.rand(ROWS) < 0.5]
        else:
            values = [float(value) for value in _numbers(described, random)]
        if model.encoder.missing == "impute" and (missing_texts or not isinstance(item, CategoryColumn)):
            values = [
                None if gone else value
                for value, gone in zip(values, random.rand(ROWS) < _MISSING_SHARE, strict=True)
            ]
        kind = "number" if item.type == "integer" else item.type
        arrays.append(pa.array(values, ARROW_TYPES[kind]))
    return pa.table(arrays, names=names)


def as_matrix(table: pa.Table) -> Any:
    """What the plain pipeline takes: float64 if there is no text, else object with None for missing texts."""
    columns = [column.to_pylist() for column in table.columns]
    if not any(pa.types.is_string(field.type) for field in table.schema):
        numbers = [[np.nan if value is None else float(value) for value in column] for column in columns]
        return np.array(numbers, np.float64).T
    out = np.empty((table.num_rows, table.num_columns), object)
    for place, (field, column) in enumerate(zip(table.schema, columns, strict=True)):
        text = pa.types.is_string(field.type)
        out[:, place] = column if text else [np.nan if v is None else float(v) for v in column]
    return out


def _numbers(described: Mapping[str, Any], random: np.random.RandomState) -> Any:
    quantiles = described.get("quantiles") or [0.0, 1.0]
    spread = float(quantiles[-1] - quantiles[0]) or 1.0
    inside = np.interp(random.rand(ROWS), np.linspace(0, 1, len(quantiles)), quantiles)
    beyond = random.rand(ROWS) < 0.05
    return np.where(beyond, inside + random.normal(0, spread, ROWS), inside)
