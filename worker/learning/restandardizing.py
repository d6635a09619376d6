"""Moves an encoder's scaling to the target: for columns whose unit, offset or spread has changed.

A few target rows are poor evidence of a mean, so the source's statistics count as PSEUDO_ROWS target rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shared.modeling.columns import Table, column, instants, numbers
from shared.modeling.encoder import DAY_SECONDS, Encoder, InputColumn, NumericColumn, TimeColumn
from worker.learning.preprocessing import mean_and_std

#: How many target rows the source's statistics are worth.
PSEUDO_ROWS = 10.0


def restandardized(encoder: Encoder, table: Table) -> Encoder:
    """The encoder with the means, spreads and ranges of its numeric and time columns shrunk from this table's to
    its own; columns without values keep theirs. The encoder itself where it scales no column."""
    return replace(encoder, columns=tuple(_moved(item, table, encoder) for item in encoder.columns))


def rescales(encoder: Encoder) -> bool:
    """Whether the encoder has a column that `restandardized` can move."""
    scales = encoder.numeric in ("standardize", "minmax")
    return any(
        isinstance(item, TimeColumn) or (scales and isinstance(item, NumericColumn))
        for item in encoder.columns
    )


def _moved(item: InputColumn, table: Table, encoder: Encoder) -> InputColumn:
    if isinstance(item, NumericColumn):
        found = numbers(column(table, item.name))
    elif isinstance(item, TimeColumn):
        found = instants(column(table, item.name)) / DAY_SECONDS
    else:
        return item
    found = found[~np.isnan(found)]
    if not len(found) or not item.std:
        return item  # no weight was ever learned on a column that was constant: leave it where it is
    share = len(found) / (len(found) + PSEUDO_ROWS)
    target_mean, target_std = mean_and_std(found)
    mean = _between(item.mean, target_mean, share)
    std = float(np.sqrt(_between(item.std**2, target_std**2, share)))
    if isinstance(item, TimeColumn):
        return replace(item, mean=mean, std=std)
    minimum = _between(item.minimum, float(found.min()), share)
    maximum = _between(item.maximum, float(found.max()), share)
    return replace(item, mean=mean, std=std, minimum=minimum, maximum=maximum)


def _between(source: float, target: float, share: float) -> float:
    return source + share * (target - source)
