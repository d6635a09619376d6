"""Says how a table differs from what a model was trained on, or from another table. Makes no version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.contracts.tables import Column
from shared.modeling import Model
from shared.modeling.columns import Table
from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import one_blas_thread
from worker.handlers.sampling import read_sample
from worker.handlers.source import model_file, open_model
from worker.handlers.source_table import source_rows
from worker.handlers.target_table import aligned_target
from worker.learning.data import Labelled, labelled
from worker.learning.shift import shift, unlabelled_shift
from worker.learning.target import Reference, Renames, align_columns, needed_columns

#: Rows of each side that are read; label shares and column tests are sharp to a point with so many.
MAX_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Side:
    """The side that is compared with. rows: labelled or not; None where they are gone. baseline, metrics: what a
    model's version keeps of them. about: {rows, of} of the sample, or why there are none."""

    reference: Reference
    rows: Labelled | Table | None
    about: dict[str, Any]
    model: Model | None = None
    baseline: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None


def run(assignment: Assignment, context: Context) -> Outcome:
    """Compare `assignment.tables["dataset"]` with the spec's `model`, or else with `assignment.tables["source"]`.
    Raises what `target` raises."""
    with one_blas_thread():
        side = _model_side(assignment, context) if assignment.models else _table_side(assignment, context)
        report = _compared(side, assignment, context)
    report["source_rows"] = side.about
    return Outcome(
        result={"report": report, "task": side.reference.task if assignment.spec["target"] else None}
    )


def _compared(side: Side, assignment: Assignment, context: Context) -> dict[str, Any]:
    spec, files = assignment.spec, assignment.tables["dataset"]
    seed, target = int(spec["seed"]), spec["target"]
    if target is not None:
        found = aligned_target(
            side.reference, assignment, target, context, least_classes=1, most_rows=MAX_ROWS
        )
        context.progress("comparing", 0, 1, "steps")
        rows = side.rows if isinstance(side.rows, Labelled) else None
        return shift(
            rows,
            found.data,
            side.model,
            side.baseline or {},
            seed=seed,
            columns=found.columns,
            source_metrics=side.metrics,
        )
    renames = Renames.of(spec)
    wanted = needed_columns(side.reference.types, files.columns, None, renames)
    table = read_sample(files, wanted, MAX_ROWS, seed, context)
    aligned = align_columns(side.reference, table, files.columns, None, context.warn, renames)
    context.progress("comparing", 0, 1, "steps")
    here = side.rows.table if isinstance(side.rows, Labelled) else side.rows
    return unlabelled_shift(
        here,
        aligned.table,
        aligned.features,
        side.model,
        side.baseline or {},
        seed=seed,
        columns=aligned.report,
    )


def _model_side(assignment: Assignment, context: Context) -> Side:
    file = model_file(assignment, assignment.spec["model"])
    model = open_model(file)
    found = source_rows(assignment, file, model, int(assignment.spec["seed"]), context)
    record = file.record
    return Side(Reference.of(model), found.train, found.report, model, record["baseline"], record["metrics"])


def _table_side(assignment: Assignment, context: Context) -> Side:
    spec, files = assignment.spec, assignment.tables["source"]
    target, seed = spec["target"], int(spec["seed"])
    schema = {"inputs": [_input(item) for item in files.columns if item.name != target]}
    renames = Renames.of(spec)
    common = {renames.column(item.name) for item in assignment.tables["dataset"].columns}
    features = [item for item in files.columns if item.name in common and item.name != target]
    read = [item for item in files.columns if item in features or item.name == target]
    table = read_sample(files, read, MAX_ROWS, seed, context)
    about = {"train": {"rows": table.num_rows, "of": files.rows}, "test": None, "reason": None}
    if target is None:
        return Side(Reference(schema, "regression"), table, about)
    names = [item.name for item in features]
    data = labelled(table, read, target, names, "auto", context.warn, least_classes=1)
    return Side(Reference(schema, data.task, data.classes), data, about)


def _input(item: Column) -> dict[str, Any]:
    return {"name": item.name, "type": item.type, "nullable": True}
