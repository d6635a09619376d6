"""What the shards of one job cost Redis: memory, and the time of the scripts that touch all of them.

    python -m benchmarks.shards [--shards 100 1000 4000] [--rounds 3]

A Redis of its own, spoken to over the loopback as a worker does. Redis runs one script at a time, so the milliseconds
of `split`, `stop` and `forget` are time in which it does nothing else. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from graft.stack import start_redis
from shared import services as composition
from shared.config import Settings
from shared.job_records import NewJob
from shared.services import Services
from shared.shards import NewShard
from shared.states import JobState

PROJECT = "default"
PIECE = {
    "file": {"bucket": "graft", "key": f"{PROJECT}/datasets/ds_01M886XPKMD9MZWB9RV68FYRMH/data.parquet"},
    "piece": {"first_row": 1, "rows": 2**20, "ranges": [[0, 4], [10**8, 2 * 10**8], [10**9, 10**9 + 10**5]]},
}
RESULT = {
    "files": [{"name": "part-00000.parquet", "key": "k" * 90, "rows": 1, "bytes": 1, "sha256": "0" * 64}],
    "errors": None,
    "columns": [{"name": "prediction", "type": "int64"}],
    "counts": {"total": 1, "succeeded": 1, "failed": 0},
}
CLAIMED = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs="+", default=[100, 1_000, 4_000])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print("| shards | bytes each | split, ms | claim and end of one, ms | stop, ms | forget, ms |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as directory, start_redis(Path(directory)) as server:
        settings = {"redis_url": server.settings["GRAFT_REDIS_URL"], "signing_key": "0" * 32}
        services = composition.build(Settings.model_validate(settings))
        for count in asked.shards:
            runs = [measured(services, count) for _ in range(asked.rounds)]
            figures = [statistics.median(values) for values in zip(*runs, strict=True)]
            print(f"| {count:,} | {figures[0]:,.0f} | " + " | ".join(f"{f:.1f}" for f in figures[1:]) + " |")


def measured(services: Services, count: int) -> list[float]:
    database, jobs, shards = services.database, services.jobs, services.shards
    database.flushall()
    job_id = jobs.submit(NewJob(project=PROJECT, type="batch_predict", spec={}))[0].id
    claimed = jobs.claim("normal", "worker")
    if claimed is None:
        raise SystemExit("the job cannot be claimed")
    before = database.info("memory")["used_memory"]
    parts = [NewShard([PIECE]) for _ in range(count)]
    split = milliseconds(
        lambda: shards.split(claimed[0], "normal", parts, table={"rows": count}, failed_allowed=0)
    )
    each = (database.info("memory")["used_memory"] - before) / count

    def some() -> None:
        for _ in range(CLAIMED):
            if shard := jobs.claim("normal", "worker"):
                shards.finish(shard[0], JobState.SUCCEEDED, "normal", "worker", rows=1, result=RESULT)

    one = milliseconds(some) / CLAIMED
    stop = milliseconds(lambda: jobs.cancel(PROJECT, job_id))
    record = jobs.record(PROJECT, job_id)
    forget = milliseconds(lambda: jobs.forget(record, ended_before_ms=2**50))
    return [each, split, one, stop, forget]


def milliseconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
