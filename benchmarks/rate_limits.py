"""What it costs to ask whether a request is within its rate: by the library `limits`, a script of our own, and leases.

    python -m benchmarks.rate_limits [--rounds 9] [--calls 2000]

Each way decides on one request of 120,000 a minute, on the same Redis, started for this, over the same pool of
connections. The script, which is here alone, does the generic cell rate algorithm and tells what is left in one call;
of the library that takes two. `Meter` is what the API does: the library's sliding window, asked for twenty requests
at a time. All take turns; figures are medians over the rounds of the mean of a call, and the ratio is to the script.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import limits
from limits import storage, strategies

from api.metering import Meter
from graft.stack import start_redis
from shared import database
from shared.rates import Limit, Rates

_LIMIT = 120_000
_SCRIPT = """
local time = redis.call('TIME')
local now, window = time[1] * 1000000 + time[2], 60000000
local each = window / tonumber(ARGV[1])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + each
if full_at > now + window then return {0, 0, math.ceil(full_at - now - window)} end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return {1, math.floor((now + window - full_at) / each), 0}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=2_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, start_redis(Path(directory)) as server:
        ways = _ways(server.settings["GRAFT_REDIS_URL"])
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                seconds[name].append(_timed(way, chosen.calls))
    costs = {name: statistics.median(values) for name, values in seconds.items()}
    own = costs["a script of our own"]
    print("| | µs for each request | to the script |\n|---|---|---|")
    for name, cost in costs.items():
        print(f"| {name} | {1e6 * cost:.0f} | {cost / own:.2f} |")


def _ways(url: str) -> dict[str, Callable[[], object]]:
    redis = database.connect(url)
    library = storage.RedisStorage(url, connection_pool=redis.connection_pool)
    item = limits.RateLimitItemPerMinute(_LIMIT)
    script = redis.register_script(_SCRIPT)
    meter = Meter(Rates(redis))
    limit = Limit("project", _LIMIT)
    ways: dict[str, Callable[[], object]] = {"a single HGETALL": lambda: redis.hgetall("nothing")}
    for kind in (
        strategies.FixedWindowRateLimiter,
        strategies.SlidingWindowCounterRateLimiter,
        strategies.MovingWindowRateLimiter,
    ):
        limiter = kind(library)
        name = kind.__name__.removesuffix("RateLimiter")
        ways[f"limits: {name}, verdict alone"] = lambda limiter=limiter, name=name: limiter.hit(item, name)  # type: ignore[misc]
        ways[f"limits: {name}, with what the header says"] = lambda limiter=limiter, name=name: (  # type: ignore[misc]
            limiter.hit(item, name),
            limiter.get_window_stats(item, name),
        )
    ways["a script of our own"] = lambda: script(keys=["rate"], args=[_LIMIT])
    ways["Meter"] = lambda: meter.admit(limit, "bench")
    return ways


def _timed(way: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        way()
    return (time.perf_counter() - started) / calls


if __name__ == "__main__":
    main()
