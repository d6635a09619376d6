"""Moves a trained model to a new labelled table, and says whether that helped.

Columns are aligned to the source by name; some target rows are held out; the strategy (under `auto` the
one that cross-validation on the other rows finds best, doing nothing and starting over included) makes the
model; and all of them are measured on the held-out rows. What is published is the model that was measured.
"""

from __future__ import annotations

from typing import Any

from shared.contracts.specs import EvaluationSpec
from shared.errors import InternalError
from shared.modeling import Model, dump
from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import allowed_threads, fitting_hooks, one_blas_thread, read_table
from worker.handlers.source import open_model
from worker.handlers.train import ARTIFACT, describe
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.report import transfer_report
from worker.learning.selection import Scored, best, cross_validate
from worker.learning.splitting import hold_out
from worker.learning.strategies import Candidate, Transfer
from worker.learning.target import Target, align_target


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
    chosen, scored = _choose(transfer, spec.get("strategy") or "auto", train, context)
    models = _fitted(transfer, chosen, train, fitting_hooks(context))
    context.progress("evaluating", 0, 1, "steps")
    report = transfer_report(
        models,
        train,
        test,
        chosen=chosen.strategy,
        parameters=dict(chosen.parameters),
        candidates=scored,
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


def _choose(
    transfer: Transfer, strategy: str, train: Labelled, context: Context
) -> tuple[Candidate, list[Scored]]:
    candidates = transfer.candidates(strategy)
    if len(candidates) == 1:
        return candidates[0], []

    def count(completed: int, total: int) -> None:
        context.progress("comparing", completed, total, "fits")

    scored = cross_validate(candidates, train, transfer.seed, count)
    return best(scored).candidate, scored


def _fitted(transfer: Transfer, chosen: Candidate, train: Labelled, hooks: Hooks) -> dict[str, Any]:
    """The two baselines and the chosen one, which may be one of them. Its warnings are said; the
    baselines' are not."""
    models = {
        "source_only": transfer.source_only(train, Hooks()),
        "scratch": transfer.scratch(train, hooks if chosen.strategy == "scratch" else Hooks()),
    }
    return models | {"fine_tuned": models.get(chosen.strategy) or chosen.fit(train, hooks)}
