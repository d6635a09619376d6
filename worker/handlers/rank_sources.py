"""Ranks registered models by how well they would serve a labelled table. Makes no version.

Which models there are was settled when the job was accepted; which of them fit is told from their records, from
their artifacts, and from the rows, in that order. Each that is left out is listed with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.contracts.specs import TransferEvaluation
from shared.contracts.tables import Column
from shared.errors import GraftError, InvalidInput
from shared.modeling.columns import Table, column
from worker.handlers.base import Assignment, Context, ModelFile, Outcome
from worker.handlers.reporting import allowed_threads, one_blas_thread
from worker.handlers.sampling import read_sample
from worker.handlers.source import open_model
from worker.learning.assessment import planned
from worker.learning.data import resolve_task
from worker.learning.ranking import Source, ranked, ranking
from worker.learning.strategies import Transfer
from worker.learning.target import align_target

#: Target rows that models are compared on; differences of two points show with so many.
MAX_ROWS = 2_000
#: Of a model's columns the table must have at least this share.
LEAST_COLUMNS = 0.5


def run(assignment: Assignment, context: Context) -> Outcome:
    """Rank `assignment.models` on `assignment.tables["dataset"]`. Raises InvalidInput `no_fitting_model`, and what
    `assessment` raises."""
    threads = allowed_threads()
    with one_blas_thread():
        return _ranked(assignment, threads, context)


def _ranked(assignment: Assignment, threads: int, context: Context) -> Outcome:
    spec, files = assignment.spec, assignment.tables["dataset"]
    seed, target = int(spec["seed"]), spec["target"]
    left_out = [{"model": ref, "reason": reason} for ref, reason in assignment.unusable.items()]
    if not assignment.models:
        raise _none_fits(left_out)
    wanted = _wanted(assignment.models, files.columns, target)
    table = read_sample(files, wanted, MAX_ROWS, seed, context)
    task = _task(spec, assignment.models, table, files.columns)
    sources: list[Source] = []
    for number, (ref, file) in enumerate(assignment.models.items()):
        context.progress("opening", number, len(assignment.models), "models")
        try:
            _check(file, spec, task, files.columns)
            sources.append(_source(file, table, files.columns, target, seed, threads))
        except GraftError as error:
            left_out.append({"model": ref, "reason": error.message})
    if not sources:
        raise _none_fits(left_out)
    data = sources[0].target.data
    plan = planned(
        data, TransferEvaluation(method="cross_validation"), refit=True, seed=seed, warn=context.warn
    )
    standings = ranked(
        sources,
        plan,
        int(spec["limit"]),
        lambda done, total: context.progress("comparing", done, total, "models"),
    )
    report = ranking(standings, plan, seed) | {
        "left_out": left_out,
        "rows": {"used": data.rows, "of": files.rows},
    }
    return Outcome(result={"report": report, "task": task})


def _none_fits(left_out: Sequence[Mapping[str, str]]) -> InvalidInput:
    reasons = "; ".join(f"{item['model']}: {item['reason']}" for item in left_out[:5])
    return InvalidInput(f"no model fits the dataset ({reasons})", code="no_fitting_model")


def _wanted(models: Mapping[str, ModelFile], columns: tuple[Column, ...], target: str) -> tuple[Column, ...]:
    """The columns that any of the models has use for."""
    names = {target}.union(*(_inputs(file) for file in models.values()))
    return tuple(item for item in columns if item.name in names)


def _inputs(file: ModelFile) -> set[str]:
    return {item["name"] for item in file.record["schema"]["inputs"]}


def _task(
    spec: Mapping[str, Any], models: Mapping[str, ModelFile], table: Table, columns: tuple[Column, ...]
) -> str:
    """As asked for; else that of all the models, if it is one; else what the values look like."""
    if spec["task"] != "auto":
        return str(spec["task"])
    tasks = {file.record["task"] for file in models.values()}
    kind = next(item.type for item in columns if item.name == spec["target"])
    if len(tasks) == 1 and not (tasks == {"regression"} and kind in ("string", "boolean")):
        return str(tasks.pop())
    return resolve_task(column(table, spec["target"]), kind)


def _check(file: ModelFile, spec: Mapping[str, Any], task: str, columns: tuple[Column, ...]) -> None:
    """What a model's record tells without opening it."""
    if file.record["task"] != task:
        raise InvalidInput(f"it does {file.record['task']}, and the target needs {task}")
    if file.record["dataset"] == spec["dataset"]:
        raise InvalidInput("it was trained on this very dataset, so its score there says nothing")
    inputs = _inputs(file)
    shared = inputs & {item.name for item in columns if item.name != spec["target"]}
    if len(shared) < max(1.0, LEAST_COLUMNS * len(inputs)):
        raise InvalidInput(f"the dataset has {len(shared)} of its {len(inputs)} columns")


def _source(
    file: ModelFile, table: Table, columns: tuple[Column, ...], target: str, seed: int, threads: int
) -> Source:
    model = open_model(file)
    aligned = align_target(model, table, columns, target, lambda _: None)
    transfer = Transfer(model, seed, threads, aligned.absent)
    return Source(file.name, file.version, transfer, aligned)
