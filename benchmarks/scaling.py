"""How one batch grows with the number of workers, and what that asks of Redis and the store.

    python -m benchmarks.scaling [--rows 1000000] [--shard-rows 31250] [--workers 1 2 4 8] [--rounds 3]

An embedded stack with that many worker processes, each with one job slot and held to one core (in turn, where there
are fewer cores than workers: then they share, and only the cost of there being more of them shows). One
batch_predict job with gradient boosting (100 trees) over a Parquet table of 30 columns, in shards. Medians:

    job       seconds from the claim of the job to its commit
    rows/s    of that
    Redis     milliseconds of its CPU, commands and kilobytes in and out, for each shard
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import redis

from benchmarks._batch import service, tables
from benchmarks._batch.families import FAMILIES
from benchmarks._batch.service import Service

FAMILY = FAMILIES["gradient boosting"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shard-rows", type=int, default=31_250)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    shards = -(-asked.rows // asked.shard_rows)
    print(f"{asked.rows:,} rows in {shards} shards\n")
    print("| workers | job, s | rows/s | to one worker | Redis CPU, ms | commands | KB in | KB out |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    first = None
    for workers in asked.workers:
        seconds, used = measured(asked, workers)
        first = first or seconds
        each = [value / shards for value in used]
        print(
            f"| {workers} | {seconds:.2f} | {asked.rows / seconds:,.0f} | {first / seconds:.2f} "
            f"| {each[0]:.2f} | {each[1]:.0f} | {each[2]:.1f} | {each[3]:.1f} |",
            flush=True,
        )


def measured(asked: argparse.Namespace, workers: int) -> tuple[float, list[float]]:
    """Seconds of a job, and what Redis did meanwhile; medians."""
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as directory:
        folder = Path(directory)
        with service.running(folder / "data", workers) as graft:
            training = service.as_parquet(tables.training_table(), folder / "training.parquet")
            graft.train(graft.dataset(training, "parquet", "training"), FAMILY.ref, FAMILY.estimator)
            path = tables.write(folder / "table.parquet", "parquet", asked.rows)
            dataset = graft.dataset(path, "parquet", "table")
            runs = [one(graft, dataset, asked) for _ in range(asked.rounds)]
    return (
        statistics.median(seconds for seconds, _ in runs),
        [statistics.median(values) for values in zip(*(used for _, used in runs), strict=True)],
    )


def one(graft: Service, dataset: str, asked: argparse.Namespace) -> tuple[float, list[float]]:
    database = redis.Redis.from_url(graft.redis_url)
    before = counters(database)
    scored = graft.score(FAMILY.ref, dataset, asked.rows, shard_rows=asked.shard_rows)
    return scored.attempt, [after - start for start, after in zip(before, counters(database), strict=True)]


def counters(database: Any) -> list[float]:
    """CPU milliseconds, commands, kilobytes in and out since Redis was started."""
    info = database.info()
    return [
        1000 * (info["used_cpu_user"] + info["used_cpu_sys"]),
        info["total_commands_processed"],
        info["total_net_input_bytes"] / 1000,
        info["total_net_output_bytes"] / 1000,
    ]


if __name__ == "__main__":
    main()
