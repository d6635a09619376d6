"""A network and the scaling before it as one: fewer passes over every cell, the same answers.

With features that are centred but not divided by their scale (`filling`), the division goes into the weights:

    W @ ((x - o) / s) + b  =  (W / s) @ (x - o₃₂) + (b + (W / s) @ (o₃₂ - o))

with o₃₂ the offset as float32 can hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling.filling import Filler
from shared.modeling.network import Layer, Matrix, Network, blocks


@dataclass(frozen=True, slots=True)
class FoldedNetwork:
    """Layers have weights (outputs, inputs) and a bias (outputs, 1); the last one is the head."""

    layers: tuple[Layer, ...]

    def decision(self, features: Matrix) -> Matrix:
        """(features, rows), centred → (outputs, rows): the head's raw outputs."""
        *hidden, head = self.layers
        out = np.empty((len(head.bias), features.shape[1]), np.float32)
        for rows in blocks(features.shape[1]):
            X = features[:, rows]
            for layer in hidden:
                X = layer.weights @ X
                X += layer.bias
                np.maximum(X, 0.0, out=X)
            np.matmul(head.weights, X, out=out[:, rows])
        out += head.bias
        return out


def folded(network: Network, filler: Filler) -> FoldedNetwork | None:
    """None where a kernel comes before the weights: distances have to be taken between scaled rows."""
    if network.feature_map is not None:
        return None
    first, *rest = (*network.layers, network.head)
    weights = first.weights.astype(np.float64) / filler.scales[:, None]
    bias = first.bias + (filler.offsets.astype(np.float32) - filler.offsets) @ weights
    return FoldedNetwork((_upright(weights, bias), *(_upright(layer.weights, layer.bias) for layer in rest)))


def _upright(weights: npt.NDArray[Any], bias: npt.NDArray[Any]) -> Layer:
    return Layer(np.ascontiguousarray(weights.T, np.float32), bias.astype(np.float32)[:, None])
