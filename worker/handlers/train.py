"""Fits a model on one labelled table, and measures it on rows that it has not seen.

The published model is the very one that was measured: fitted on the training rows, never refitted on all
of them, so that its metrics belong to its bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.contracts.specs import EstimatorSpec, EvaluationSpec, PreprocessingSpec
from shared.contracts.tables import Column
from shared.modeling import Model, contents, dump
from worker.handlers.base import Assignment, Context, Outcome
from worker.handlers.reporting import (
    allowed_threads,
    checkpointing,
    fitting_hooks,
    library_versions,
    one_blas_thread,
    read_table,
    resumed_state,
)
from worker.learning.baseline import baseline
from worker.learning.data import Labelled, labelled
from worker.learning.estimators import fit_model
from worker.learning.evaluation import evaluate, majority
from worker.learning.splitting import hold_out

ARTIFACT = "model.joblib"


def run(assignment: Assignment, context: Context) -> Outcome:
    """Train on `assignment.tables["dataset"]`. Raises what `data`, `splitting` and `estimators` raise."""
    threads = allowed_threads()
    with one_blas_thread():
        return _trained(assignment, threads, context)


def _trained(assignment: Assignment, threads: int, context: Context) -> Outcome:
    spec = assignment.spec
    seed = int(spec["seed"])
    train, test = _split(assignment, seed, context)
    model = fit_model(
        train,
        EstimatorSpec.model_validate(spec["estimator"]),
        PreprocessingSpec.model_validate(spec["preprocessing"]),
        seed,
        threads=threads,
        hooks=replace(fitting_hooks(context), on_state=checkpointing(context)),
        state=resumed_state(assignment),
    )
    context.progress("evaluating", 0, 1, "steps")
    metrics = evaluate(model, test)
    described = describe(model, train, seed) | {"metrics": metrics, "n_test": test.rows, "parent": None}
    artifact = assignment.workdir / ARTIFACT
    dump(model, artifact)
    context.progress("evaluating", 1, 1, "steps")
    result = {
        "metrics": metrics,
        "majority": majority(train, test),
        "task": model.task,
        "n_train": train.rows,
        "n_test": test.rows,
    }
    return Outcome(result=result, artifact=artifact, version=described)


def describe(model: Model, train: Labelled, seed: int) -> dict[str, Any]:
    """What the registry keeps with a version, without its metrics."""
    return {
        "task": model.task,
        "estimator": dict(model.fitted_as),
        "preprocessing": dict(model.preprocessing_spec),
        "features": [item.name for item in model.encoder.columns],
        "target": model.target,
        "schema": model.schema(),
        "baseline": baseline(train),
        "library_versions": library_versions(),
        "artifact": contents(model),
        "seed": seed,
        "n_train": train.rows,
    }


def _split(assignment: Assignment, seed: int, context: Context) -> tuple[Labelled, Labelled]:
    spec, files = assignment.spec, assignment.tables["dataset"]
    features = spec.get("features")
    wanted = used_columns(files.columns, spec["target"], features)
    table = read_table(files, wanted, context)
    context.progress("preparing", 0, 1, "steps")
    data = labelled(table, wanted, spec["target"], features, spec.get("task", "auto"), context.warn)
    evaluation = EvaluationSpec.model_validate(spec.get("evaluation") or {})
    rows, held = hold_out(data, evaluation, seed, context.warn)
    return data.take(rows), data.take(held)


def used_columns(columns: tuple[Column, ...], target: str, features: list[str] | None) -> tuple[Column, ...]:
    """The columns that have to be read at all."""
    if features is None:
        return columns
    names = {target, *features}
    return tuple(item for item in columns if item.name in names)
