"""Did the transfer help, and why? Every contestant on the same target rows, and what explains the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.learning import unshared_labels
from worker.learning.assessment import Assessment
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.evaluation import Answers
from worker.learning.explanation import explain
from worker.learning.forgetting import forgetting
from worker.learning.learning_curve import labels_needed
from worker.learning.scores import headline_metric
from worker.learning.selection import MAX_ROWS as COMPARED_ROWS
from worker.learning.sentences import of_report
from worker.learning.shift import shift
from worker.learning.significance import CONFIDENCE, Gain, accuracy_gain, r2_gain
from worker.learning.source_rows import MAX_SOURCE_ROWS
from worker.learning.strategies import Candidate, Transfer
from worker.learning.target import Target
from worker.learning.tuning import Tuned

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FineTune:
    """A finished fine-tune, as the report looks at it.

    published was fitted on all target rows if `refit`, else it is the one that was assessed. record: what the registry
    keeps of the source. source_test: rows the source has never seen; about_source: how many, or why there are none.
    """

    transfer: Transfer
    strategy: str
    target: Target
    assessed: Assessment
    published: Tuned
    refit: bool
    record: Mapping[str, Any]
    source_test: Labelled | None
    about_source: Mapping[str, Any]


def transfer_report(found: FineTune, on_step: OnStep) -> dict[str, Any]:
    """All of DESIGN §6 as JSON. `on_step(completed, total)` counts its parts."""
    source, published, seed = found.transfer.source, found.published.model, found.transfer.seed
    report = measured(found)
    parts: dict[str, Callable[[], Any]] = {
        "shift": lambda: _shift(found),
        "forgetting": lambda: forgetting(source, published, found.source_test, seed=seed),
        "explanation": lambda: explain(source, published, _explained_rows(found), seed=seed),
        "labels_needed": lambda: _labels_needed(found, report["source_only"][report["metric"]]),
    }
    for number, (name, made) in enumerate(parts.items()):
        on_step(number, len(parts))
        report[name] = made()
    on_step(len(parts), len(parts))
    report |= {"source_rows": dict(found.about_source), "summary": of_report(report)}
    return unshared_labels.retold(report) if found.target.shares_no_label else report


def measured(found: FineTune) -> dict[str, Any]:
    """What was measured on target rows. `gain` is over the better of source_only and scratch, as those rows show it,
    which is the harder of the two comparisons."""
    answers, published = found.assessed.answers, found.published
    metrics = {name: said.metrics() for name, said in answers.items()}
    metric = headline_metric(found.target.data.task)
    scores = {name: _score(values, metric) for name, values in metrics.items()}
    over = "source_only" if scores["source_only"] >= scores["scratch"] else "scratch"
    gain = _gain(answers["fine_tuned"], answers[over], found.transfer.seed)
    evaluation = found.assessed.plan.as_json() | {"refitted": found.refit}
    return {
        **metrics,
        "strategy": published.strategy,
        "parameters": dict(published.parameters),
        "candidates": [item.as_json() for item in published.candidates],
        "metric": metric,
        "gain": {
            "value": gain.value,
            "over": over,
            "low": gain.low,
            "high": gain.high,
            "confidence": CONFIDENCE,
        },
        "verdict": gain.verdict(evaluation["n_test"]),
        "evaluation": evaluation,
        "sampling": _sampling(found),
        "columns": found.target.columns,
        "labels": found.target.labels,
        "n_train": evaluation["n_train"],
        "n_test": evaluation["n_test"],
    }


def _sampling(found: FineTune) -> dict[str, int | None]:
    """How many rows took part in the published model, where the methods allow for fewer than all: in comparing
    candidates, in fitting a head, and of the source (null where its rows are not there)."""
    data, source_rows = found.target.data, found.transfer.source_rows
    return {
        "target_rows": data.rows,
        "compared_rows": min(data.rows, COMPARED_ROWS),
        "head_rows": found.transfer.encoded(data).sample.rows,
        "source_rows": None if source_rows is None else min(source_rows.rows, MAX_SOURCE_ROWS),
    }


def _score(metrics: Mapping[str, Any], metric: str) -> float:
    value = metrics[metric]
    return -np.inf if value is None else float(value)


def _gain(ours: Answers, baseline: Answers, seed: int) -> Gain:
    if ours.probabilities is None:
        return r2_gain(ours.truth, ours.predicted, baseline.predicted, seed)
    return accuracy_gain(ours.correct, baseline.correct, seed)


def _shift(found: FineTune) -> dict[str, Any]:
    """Of all target rows to the source's training rows."""
    transfer, record = found.transfer, found.record
    report = shift(
        transfer.source_rows,
        found.target.data,
        transfer.source,
        record.get("baseline") or {},
        seed=transfer.seed,
        columns=found.target.columns,
        source_metrics=record.get("metrics"),
    )
    read = found.about_source["train"]
    if read is not None:
        report["rows"]["source_total"] = read["of"]
    return report


def _explained_rows(found: FineTune) -> Labelled:
    """What a model goes by can be seen on any rows, best on those it has not seen."""
    return found.target.data if found.refit else found.target.data.take(found.assessed.plan.rounds[-1][1])


def _labels_needed(found: FineTune, source_score: float | None) -> dict[str, Any]:
    data, plan = found.target.data, found.assessed.plan

    candidate = _growing(found)
    train, test = (data, None)
    if plan.method == "holdout":
        train, test = (data.take(rows) for rows in plan.rounds[0])
    curve = labels_needed(
        lambda rows: candidate.fit(found.transfer.encoded(rows), Hooks()),
        train,
        test,
        source_score=source_score,
        seed=found.transfer.seed,
    )
    return curve | {"strategy": candidate.strategy, "parameters": dict(candidate.parameters)}


def _growing(found: FineTune) -> Candidate:
    """Whose score is followed as labels grow: the heaviest candidate that uses labels at all. A dozen whole comparisons
    would take longer than the fine-tune."""
    learning = [item for item in found.published.candidates if item.candidate.strategy != "source_only"]
    if not learning:
        return found.transfer.candidates(found.strategy)[0]
    return max(learning, key=lambda item: (item.weight, item.score)).candidate
