"""The system: is everything there that jobs need, who works, how much is done, and what the project may still ask for.

Who may read sees health and its own project. Workers, leases and what Redis says of itself span projects and are for
keys with `admin`, as `/metrics` is.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from api.auth import needs, project
from api.dashboard import charts
from api.dashboard.site import blueprint, may, render, stamped, unchanged_or
from api.health import outcomes
from api.wiring import services
from shared.contracts.base import from_ms
from shared.errors import Temporary
from shared.rates import Limit
from shared.workers import ALIVE_MS

_SHOWN_SECONDS = 3_600.0
_REDIS = (
    ("redis_version", "Version"),
    ("uptime_in_seconds", "Up for"),
    ("connected_clients", "Clients"),
    ("instantaneous_ops_per_sec", "Commands/s"),
    ("used_memory", "Memory"),
    ("aof_last_write_status", "Last write"),
)


@blueprint.get("/system")
@needs("read")
def system() -> Response:
    return render("system.html", live=stamped("system_live.html", **_told()))


@blueprint.get("/system/live")
@needs("read")
def system_live() -> Response:
    told = _told()
    return unchanged_or(lambda seen: render("system_live.html", **told, seen=seen))


def _told() -> dict[str, Any]:
    """A part that cannot be told because Redis is away is left out: this page is for that moment, too."""
    told: dict[str, Any] = {"checks": outcomes()}
    try:
        told |= _of_project()
        if may("admin"):
            told |= _of_all()
    except Temporary:
        told["away"] = True
    return told


def _of_project() -> dict[str, Any]:
    owner, built = project(), services()
    today = built.usage.today()
    overview = built.overview.of(owner, hours=24)
    a_minute = built.settings.rate_limit
    return {
        "usage": built.usage.report(
            owner, today, today, built.stored.of(owner, limit=built.settings.max_project_bytes)
        ),
        "overview": overview,
        "throughput": charts.throughput(overview.ended),
        "rate_limit": a_minute,
        "rate_left": built.rates.standing(Limit("project", a_minute), owner).left if a_minute else None,
        "max_live": built.settings.max_live_jobs,
    }


def _of_all() -> dict[str, Any]:
    built = services()
    load = built.places.load()
    whole = built.overview.whole()
    workers = sorted(built.workers.alive(_SHOWN_SECONDS), key=lambda one: one.name)
    return {
        "workers": [
            {
                "name": one.name,
                "places": one.concurrency,
                "running": one.running,
                "seen": from_ms(one.seen_ms),
                "state": "stalled"
                if one.stalled
                else "ok"
                if load.now_ms - one.seen_ms <= ALIVE_MS
                else "silent",
            }
            for one in workers
        ],
        "leases": whole.leases,
        "overdue": whole.soonest_ms is not None and whole.soonest_ms < load.now_ms,
        "delayed": whole.delayed,
        "durations": dict(sorted(load.durations.items())),
        "redis": [(name, word, whole.redis[name]) for name, word in _REDIS if name in whole.redis],
    }
