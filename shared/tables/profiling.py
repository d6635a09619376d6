"""Profiling: one pass over a whole file that checks everything and learns its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.tables.contracts import Limits, Profile
from shared.tables.csv_reader import profile_csv
from shared.tables.jsonl_profile import profile_jsonl
from shared.tables.parquet_reader import profile_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from shared.contracts.tables import Format


def profile(
    path: Path,
    format: Format,
    limits: Limits = Limits(),  # noqa: B008
    *,
    lenient: bool = False,
) -> Profile:
    """Read the whole file once, in constant memory, and say what is in it.

    Types are inferred over all rows, so a later `read` with these columns cannot fail on a type. `nulls`
    counts missing cells; NaN in a Parquet column is one. Raises InvalidInput with one of the codes in
    `shared.tables`; the message names the place. `lenient` counts the rows that `read_rows` would list as
    bad, and infers the types from the others.
    """
    match format:
        case "csv":
            return profile_csv(path, limits, lenient=lenient)
        case "parquet":
            return profile_parquet(path, limits)
        case "jsonl":
            return profile_jsonl(path, limits, lenient=lenient)
