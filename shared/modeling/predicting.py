"""Scoring many rows: the same predictions as `Model.predict`, computed the fast way where there is one.

    network behind a scaler   one pass, the scaling in its weights (`folding`)
    histogram boosting        a block of rows against each split (`boosting`)
    blends and stacks         of these
    everything else           `Model.predict`: a kernel's blocks or a forest's trees take nearly all of the time

Only what is asked for is computed: probabilities cost as much as a linear model's decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling.boosting import Boosting, boosting
from shared.modeling.columns import Table
from shared.modeling.composite import Blend, Stack
from shared.modeling.filling import Filler, Unfit, filler
from shared.modeling.folding import FoldedNetwork, folded
from shared.modeling.model import Model, Prediction
from shared.modeling.network import Matrix, Network

Predictor = Callable[[Table], Prediction]

#: Below so many rows scikit-learn's own walk through the trees is the faster one.
_FEW_ROWS = 2_048


def predictor(model: Model, *, probabilities: bool) -> Predictor:
    """`model.predict` for tables that `align` has prepared; labels and amounts equal, probabilities within 1e-5.

    Without `probabilities` a prediction may leave them out.
    """
    estimator = model.estimator
    if isinstance(estimator, Blend):
        parts = [predictor(member.model, probabilities=True) for member in estimator.members]
        return lambda table: model.from_composite(estimator.combined([part(table) for part in parts]))
    if isinstance(estimator, Stack):
        base = predictor(estimator.base, probabilities=True)
        return lambda table: model.from_composite(estimator.combined(base(table)))
    filling = filler(model.encoder)
    if filling is not None and isinstance(estimator, Network):
        if network := folded(estimator, filling):
            return _filled(model, filling, lambda X: _of_network(model, network, X, probabilities))
    elif filling is not None and (filling.scales == 1).all() and (trees := boosting(estimator)):
        return _filled(model, filling, lambda X: _of_boosting(model, trees, X), at_least=_FEW_ROWS)
    return model.predict


def _filled(
    model: Model, filling: Filler, fast: Callable[[Matrix], Prediction], *, at_least: int = 0
) -> Predictor:
    def predict(table: Table) -> Prediction:
        if table.num_rows < at_least:
            return model.predict(table)
        try:
            features = filling.features(table)
        except Unfit:
            return model.predict(table)
        return fast(features)

    return predict


def _of_network(model: Model, network: FoldedNetwork, X: Matrix, probabilities: bool) -> Prediction:
    decision = network.decision(X)
    if model.task == "regression":
        return Prediction(decision[0].astype(np.float64) * model.target_scale + model.target_mean)
    codes = _largest(decision)
    chances: Any = _softmax(decision, model.sharpness).T if probabilities else None
    return Prediction(model.labels(codes), codes, chances, decision.T)


def _of_boosting(model: Model, trees: Boosting, X: Matrix) -> Prediction:
    raw = trees.raw(X)
    if model.task == "regression":
        amounts = model.estimator._loss.link.inverse(raw.ravel())
        return Prediction(amounts * model.target_scale + model.target_mean)
    return model.from_trees(model.estimator._loss.predict_proba(raw))


def _largest(decision: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """For each column the row of its largest value, the first of equals."""
    if len(decision) == 2:
        return np.asarray(decision[1] > decision[0], np.int64)
    return np.asarray(decision.argmax(axis=0))


def _softmax(decision: npt.NDArray[np.float32], sharpness: float) -> npt.NDArray[np.float32]:
    """Column-wise softmax of sharpness · decision. In float32, whose error is far below 1e-5 and which is written."""
    scaled: npt.NDArray[np.float32] = decision - decision.max(axis=0)
    scaled *= np.float32(sharpness)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=0)
    return scaled
