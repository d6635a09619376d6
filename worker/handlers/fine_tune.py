"""Moves a trained model to a new labelled table, and says whether that helped.

Columns are aligned to the source by name; some target rows are held out; the strategy (under `auto` the
one that cross-validation on the other rows finds best, doing nothing and starting over included) makes the
model; and all of them are measured on the held-out rows. What is published is the model that was measured.
"""

from __future__ import annotations

from shared.contracts.specs import EvaluationSpec
from shared.errors import InternalError
from shared.modeling import Model, dump
from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import allowed_threads, fitting_hooks, one_blas_thread, read_table
from worker.handlers.source import open_model
from worker.handlers.train import ARTIFACT, describe
from worker.learning.estimators import Hooks
from worker.learning.report import transfer_report
from worker.learning.splitting import hold_out
from worker.learning.strategies import Transfer
from worker.learning.target import Target, align_target
from worker.learning.tuning import tune


def run(assignment: Assignment, context: Context) -> Outcome:
    """Fine-tune `assignment.model` on `assignment.tables["dataset"]`. Raises what `target` and
    `strategies` raise."""
    threads = allowed_threads()
    with one_blas_thread():
        return _tuned(assignment, threads, context)


def _tuned(assignment: Assignment, threads: int, context: Context) -> Outcome:
    if assignment.model is None:
        raise InternalError("the attempt was given no model")
    source, spec = open_model(assignment), assignment.spec
    seed = int(spec["seed"])
    target = _aligned(source, assignment, context)
    evaluation = EvaluationSpec.model_validate(spec.get("evaluation") or {})
    train, test = (target.data.take(rows) for rows in hold_out(target.data, evaluation, seed, context.warn))
    transfer = Transfer(source, seed, threads, target.absent)
    found = tune(
        transfer,
        spec.get("strategy") or "auto",
        train,
        hooks=fitting_hooks(context),
        on_fit=lambda completed, total: context.progress("comparing", completed, total, "fits"),
    )
    models = {
        "source_only": transfer.source_only(train, Hooks()),
        "scratch": transfer.scratch(train, Hooks()),
        "fine_tuned": found.model,
    }
    context.progress("evaluating", 0, 1, "steps")
    report = transfer_report(
        models,
        train,
        test,
        chosen=found.strategy,
        parameters=dict(found.parameters),
        candidates=found.candidates,
        columns=target.report,
        seed=seed,
    )
    published = models["fine_tuned"]
    artifact = assignment.workdir / ARTIFACT
    dump(published, artifact)
    context.progress("evaluating", 1, 1, "steps")
    version = describe(published, train, seed) | {
        "metrics": report["fine_tuned"],
        "n_test": test.rows,
        "parent": {"name": assignment.model.name, "version": assignment.model.version},
    }
    result = {
        "metrics": report["fine_tuned"],
        "report": report,
        "task": published.task,
        "n_train": train.rows,
        "n_test": test.rows,
    }
    return Outcome(result=result, artifact=artifact, version=version)


def _aligned(source: Model, assignment: Assignment, context: Context) -> Target:
    files = assignment.tables["dataset"]
    table = read_table(files, files.columns, context)
    context.progress("preparing", 0, 1, "steps")
    return align_target(source, table, files.columns, assignment.spec["target"], context.warn)
