"""Does a fine-tune leave anyone worse off? `auto` and every strategy on the fourteen shifts of `transfer_shifts`.

    python -m benchmarks.transfer [--source linear mlp] [--shifts …] [--sizes …] [--seeds 10] [--jobs 1] [--out DIR]

A run is one source, trained with Graft's defaults on the shift's source rows, and n target rows. It fits every
candidate out of fold and on all n rows, as `worker.learning.tuning` does, and predicts the target's test rows. What it
found is kept in DIR, so that a benchmark that was stopped goes on where it was; from it follow the score of each
strategy and of `auto`, by Graft's own selection and blend. Score: accuracy x 100; R² x 100, at least -100.

    cell         shift x n: means over seeds, `auto` less the better of source_only and scratch
    single run   the same for one seed

The oracle is the candidate that is best on the test rows. Everything is seeded; the same versions give the same table.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy import as_columns, as_table
from benchmarks.transfer_shifts import SHIFTS, SIZES, Shift, make
from benchmarks.transfer_table import print_tables
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--shifts", nargs="+", choices=SHIFTS, default=list(SHIFTS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "graft-bench-transfer")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    groups = list(itertools.product(asked.source, range(asked.seeds), asked.shifts))
    fit_all(groups, asked.sizes, asked.out, asked.jobs)
    for family in asked.source:
        runs = [
            Run(family, shift, rows, seed)
            for shift in asked.shifts
            for rows in asked.sizes
            for seed in range(asked.seeds)
        ]
        print_tables(family, {run: scores for run in runs if (scores := scored(run, asked.out)) is not None})


def fit_all(groups: Iterable[tuple[str, int, str]], sizes: Sequence[int], out: Path, jobs: int) -> None:
    """Every run that `out` does not hold yet; runs that share a source are done together."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(fit_group, family, seed, shift, sizes, out) for family, seed, shift in groups]
        for number, future in enumerate(as_completed(waiting), 1):
            print(f"\r{number} of {len(waiting)} sources: {future.result():<40}", end="", flush=True)
    print()


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
        fold, unseen, classes = kept["fold"], kept["unseen"], tuple(kept["classes"].tolist())
    transfer = transfer_like(run.family, regression=not classes)
    candidates = all_candidates(transfer)

    def achieved(strategy: str) -> float:
        wanted = [(item.strategy, item.parameters) for item in transfer.candidates(strategy)]
        chosen = [k for k, item in enumerate(candidates) if (item.strategy, item.parameters) in wanted]
        part = tuple(candidates[k] for k in chosen)
        if len(chosen) == 1:
            return score(test[chosen[0]], test_truth)
        members = weighed(OutOfFold(part, classes, truth, outputs[chosen], fold, unseen), strategy)
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


if __name__ == "__main__":
    main()
