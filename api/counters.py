"""What the processes of the API count of themselves: requests, cached models, and servers that failed them.

A request costs two look-ups in a dictionary and two writes into the process's files: microseconds, which
`python -m benchmarks.api` would show.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any, Final

from flask import Request, Response, g
from prometheus_client import Counter, Gauge, Histogram

from shared.model_cache import CacheWatch
from shared.troubles import Trouble

#: What HTTP defines and Graft serves. Anybody may send any other word as a method.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_REQUESTS = Counter(
    "graft_http_requests",
    "Requests that were answered, by the class of the status.",
    ["method", "route", "status"],
)
_SECONDS = Histogram(
    "graft_http_request_duration_seconds",
    "Time to answer, without what the client asked to be held for, and without sending the answer.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_REFUSED = Counter(
    "graft_http_refused", "Requests that were refused before they were read to the end.", ["status"]
)
TROUBLE_LABELS: Final = ("process", "operation", "kind")
_REDIS = Counter("graft_redis_errors", "Calls of Redis that failed.", TROUBLE_LABELS)
_STORE = Counter("graft_store_errors", "Calls of the object store that failed.", TROUBLE_LABELS)
_LOOKS = Counter(
    "graft_model_cache_lookups",
    "Models that online prediction asked for, by whether they were loaded.",
    ["outcome"],
)
_EVICTED = Counter("graft_model_cache_evictions", "Loaded models that made room for others.")
_BYTES = Gauge("graft_model_cache_bytes", "Bytes of the models that are loaded.", multiprocess_mode="livesum")
_MODELS = Gauge("graft_model_cache_models", "Models that are loaded.", multiprocess_mode="livesum")

_TROUBLES: Final = {"redis": _REDIS, "store": _STORE}

_requests: dict[tuple[str, str | None, int], tuple[Counter, Histogram]] = {}
"""The counters of each (method, rule, class of status), which `labels` would look up more slowly."""


def begin_request(held: Any) -> None:
    """held: Flask's `g`."""
    held.began = time.perf_counter()


def held(seconds: float) -> None:
    """The client of this request wanted it to be held for so long: no fault of ours."""
    g.began += seconds


def end_request(asked: Request, held: Any, response: Response) -> None:
    began = held.get("began")
    if began is None:
        return
    took = time.perf_counter() - began
    rule = asked.url_rule.rule if asked.url_rule else None
    key = (asked.method, rule, response.status_code // 100)
    found = _requests.get(key)
    if found is None:
        found = _labelled(*key)
        if asked.method in _METHODS:
            _requests[key] = found
    count, seconds = found
    count.inc()
    seconds.observe(took)


def count_refused(status: int) -> None:
    _REFUSED.labels(str(int(status))).inc()


def count_trouble(trouble: Trouble) -> None:
    _TROUBLES[trouble.server].labels("api", trouble.operation, trouble.kind).inc()


class CacheGauges(CacheWatch):
    """What `shared.model_cache.ModelCache` tells of itself."""

    def looked(self, outcome: str) -> None:
        _LOOKS.labels(outcome).inc()

    def evicted(self) -> None:
        _EVICTED.inc()

    def holds(self, models: int, size: int) -> None:
        _MODELS.set(models)
        _BYTES.set(size)


def route_of(asked: Request) -> str | None:
    """The template of the path: `/v1/jobs/{job_id}`; None if no view answers it."""
    rule = asked.url_rule
    return None if rule is None else _template(rule.rule)


@lru_cache(1024)
def _template(rule: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def _labelled(method: str, rule: str | None, status: int) -> tuple[Counter, Histogram]:
    method = method if method in _METHODS else "other"
    route = "none" if rule is None else _template(rule)
    return _REQUESTS.labels(method, route, f"{status}xx"), _SECONDS.labels(method, route)
