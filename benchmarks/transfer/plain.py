"""Against networks that are not Graft's: what its `auto` gains over scikit-learn's own MLP as source and from scratch.

    python -m benchmarks.transfer.plain [--seeds 10] [--out DIR]

The baselines that decide the gain in `benchmarks.transfer` are Graft's own, as a report compares with them. These here
are what a user would otherwise have: StandardScaler and MLPClassifier or MLPRegressor, 64 units, batches of 32 rows.
Needs the runs that `python -m benchmarks.transfer --source mlp` has left in DIR, and takes some minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.transfer.grids import GRIDS, SIZES, make
from benchmarks.transfer.runs import Run, scored
from benchmarks.transfer.shifts import Shift
from benchmarks.transfer.table import print_tables

BATCH_ROWS = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "graft-bench-transfer")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = {}
    with threadpool_limits(1):
        for name in GRIDS["public"]:
            for seed in range(asked.seeds):
                shift = make(name, seed)
                source_only = _score(_fitted(shift, shift.source, seed), shift)
                for rows in SIZES:
                    run = Run("mlp", name, rows, seed)
                    ours = scored(run, asked.out)
                    drawn = shift.sample(rows, seed)
                    if ours is None or drawn is None:
                        continue
                    scratch = _score(_fitted(shift, drawn, seed), shift)
                    found[run] = {**ours, "source_only": source_only, "scratch": scratch}
    print_tables("mlp", found)


def _fitted(shift: Shift, data: tuple[Any, Any], seed: int) -> Any:
    X, y = data
    options: dict[str, Any] = {
        "hidden_layer_sizes": (64,),
        "batch_size": min(BATCH_ROWS, len(X)),
        "random_state": seed,
    }
    if shift.task == "classification":
        return make_pipeline(StandardScaler(), MLPClassifier(**options)).fit(X, y)
    network = make_pipeline(StandardScaler(), MLPRegressor(**options))
    return TransformedTargetRegressor(network, transformer=StandardScaler()).fit(X, y)


def _score(model: Any, shift: Shift) -> float:
    return max(-100.0, 100 * float(model.score(*shift.test)))


if __name__ == "__main__":
    main()
