"""Strategies that learn from the source's training rows beside the target's: augment and reweight.

Engine families fit a head on the source's features φ; trees are grown again on pooled or resampled rows. At most
MAX_SOURCE_ROWS source rows take part, drawn with the job's seed: they are there to steady a fit on few target rows,
and more of them steady it no further.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from shared.contracts.kinds import Loss
from shared.modeling.model import Model
from shared.modeling.network import Layer
from worker.learning.class_means import ClassStatistics, class_statistics
from worker.learning.data import Labelled
from worker.learning.encoded import Encoded
from worker.learning.evaluation import positions, union
from worker.learning.heads import fit_head
from worker.learning.losses import Array

MAX_SOURCE_ROWS = 1_000
#: A source row counts at most so many times the average one: beyond, a few rows would be the fit.
MAX_RATIO = 10.0
#: What a target row counts beside source rows of average weight.
TARGET_WEIGHT = 5.0


class SourceRows:
    """A sample of the source's training rows, and what is the same for every fit beside them."""

    def __init__(self, data: Labelled, seed: int) -> None:
        if data.rows > MAX_SOURCE_ROWS:
            data = data.take(np.random.RandomState(seed % 2**32).permutation(data.rows)[:MAX_SOURCE_ROWS])
        self.data = data
        self.seed = seed
        self._features: tuple[Array, Array] | None = None
        self._statistics: dict[bool, ClassStatistics] = {}

    def encoded(self, model: Model) -> tuple[Array, Array]:
        """(X, φ) of the rows under the source's own encoder and layers, which no fit changes."""
        if self._features is None:
            X = model.encoder.transform(self.data.table)
            self._features = X, model.estimator.hidden(X)
        return self._features

    def statistics(self, rows: Encoded, *, hidden: bool) -> ClassStatistics:
        """Of the rows under the source's own encoder and, if `hidden`, layers; the same for every fit."""
        if hidden not in self._statistics:
            X, features = self.encoded(rows.model(restandardize=False))
            y, known = rows.coded(self.data), len(rows.source.classes)
            kept = y < known
            self._statistics[hidden] = class_statistics((features if hidden else X)[kept], y[kept], known)
        return self._statistics[hidden]

    def augmented(self, rows: Encoded, loss: Loss, alpha: float) -> Layer:
        """EasyAdapt: φ once for both sides and once for each; the target's head is the shared one plus its own."""
        model = rows.model(restandardize=False)
        _, ours = self.encoded(model)
        theirs = rows.features(restandardize=False)
        width = ours.shape[1]
        both = np.zeros((len(ours) + len(theirs), 2 * (width + 1)))
        both[: len(ours), :width] = ours
        both[len(ours) :, :width] = theirs
        both[:, width] = 1.0
        both[len(ours) :, width + 1 :] = both[len(ours) :, : width + 1]
        head = model.estimator.head
        start = Layer(
            np.vstack([head.weights, head.bias, np.zeros((width + 1, head.weights.shape[1]))]), head.bias * 0
        )
        y = np.concatenate([rows.coded(self.data), rows.y])
        found = fit_head(both, y, loss, alpha, start=start, anchored=False)
        joint = found.weights[: width + 1] + found.weights[width + 1 :]
        return Layer(joint[:width], joint[width] + found.bias)

    def reweighted(self, rows: Encoded, loss: Loss, alpha: float) -> Layer:
        """Source rows by their density ratio, and the target's rows."""
        model = rows.model(restandardize=False)
        X, ours = self.encoded(model)
        ratio = density_ratio(X, rows.inputs(restandardize=False))
        both = np.vstack([ours, rows.features(restandardize=False)])
        weights = np.concatenate([ratio, np.full(rows.sample.rows, TARGET_WEIGHT)])
        y = np.concatenate([rows.coded(self.data), rows.y])
        return fit_head(both, y, loss, alpha, start=model.estimator.head, anchored=False, weights=weights)

    def pooled(self, rows: Encoded, *, reweight: bool) -> Labelled:
        """Source and target rows as one table; under `reweight` the source's drawn by their density ratio."""
        ours, theirs = self.data, rows.data
        if reweight:
            encoder = rows.source.encoder
            X, Z = encoder.transform(ours.table), encoder.transform(theirs.table)
            scale = np.maximum(X.std(axis=0), 1e-6)  # trees see unscaled numbers
            ratio = density_ratio(X / scale, Z / scale)
            drawn = np.random.RandomState(self.seed % 2**32).choice(
                ours.rows, ours.rows, p=ratio / ratio.sum()
            )
            ours = replace(ours, table=ours.table.take(pa.array(np.sort(drawn))), y=ours.y[np.sort(drawn)])
        return joined(ours, theirs)


def density_ratio(source: Array, target: Array) -> Array:
    """(n source rows,): how much denser the target is there, by a logistic domain classifier (Bickel, Brückner &
    Scheffer, JMLR 2009), clipped to MAX_RATIO and scaled to mean 1. Both sides weigh as the target has rows."""
    X = np.vstack([source, target])
    y = np.repeat([0, 1], [len(source), len(target)])
    weights = np.where(y == 1, 1.0, len(target) / len(source))
    blank = Layer(np.zeros((X.shape[1], 2), np.float32), np.zeros(2, np.float32))
    head = fit_head(X, y, "log_loss", 1.0, start=blank, anchored=False, weights=weights)
    decision = source @ head.weights + head.bias
    ratio = np.exp(np.clip(decision[:, 1] - decision[:, 0], -10.0, 10.0)).astype(np.float64)
    ratio = np.minimum(ratio / ratio.mean(), MAX_RATIO)
    return np.asarray(ratio / ratio.mean())


def joined(first: Labelled, second: Labelled) -> Labelled:
    """The rows of both, under the second's target name and the labels of both."""
    names = [item.name for item in second.features]
    parts = [part.table.select(names).cast(second.table.select(names).schema) for part in (first, second)]
    table = pa.concat_tables(
        [pa.Table.from_batches([p]) if isinstance(p, pa.RecordBatch) else p for p in parts]
    )
    if second.task == "regression":
        return replace(second, table=table, y=np.concatenate([first.y, second.y]))
    classes = union(first.classes, second.classes)
    y = np.concatenate([positions(part.classes, classes)[part.y] for part in (first, second)])
    return replace(second, table=table, classes=classes, y=y)
