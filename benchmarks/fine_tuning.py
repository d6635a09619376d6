"""What one fine-tune under `auto` costs, whole: reading, nested evaluation, refit and report.

    python -m benchmarks.fine_tuning [--large]

The handler runs as a worker's child runs it, on files in a folder, one process a case. Small: 50 turned handwritten
digits of 64 pixels, from sources of 800 upright ones; the promise is 5 (linear) and 15 (network) seconds of a core.
`--large`: 100,000 target rows of 100 features, from a source of 1,000,000 of which samples are read; the promise is
4 GB. The baseline beside it is scratch: one fit of the source's estimator on the target. Peak memory is the kernel's
record.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from shared.contracts.specs import EstimatorSpec, EvaluationSpec, PreprocessingSpec, TransferEvaluation
from shared.contracts.tables import Column
from shared.modeling.columns import column_type
from worker.handlers import HANDLERS
from worker.handlers.base import Assignment, ModelFile, TableFiles
from worker.learning.data import labelled
from worker.learning.estimators import fit_model

LARGE_ROWS, LARGE_TARGET_ROWS, LARGE_FEATURES = 1_000_000, 100_000, 100


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    promise: str
    large: bool = False


SMALL = (
    Case("50 rows, linear source", "logistic_regression", "5 s"),
    Case("50 rows, network source", "neural_network", "15 s"),
    Case("50 rows, boosting source", "gradient_boosting", "none"),
)
LARGE = (
    Case("100,000 rows, linear source", "logistic_regression", "4 GB", large=True),
    Case("100,000 rows, network source", "neural_network", "4 GB", large=True),
)


class Silent:
    """A context that nobody listens to."""

    def progress(
        self, phase: str, completed: int, total: int | None, unit: str, **details: float
    ) -> None: ...

    def warn(self, message: str) -> None: ...

    def checkpoint(self, write: Any, completed: int, unit: str) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true")
    cases = LARGE if parser.parse_args().large else SMALL
    print("| case | CPU s | scratch alone, CPU s | peak GB | promise | verdict |\n|---|---|---|---|---|---|")
    for case in cases:
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=run, args=(case, theirs))
        process.start()
        theirs.close()
        print(ours.recv(), flush=True)
        process.join()


def run(case: Case, answer: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as directory, threadpool_limits(1):
        folder = Path(directory)
        source, target = _files(case, folder)
        model = _trained(case, source, folder)
        scratch = _scratch_seconds(case, target)
        spec = {
            "base_model": "source:1",
            "target": "label",
            "strategy": "auto",
            "evaluation": TransferEvaluation().model_dump(),
            "refit": True,
            "seed": 0,
        }
        work = Assignment(
            "job", "fine_tune", 1, spec, folder, {"dataset": target, "source": source}, {"source:1": model}
        )
        started = time.process_time()
        report = HANDLERS["fine_tune"](work, Silent()).result["report"]
        seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    cells = (case.name, f"{seconds:.1f}", f"{scratch:.2f}", f"{peak:.2f}", case.promise, report["verdict"])
    answer.send(f"| {' | '.join(cells)} |")


def _files(case: Case, folder: Path) -> tuple[TableFiles, TableFiles]:
    if case.large:
        return (
            _written(folder / "source", _made(LARGE_ROWS, 0)),
            _written(folder / "target", _made(LARGE_TARGET_ROWS, 1)),
        )
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order], y[order]
    turned = rotate(X[800:850].reshape(-1, 8, 8), 25, axes=(1, 2), reshape=False, order=1).reshape(50, 64)
    return _written(folder / "source", _table(X[:800], y[:800])), _written(
        folder / "target", _table(turned, y[800:850])
    )


def _made(rows: int, seed: int) -> pa.Table:
    """Five classes along random directions; the target's (seed 1) are moved."""
    centres = np.random.RandomState(9).normal(0, 0.3, (5, LARGE_FEATURES)).astype(np.float32)
    random = np.random.RandomState(seed)
    y = random.randint(0, 5, rows)
    X = random.standard_normal((rows, LARGE_FEATURES)).astype(np.float32) + centres[y] + 0.1 * seed
    return _table(X, y)


def _table(X: Any, y: Any) -> pa.Table:
    features = {f"x{number}": np.ascontiguousarray(X[:, number]) for number in range(X.shape[1])}
    return pa.table({**features, "label": y})


def _written(path: Path, table: pa.Table) -> TableFiles:
    pq.write_table(table, path)
    columns = tuple(
        Column(name=field.name, type=column_type(field.type) or "string", nulls=0) for field in table.schema
    )
    return TableFiles("parquet", (path,), columns, table.num_rows, "0" * 64, (path.name,))


def _trained(case: Case, source: TableFiles, folder: Path) -> ModelFile:
    spec = {
        "type": "train",
        "target": "label",
        "features": None,
        "task": "classification",
        "estimator": EstimatorSpec(kind=case.kind, epochs=3 if case.large else None).model_dump(),  # type: ignore[arg-type]
        "preprocessing": PreprocessingSpec().model_dump(),
        "evaluation": EvaluationSpec().model_dump(),
        "seed": 0,
    }
    place = folder / "training"
    place.mkdir()
    made = HANDLERS["train"](Assignment("job", "train", 1, spec, place, {"dataset": source}), Silent())
    assert made.artifact is not None
    digest = hashlib.sha256(made.artifact.read_bytes()).hexdigest()
    return ModelFile(made.artifact, digest, "source", 1, dict(made.version or {}), spec)


def _scratch_seconds(case: Case, target: TableFiles) -> float:
    table = pq.read_table(target.paths[0])
    data = labelled(table, target.columns, "label", None, "classification", lambda _: None)
    started = time.process_time()
    spec = EstimatorSpec(kind=case.kind, epochs=3 if case.large else None)  # type: ignore[arg-type]
    fit_model(data, spec, PreprocessingSpec(), 0)
    return time.process_time() - started


if __name__ == "__main__":
    main()
