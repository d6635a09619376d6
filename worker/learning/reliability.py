"""Do a classifier's probabilities mean what they say? A reliability diagram as numbers.

Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): rows are put into bins by the probability of
the label that was predicted; in an honest model that is also the share of rows that are right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.learning.evaluation import Answers

BINS = 10


def reliability(answers: Answers) -> dict[str, Any] | None:
    """{expected_calibration_error, bins: [{low, high, rows, confidence, accuracy}]}; None in a regression.

    The error is the mean distance of confidence and accuracy, weighted by rows; empty bins are left out.
    """
    if answers.probabilities is None:
        return None
    confidence = answers.probabilities.max(axis=1)
    number = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    bins = []
    for place in np.unique(number):
        inside = number == place
        bins.append(
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "rows": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(answers.correct[inside].mean()),
            }
        )
    error = sum(item["rows"] * abs(item["confidence"] - item["accuracy"]) for item in bins)
    return {"expected_calibration_error": float(error / len(confidence)), "bins": bins}
