"""One run of the benchmark: fit every candidate, keep what they say, and score strategies by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy import as_columns, as_table
from benchmarks.transfer.grids import make
from benchmarks.transfer.shifts import Shift
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import Model
from shared.modeling.composite import sharpened
from worker.learning.data import Labelled, labelled
from worker.learning.estimators import Hooks, fit_model
from worker.learning.evaluation import positions
from worker.learning.selection import OutOfFold, out_of_fold
from worker.learning.strategies import Candidate, Transfer
from worker.learning.tuning import weighed

FAMILIES = {
    "linear": {"classification": "logistic_regression", "regression": "linear_regression"},
    "mlp": {"classification": "neural_network", "regression": "neural_network"},
}
STRATEGIES = ("continue", "l2_sp", "new_head", "stack", "augment", "reweight")


@dataclass(frozen=True)
class Run:
    family: str
    shift: str
    rows: int
    seed: int

    def file(self, folder: Path) -> Path:
        return folder / f"{self.family}-{self.shift}-{self.rows}-{self.seed}.npz"


def fit_group(family: str, seed: int, shift: str, sizes: Sequence[int], out: Path) -> str:
    with threadpool_limits(1):
        for rows in sizes:
            run = Run(family, shift, rows, seed)
            if not run.file(out).exists():
                fit_run(run, out)
    return f"{family} {shift} {seed}"


def fit_run(run: Run, out: Path) -> None:
    """Fit all candidates out of fold and on all rows; keep what they say about both. A pool that is too small for
    the run leaves an empty file."""
    shift = make(run.shift, run.seed)
    drawn = shift.sample(run.rows, run.seed)
    found: dict[str, Any] = {}
    if drawn is not None:
        source_rows = rows_of(shift.source, shift.task)
        transfer = Transfer(source_of(run.family, run.shift, run.seed), run.seed, source_rows=source_rows)
        train = rows_of(drawn, shift.task)
        candidates = all_candidates(transfer)
        compared = out_of_fold(transfer, candidates, train, lambda completed, total: None)
        encoded = transfer.encoded(train)
        models = [item.fit(encoded, Hooks()) for item in candidates]
        test, truth = _test_outputs(models, compared, shift)
        found = {
            "outputs": compared.outputs,
            "truth": compared.truth,
            "fold": compared.fold,
            "unseen": compared.unseen,
            "foreign": compared.foreign,
            "classes": np.array(compared.classes),
            "test": test,
            "test_truth": truth,
        }
    partial = run.file(out).with_suffix(".partial.npz")
    np.savez(partial, **found)
    partial.rename(run.file(out))


def scored(run: Run, out: Path) -> dict[str, float] | None:
    """The score of each strategy on the test rows, of `auto` and of the oracle."""
    with np.load(run.file(out)) as kept:
        if "test" not in kept:
            return None
        outputs, truth, test, test_truth = (kept[n] for n in ("outputs", "truth", "test", "test_truth"))
        fold, classes = kept["fold"], tuple(kept["classes"].tolist())
        unseen, foreign = kept["unseen"], kept["foreign"]
    transfer = transfer_like(run.family, regression=not classes)
    candidates = all_candidates(transfer)

    def achieved(strategy: str) -> float:
        wanted = [(item.strategy, item.parameters) for item in transfer.candidates(strategy)]
        chosen = [k for k, item in enumerate(candidates) if (item.strategy, item.parameters) in wanted]
        part = tuple(candidates[k] for k in chosen)
        if len(chosen) == 1:
            return score(test[chosen[0]], test_truth)
        members = weighed(OutOfFold(part, classes, truth, outputs[chosen], fold, unseen, foreign), strategy)
        said = (
            item.weight * (sharpened(test[k], item.sharpness) if classes else test[k])
            for k, item in zip(chosen, members, strict=True)
            if item.weight > 0
        )
        return score(sum(said), test_truth)

    found = {name: achieved(name) for name in ("source_only", "scratch", *STRATEGIES, "auto")}
    return found | {"oracle": max(score(said, test_truth) for said in test)}


def score(said: Any, truth: Any) -> float:
    """said: (n, classes) probabilities or (n,) amounts."""
    if said.ndim == 2:
        return 100 * float((said.argmax(axis=1) == truth).mean())
    spread = float(np.square(truth - truth.mean()).mean())
    return max(-100.0, 100 * (1 - float(np.square(said - truth).mean()) / spread))


def all_candidates(transfer: Transfer) -> list[Candidate]:
    """What auto compares, and what only the single strategies do."""
    found = list(transfer.candidates("auto"))
    names = {item.strategy for item in found}
    return found + [item for name in STRATEGIES if name not in names for item in transfer.candidates(name)]


@lru_cache
def transfer_like(family: str, *, regression: bool) -> Transfer:
    """Any transfer of that kind: all of them have the same candidates."""
    shift = "lin_drift" if regression else "bc_scale"
    made = make(shift, 0)
    return Transfer(source_of(family, shift, 0), 0, source_rows=rows_of(made.source, made.task))


@lru_cache(maxsize=2)
def source_of(family: str, shift: str, seed: int) -> Model:
    made = make(shift, seed)
    spec = EstimatorSpec.model_validate({"kind": FAMILIES[family][made.task]})
    return fit_model(rows_of(made.source, made.task), spec, PreprocessingSpec(), seed)


def rows_of(data: tuple[Any, Any], task: Any) -> Labelled:
    X, y = data
    return labelled(as_table(X, y), as_columns(X, task), "label", None, task, print)


def _test_outputs(models: Sequence[Model], compared: OutOfFold, shift: Shift) -> tuple[Any, Any]:
    """(candidates, n, classes) probabilities as float32 or (candidates, n) amounts, and the truth: codes (-1 for a
    label that nobody has seen) or amounts."""
    X, y = shift.test
    table, classes = as_table(X, y), compared.classes
    said = [model.predict(table) for model in models]
    if not classes:
        return np.stack([item.values for item in said]), y
    outputs = np.zeros((len(models), len(y), len(classes)), np.float32)
    for number, (model, item) in enumerate(zip(models, said, strict=True)):
        outputs[number][:, positions(model.classes, classes)] = item.probabilities
    place = {label: position for position, label in enumerate(classes)}
    return outputs, np.array([place.get(int(label), -1) for label in y])
