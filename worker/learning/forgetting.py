"""What the fine-tuned model has lost of what its source could do: both on held-out source rows."""

from __future__ import annotations

from typing import Any

from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.evaluation import evaluate
from worker.learning.scores import headline_metric, row_hits
from worker.learning.sentences import of_forgetting
from worker.learning.significance import CONFIDENCE, accuracy_gain, r2_gain

#: More rows than this tell no more (a standard error of at most 0.5 points) and take longer.
MAX_ROWS = 10_000


def forgetting(
    source: Model, tuned: Model, source_test: Labelled | None, *, seed: int = 0
) -> dict[str, Any] | None:
    """The source's metric on its own held-out rows before and after fine-tuning; None without such rows.

    `before`, `after`, `change` (negative: forgotten) are in the metric's units; `low` and `high` bound the change
    with a paired bootstrap, since both models saw the same rows. `metrics` has everything else of both.
    """
    if source_test is None or not source_test.rows:
        return None
    rows = source_test.sample(MAX_ROWS, seed)
    predictions = source.predict(rows.table), tuned.predict(rows.table)
    before, after = evaluate(source, rows, predictions[0]), evaluate(tuned, rows, predictions[1])
    metric = headline_metric(rows.task)
    if rows.task == "regression":
        change = r2_gain(rows.y, predictions[1].values, predictions[0].values, seed)
    else:
        hits = row_hits(source, rows, predictions[0]), row_hits(tuned, rows, predictions[1])
        change = accuracy_gain(hits[1], hits[0], seed)
    found: dict[str, Any] = {
        "metric": metric,
        "before": before[metric],
        "after": after[metric],
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "confidence": CONFIDENCE,
        "n_test": rows.rows,
        "sampled_from": source_test.rows if rows is not source_test else None,
        "metrics": {"before": before, "after": after},
    }
    return found | of_forgetting(found)
