"""What a call of Redis costs a process: by redis-py, and by Graft's connections (`shared.connections`).

    python -m benchmarks.redis_calls [--rounds 9] [--calls 1000] [--threads 8]

The same script is called on the same Redis, started for this: by one thread, and by several that compute a little
between their calls, as those of the API do. Both ways take turns. CPU time is that of this process, medians over the
rounds of the mean of a call (with the computing, where there is some), the ratio is to redis-py.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import redis

from graft.stack import start_redis
from shared import database

_SCRIPT = "return redis.call('HMGET', KEYS[1], 'status', 'revision')"
_COMPUTING = 2_000
"""Turns of an empty loop between two calls: some 50 µs."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, start_redis(Path(directory)) as server:
        url = server.settings["GRAFT_REDIS_URL"]
        plain = redis.Redis.from_url(url, decode_responses=True, socket_timeout=0.9)
        digest = plain.script_load(_SCRIPT)
        clients = {"redis-py": plain, "Graft": database.connect(url)}
        ways = {
            name: partial(client.execute_command, "EVALSHA", digest, 1, "nothing")
            for name, client in clients.items()
        }
        print("| | threads | CPU µs a call | wall µs a call | CPU to redis-py |\n|---|---|---|---|---|")
        for threads in (1, chosen.threads):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for _ in range(chosen.rounds):
                for name, call in ways.items():
                    found[name].append(_timed(call, chosen.calls, threads))
            base = statistics.median(cpu for cpu, _ in found["redis-py"])
            for name, costs in found.items():
                cpu, wall = (statistics.median(column) * 1e6 for column in zip(*costs, strict=True))
                print(f"| {name} | {threads} | {cpu:.0f} | {wall:.0f} | {cpu / base / 1e6:.2f} |", flush=True)
        for client in clients.values():
            client.close()


def _timed(call: Callable[[], object], calls: int, threads: int) -> tuple[float, float]:
    """CPU and wall seconds for each call."""

    def run() -> None:
        for _ in range(calls):
            call()
            if threads > 1:
                for _ in range(_COMPUTING):
                    pass

    several = [threading.Thread(target=run) for _ in range(threads)]
    cpu, wall = time.process_time(), time.perf_counter()
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    made = calls * threads
    return (time.process_time() - cpu) / made, (time.perf_counter() - wall) / made


if __name__ == "__main__":
    main()
