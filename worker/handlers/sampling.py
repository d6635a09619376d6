"""Reads some rows of a table of any size: batch by batch, so that memory holds the sample and one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.contracts.tables import Column
from shared.modeling.columns import Table
from shared.tables import read
from worker.handlers.base import Context, TableFiles
from worker.handlers.reporting import read_table


def read_sample(
    files: TableFiles, columns: Sequence[Column], most: int, seed: int, context: Context
) -> Table:
    """These columns of at most `most` rows, drawn by the seed, in the table's order."""
    if files.rows <= most:
        return read_table(files, columns, context)
    drawn = np.random.RandomState(seed % 2**32).permutation(files.rows)[:most]
    return read_rows(files, columns, np.sort(drawn), context)


def read_rows(
    files: TableFiles, columns: Sequence[Column], rows: npt.NDArray[np.int64], context: Context
) -> Table:
    """These columns of these rows: sorted numbers, counted from 0 over all files."""
    parts, start = [], 0
    for path in files.paths:
        for batch in read(path, files.format, columns):
            first, last = np.searchsorted(rows, [start, start + batch.num_rows])
            parts.append(pa.Table.from_batches([batch.take(pa.array(rows[first:last] - start))]))
            start += batch.num_rows
            context.progress("reading", start, files.rows, "rows")
    return pa.concat_tables(parts, promote_options="permissive")
