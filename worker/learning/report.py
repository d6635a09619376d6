"""Did the transfer help? Every contestant on the same target rows, and what follows from that."""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.learning.assessment import Assessment
from worker.learning.evaluation import Answers
from worker.learning.significance import CONFIDENCE, Gain, accuracy_gain, r2_gain
from worker.learning.target import Target
from worker.learning.tuning import Tuned


def transfer_report(
    assessed: Assessment,
    published: Tuned,
    target: Target,
    source_rows: dict[str, Any],
    *,
    refit: bool,
    seed: int,
) -> dict[str, Any]:
    """`gain` is measured over the better of source_only and scratch, as the assessed rows show it, which is the
    harder of the two comparisons."""
    answers = assessed.answers
    metrics = {name: found.metrics() for name, found in answers.items()}
    metric = "accuracy" if target.data.task == "classification" else "r2"
    scores = {name: _score(found, metric) for name, found in metrics.items()}
    over = "source_only" if scores["source_only"] >= scores["scratch"] else "scratch"
    gain = _gain(answers["fine_tuned"], answers[over], seed)
    measured = assessed.plan.as_json()
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
        "verdict": gain.verdict(measured["n_test"]),
        "evaluation": measured | {"refitted": refit},
        "columns": target.columns,
        "labels": target.labels,
        "source_rows": source_rows,
        "forgetting": None,
        "n_train": measured["n_train"],
        "n_test": measured["n_test"],
    }


def _score(metrics: dict[str, Any], metric: str) -> float:
    value = metrics[metric]
    return -np.inf if value is None else float(value)


def _gain(ours: Answers, baseline: Answers, seed: int) -> Gain:
    if ours.probabilities is None:
        return r2_gain(ours.truth, ours.predicted, baseline.predicted, seed)
    return accuracy_gain(ours.correct, baseline.correct, seed)
