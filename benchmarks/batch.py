"""Batch scoring end to end, beside the bare model in memory, the naive script, Dask and Ray Data.

    python -m benchmarks.batch [--rows 1000000] [--rounds 5] [--formats parquet,csv] [--families MLP]
                               [--workers 2] [--rivals PYTHON] [--memory]

A whole embedded stack is started, a model of each family is trained over HTTP, the table (30 columns of float32) is
uploaded, and each round runs one batch_predict job that writes the prediction of each row, and right beside it
`Pipeline.predict` of a plain scikit-learn Pipeline on the same rows as one float32 array in memory. The worker with its
children is held to core 0, and so is the Pipeline in its turn. Figures are medians of the rounds, in seconds:

    bare      Pipeline.predict
    child     the process that reads local files, scores and writes local files
    attempt   from claim to commit as the job reports it: download, child, upload, manifest, commit
    job       from the POST to the answer that says `succeeded`
    store     moving the table out of the object store with plain boto3, which no attempt can be spared

CSV stands beside a loop that only parses the file with pyarrow, its types given. `--workers 2` starts two worker
processes, each with a core of its own: compare its attempts with those of one, both with `--shard-rows 125000`, as
a million rows are one shard otherwise (`benchmarks.scaling` does so for more). `--rivals` names a Python that has
the others, made for instance by

    python -m venv /tmp/rivals
    /tmp/rivals/bin/pip install pandas 'dask[dataframe]' 'ray[data]' scikit-learn==1.9.1 pyarrow joblib

They read and write local files and are spared the store. Memory is the peak of the child (the kernel's record), and
for the others that of the process and its children. `--memory` compares the child's peak for 1 and for
more million rows instead; see `benchmarks._batch.memory`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
from threadpoolctl import threadpool_limits

from benchmarks._batch import memory, rivals, service, tables
from benchmarks._batch.families import FAMILIES, Family
from benchmarks._batch.service import Scored, Service

MB = 1_000_000
LEAN = {"output": {"format": "parquet", "columns": "none", "probabilities": False}}
"""Just what `predict` gives, so that both sides make the same."""


def main() -> None:
    chosen = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="graft-bench-") as directory,
        service.running(Path(directory) / "data", chosen.workers) as graft,
    ):
        if chosen.memory:
            memory.compare(graft, Path(directory), chosen.formats, chosen.millions, chosen.columns)
        else:
            run(chosen, Path(directory), graft)


def run(chosen: argparse.Namespace, folder: Path, graft: Service) -> None:
    X = np.concatenate(list(tables.pieces(chosen.rows)))
    print(f"{chosen.rows:,} rows, {tables.FEATURES} float32 columns; {chosen.workers} worker(s); seconds")
    models = [prepared(graft, FAMILIES[name], folder) for name in chosen.families]
    for format in chosen.formats:
        path = tables.write(folder / f"table.{format}", format, chosen.rows)
        dataset = graft.dataset(path, format, "table")
        store = statistics.median(graft.fetch_seconds(dataset) for _ in range(chosen.rounds))
        print(
            f"\n{format}, {path.stat().st_size / MB:,.0f} MB, out of the store by plain boto3 in {store:.2f} s"
        )
        print(
            f"{'':<30}{'bare':>8}{'child':>8}{'attempt':>9}{'job':>8}{'bare/child':>12}{'bare/attempt':>14}{'MB':>7}"
        )
        for family, bare in models:
            body = {**LEAN, "shard_rows": chosen.shard_rows}
            graft.score(family.ref, dataset, chosen.rows, **body)  # once unmeasured: caches, first imports
            measured(graft, family, dataset, bare, X, chosen.rounds, body)
            if chosen.rivals and family.bare_rows is None:
                beside(chosen.rivals, path, bare, chosen)
        if format == "csv" and "scaler + linear" in chosen.families:
            parsing(graft, dataset, path, chosen)


def prepared(graft: Service, family: Family, folder: Path) -> tuple[Family, Path]:
    """Graft's model is trained and registered, the Pipeline lies in a joblib file."""
    training = service.as_parquet(tables.training_table(), folder / "training.parquet")
    model = graft.train(graft.dataset(training, "parquet", "training"), family.ref, family.estimator)
    joblib.dump(family.bare(model), folder / f"{family.ref}.joblib")
    return family, folder / f"{family.ref}.joblib"


def measured(
    graft: Service, family: Family, dataset: str, bare: Path, X: np.ndarray, rounds: int, body: dict[str, Any]
) -> None:
    pipeline = joblib.load(bare)
    few = X[: family.bare_rows]
    alone: list[float] = []
    jobs: list[Scored] = []
    for _ in range(rounds):
        with on_core_0():
            alone.append(timed(lambda: pipeline.predict(few)) * len(X) / len(few))
        jobs.append(graft.score(family.ref, dataset, len(X), **body))
    seconds = statistics.median(alone)
    child, attempt, job = (
        statistics.median(getattr(j, n) for j in jobs) for n in ("child", "attempt", "http")
    )
    peak = max(j.peak_bytes for j in jobs) / MB
    print(
        f"{family.name:<30}{seconds:8.3f}{child:8.3f}{attempt:9.3f}{job:8.3f}"
        f"{seconds / child:12.2f}{seconds / attempt:14.2f}{peak:7.0f}",
        flush=True,
    )


def beside(python: Path, table: Path, bare: Path, chosen: argparse.Namespace) -> None:
    for name in rivals.SCRIPTS:
        runs = [rivals.run(python, name, table, bare, chosen.rows) for _ in range(min(chosen.rounds, 3))]
        if done := [run for run in runs if run is not None]:
            seconds = statistics.median(run.seconds for run in done)
            peak = max(run.peak_bytes for run in done) / MB
            print(
                f"{'  beside it: ' + name:<30}{'':>8}{'':>8}{'':>9}{seconds:8.3f}{'':>26}{peak:7.0f}",
                flush=True,
            )


def parsing(graft: Service, dataset: str, path: Path, chosen: argparse.Namespace) -> None:
    """The child with the cheapest model beside a loop that parses and nothing else, in turn."""
    ref = FAMILIES["scaler + linear"].ref
    alone, ours = [], []
    for _ in range(chosen.rounds):
        with on_core_0():
            alone.append(timed(lambda: parse_csv(path)))
        ours.append(graft.score(ref, dataset, chosen.rows, **LEAN).child)
    parse, child = statistics.median(alone), statistics.median(ours)
    print(
        f"parsing alone {parse:.3f}, child with the linear model {child:.3f}: {parse / child:.2f} of the speed"
    )


def parse_csv(path: Path) -> None:
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=8 * 2**20),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(tables.NAMES, pa.float32())),
    )
    for _ in reader:
        pass


@contextmanager
def on_core_0() -> Iterator[None]:
    """This process as the worker has it: the same core, one thread."""
    process = psutil.Process()
    before = process.cpu_affinity()
    process.cpu_affinity([0])
    try:
        with threadpool_limits(1):
            yield
    finally:
        process.cpu_affinity(before)


def timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--formats", type=_several, default=["parquet", "csv"])
    parser.add_argument("--families", type=_several, default=list(FAMILIES))
    parser.add_argument("--workers", type=int, default=1, choices=range(1, (os.cpu_count() or 1) + 1))
    parser.add_argument("--shard-rows", type=int)
    parser.add_argument("--rivals", type=Path, metavar="PYTHON")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--millions", type=int, default=10, help="rows of the larger table of --memory")
    parser.add_argument("--columns", default="all", choices=["all", "none"], help="what --memory writes")
    return parser.parse_args()


def _several(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    main()
