"""Measures a model as it is on a labelled table. Makes no version."""

from __future__ import annotations

from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import one_blas_thread
from worker.handlers.source import model_file, open_model
from worker.handlers.target_table import aligned_target
from worker.learning.evaluation import answers_of, majority
from worker.learning.reliability import reliability


def run(assignment: Assignment, context: Context) -> Outcome:
    """Evaluate the spec's `model` on `assignment.tables["dataset"]`. Raises what `target` raises."""
    with one_blas_thread():
        return _evaluated(assignment, context)


def _evaluated(assignment: Assignment, context: Context) -> Outcome:
    model = open_model(model_file(assignment, assignment.spec["model"]))
    name = assignment.spec.get("target") or model.target
    target = aligned_target(model, assignment, name, context, least_classes=1)
    context.progress("evaluating", 0, 1, "steps")
    answers = answers_of(model, target.data)
    metrics = answers.metrics()
    context.progress("evaluating", 1, 1, "steps")
    report = {
        "metric": "accuracy" if model.task == "classification" else "r2",
        "majority": majority(target.data, target.data),
        "calibration": reliability(answers),
        "columns": target.columns,
        "labels": target.labels,
        "n_test": target.data.rows,
    }
    return Outcome(result={"metrics": metrics, "report": report, "task": model.task})
