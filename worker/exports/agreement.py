"""Does an export predict what the model predicts?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling import Model, Prediction
from worker.exports.plain import NotConvertible

#: Probabilities may differ by so much, amounts by so much of the target's spread.
TOLERANCE = 1e-3
#: Of so many rows the label may differ, each with its two likeliest labels within the tolerance.
_TIES = 0.01


def agree(
    model: Model,
    expected: Prediction,
    labels: npt.NDArray[Any],
    probabilities: npt.NDArray[Any] | None,
    classes: list[Any] | None,
) -> float:
    """The largest difference. Raises NotConvertible `disagrees` beyond the tolerance.

    classes: those of the export's probabilities, in its order.
    """
    if model.task == "regression":
        scale = float(np.std(expected.values)) or 1.0
        return _within(np.abs(labels.astype(float).ravel() - expected.values).max() / scale, "amounts")
    assert expected.probabilities is not None  # noqa: S101  a classifier gives them
    gap = 0.0
    if probabilities is not None and classes is not None:
        full = np.zeros_like(expected.probabilities)
        full[:, [list(model.classes).index(label) for label in classes]] = probabilities
        gap = _within(np.abs(full - expected.probabilities).max(), "probabilities")
    wrong = np.asarray([str(a) != str(b) for a, b in zip(labels.ravel(), expected.values, strict=True)])
    ranked = np.sort(expected.probabilities, axis=1)
    close = ranked[:, -1] - ranked[:, -2] <= TOLERANCE
    if (wrong & ~close).any() or wrong.mean() > _TIES:
        raise _disagrees(f"{int(wrong.sum())} of {len(wrong)} labels")
    return gap


def _within(gap: float, what: str) -> float:
    if not gap <= TOLERANCE:
        raise _disagrees(f"{what} by up to {gap:.2g}")
    return float(gap)


def _disagrees(how: str) -> NotConvertible:
    return NotConvertible(f"the export would not agree with the model: on sample rows they differ in {how}")
