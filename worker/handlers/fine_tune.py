"""Moves a trained model to a new labelled table, and says whether that helped.

Columns and labels are aligned to the source; the whole procedure (the strategy with its own comparisons) and its
baselines are measured on rows they have not seen; then what is published is fitted on all target rows, or, without
`refit`, is the model that was measured.
"""

from __future__ import annotations

from shared.contracts.specs import TransferEvaluation
from shared.modeling import dump
from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import allowed_threads, fitting_hooks, one_blas_thread
from worker.handlers.source import model_file, open_model
from worker.handlers.source_table import source_rows
from worker.handlers.target_table import aligned_target
from worker.handlers.train import ARTIFACT, describe
from worker.learning.assessment import Assessment, assess, planned
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.report import FineTune, transfer_report
from worker.learning.strategies import Transfer
from worker.learning.tuning import OnFit, Tuned, tune


def run(assignment: Assignment, context: Context) -> Outcome:
    """Fine-tune the spec's `base_model` on `assignment.tables["dataset"]`. Raises what `target`, `assessment` and
    `strategies` raise."""
    threads = allowed_threads()
    with one_blas_thread():
        return _tuned(assignment, threads, context)


def _tuned(assignment: Assignment, threads: int, context: Context) -> Outcome:
    spec = assignment.spec
    seed, strategy, refit = int(spec["seed"]), spec.get("strategy") or "auto", bool(spec.get("refit", True))
    file = model_file(assignment, spec["base_model"])
    source = open_model(file)
    target = aligned_target(source, assignment, spec["target"], context)
    rows = source_rows(assignment, file, source, seed, context)
    transfer = Transfer(source, seed, threads, target.absent, rows.train)
    evaluation = TransferEvaluation.model_validate(spec.get("evaluation") or {})
    plan = planned(target.data, evaluation, refit=refit, seed=seed, warn=context.warn)
    hooks = Hooks() if refit else fitting_hooks(context)
    assessed = assess(
        transfer, strategy, target.data, plan, hooks=hooks, on_fit=_counted("comparing", context)
    )
    published, fitted_on = _published(transfer, strategy, target.data, assessed, refit, context)
    artifact = assignment.workdir / ARTIFACT
    dump(published.model, artifact)
    report = transfer_report(
        FineTune(transfer, strategy, target, assessed, published, refit, file.record, rows.test, rows.report),
        lambda completed, total: context.progress("explaining", completed, total, "parts"),
    )
    version = describe(published.model, fitted_on, seed) | {
        "metrics": report["fine_tuned"],
        "n_test": report["n_test"],
        "parent": {"name": file.name, "version": file.version},
    }
    result = {
        "metrics": report["fine_tuned"],
        "report": report,
        "task": published.model.task,
        "n_train": report["n_train"],
        "n_test": report["n_test"],
    }
    return Outcome(result=result, artifact=artifact, version=version)


def _published(
    transfer: Transfer, strategy: str, data: Labelled, assessed: Assessment, refit: bool, context: Context
) -> tuple[Tuned, Labelled]:
    """The model to publish, and the rows it was fitted on."""
    if not refit:
        return assessed.last.tuned, data.take(assessed.plan.rounds[-1][0])
    on_fit = _counted("refitting", context)
    return tune(transfer, strategy, data, hooks=fitting_hooks(context), on_fit=on_fit), data


def _counted(phase: str, context: Context) -> OnFit:
    return lambda completed, total: context.progress(phase, completed, total, "fits")
