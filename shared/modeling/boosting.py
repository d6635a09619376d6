"""Histogram boosting over many rows at once: the same sums as scikit-learn's, to the last bit, 4 times faster.

scikit-learn walks each row down each tree, and waits at every split for a branch that no processor can foresee. Here a
block of rows meets every split of a tree: one vectorized comparison a split, and a choice between the leaf numbers
that its two sides have found, as one byte a row. With 31 leaves that is 30 passes over bytes in the cache. A tree of
very many leaves, or splits by category, are left to scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.modeling.network import Matrix, blocks

MAX_LEAVES = 64
#: A comparison of so many rows costs a few times what calling it costs, and all that is touched stays in the cache.
BLOCK_ROWS = 16_384

Leaves = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Split:
    """Rows with feature ≤ threshold go left. A side is another split, or the number of a leaf."""

    feature: int
    threshold: np.float32
    left: _Split | int
    right: _Split | int


@dataclass(frozen=True, slots=True)
class _Tree:
    root: _Split | int
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Boosting:
    """What a fitted HistGradientBoosting sums up; `rounds` holds a tuple of trees, one a column, for each iteration."""

    baseline: npt.NDArray[np.float64]
    rounds: tuple[tuple[_Tree, ...], ...]

    def raw(self, features: Matrix) -> npt.NDArray[np.float64]:
        """(features, rows), all finite → (rows, columns): what `_raw_predict` gives."""
        out = np.zeros((features.shape[1], self.baseline.shape[1]), np.float64, order="F")
        out += self.baseline
        for rows in blocks(features.shape[1], BLOCK_ROWS):
            block = _Block(features[:, rows])
            for trees in self.rounds:
                for place, tree in enumerate(trees):
                    block.add(tree, out[rows, place])
        return out


def boosting(estimator: Any) -> Boosting | None:
    """None for any other estimator, and for trees that are better left to scikit-learn.

    It reads attributes that scikit-learn does not promise: where they are not as expected the answer is None too.
    """
    if not type(estimator).__name__.startswith("HistGradientBoosting"):
        return None
    try:
        rounds = [[tree.nodes for tree in trees] for trees in estimator._predictors]
        baseline = np.asarray(estimator._baseline_prediction, np.float64).reshape(1, -1)
        nodes = [tree for trees in rounds for tree in trees]
        if any(tree["is_categorical"].any() or tree["is_leaf"].sum() > MAX_LEAVES for tree in nodes):
            return None
        return Boosting(baseline, tuple(tuple(_tree(tree) for tree in trees) for trees in rounds))
    except (AttributeError, ValueError, TypeError, LookupError):
        return None


def _tree(nodes: Any) -> _Tree:
    leaves = np.flatnonzero(nodes["is_leaf"])
    numbers = {int(node): number for number, node in enumerate(leaves)}

    def side(node: int) -> _Split | int:
        if node in numbers:
            return numbers[node]
        found = nodes[node]
        threshold = _below(float(found["num_threshold"]))
        return _Split(
            int(found["feature_idx"]), threshold, side(int(found["left"])), side(int(found["right"]))
        )

    return _Tree(side(0), np.asarray(nodes["value"][leaves], np.float64))


def _below(threshold: float) -> np.float32:
    """The largest float32 that is not above it: x ≤ one exactly where x ≤ the other, for every float32 x."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


class _Block:
    """Room to work in for one block of rows."""

    def __init__(self, features: Matrix) -> None:
        rows = features.shape[1]
        self._features: Sequence[npt.NDArray[np.float32]] = list(features)
        self._goes_left = np.empty(rows, np.bool_)
        self._mask = np.empty(rows, np.uint8)
        self._values = np.empty(rows, np.float64)
        self._spare: list[Leaves] = []

    def add(self, tree: _Tree, out: npt.NDArray[np.float64]) -> None:
        """Add the tree's value of each row to `out`."""
        if not isinstance(tree.root, _Split):
            out += tree.values[tree.root]
            return
        leaves = self._leaves(tree.root)
        tree.values.take(leaves, out=self._values, mode="clip")
        self._spare.append(leaves)
        out += self._values

    def _leaves(self, split: _Split) -> Leaves:
        """right ^ ((left ^ right) & mask), where the mask is all ones for rows that go left."""
        left, right = split.left, split.right
        lefts = self._leaves(left) if isinstance(left, _Split) else np.uint8(left)
        rights = self._leaves(right) if isinstance(right, _Split) else np.uint8(right)
        np.less_equal(self._features[split.feature], split.threshold, out=self._goes_left)
        mask = np.negative(self._goes_left.view(np.uint8), out=self._mask)
        out = next((side for side in (lefts, rights) if isinstance(side, np.ndarray)), None)
        if out is None:
            out = self._spare.pop() if self._spare else np.empty(len(mask), np.uint8)
            np.bitwise_and(mask, lefts ^ rights, out=out)
            return np.bitwise_xor(out, rights, out=out)
        if out is rights:  # the same choice the other way round
            np.invert(mask, out=mask)
            lefts, rights = rights, lefts
        np.bitwise_xor(lefts, rights, out=out)
        np.bitwise_and(out, mask, out=out)
        np.bitwise_xor(out, rights, out=out)
        if isinstance(rights, np.ndarray):
            self._spare.append(rights)
        return out
