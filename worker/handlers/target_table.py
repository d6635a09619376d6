"""Reads an attempt's target table as its source model's: the columns that are needed, aligned and renamed."""

from __future__ import annotations

from shared.modeling import Model
from worker.handlers.base import Assignment, Context
from worker.handlers.reporting import read_table
from worker.learning.target import Renames, Target, align_target, needed_columns


def aligned_target(
    source: Model, assignment: Assignment, target: str, context: Context, *, least_classes: int = 2
) -> Target:
    """`assignment.tables["dataset"]` with the spec's renames, labels in the column `target`. Raises what
    `align_target` raises."""
    files, renames = assignment.tables["dataset"], Renames.of(assignment.spec)
    table = read_table(files, needed_columns(source, files.columns, target, renames), context)
    context.progress("preparing", 0, 1, "steps")
    return align_target(
        source, table, files.columns, target, context.warn, renames, least_classes=least_classes
    )
