"""Reads an attempt's target table as its source's: the columns that are needed, aligned and renamed."""

from __future__ import annotations

from shared.modeling import Model
from worker.handlers.base import Assignment, Context
from worker.handlers.sampling import read_sample
from worker.learning.target import Reference, Renames, Target, align_target, needed_columns


def aligned_target(
    source: Model | Reference,
    assignment: Assignment,
    target: str,
    context: Context,
    *,
    least_classes: int = 2,
    most_rows: int | None = None,
) -> Target:
    """`assignment.tables["dataset"]` with the spec's renames, labels in the column `target`.

    Of more rows than `most_rows` a sample by the spec's seed is read. Raises what `align_target` raises.
    """
    reference = source if isinstance(source, Reference) else Reference.of(source)
    files, renames = assignment.tables["dataset"], Renames.of(assignment.spec)
    wanted = needed_columns(reference.types, files.columns, target, renames)
    most, seed = most_rows or files.rows, int(assignment.spec.get("seed", 0))
    table = read_sample(files, wanted, most, seed, context)
    context.progress("preparing", 0, 1, "steps")
    return align_target(
        reference, table, files.columns, target, context.warn, renames, least_classes=least_classes
    )
