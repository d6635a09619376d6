"""What Redis knows of all queues, workers and jobs, as metrics: the same from whichever API process is asked.

So the workers need no ports, nothing need discover them, and what one of them has counted outlives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from shared import queue
from shared.lua import BUCKETS_MS
from shared.tallies import Line, Survey

MOST_PROJECTS: Final = 50
"""Projects whose queues are told one by one, the longest ones; the others are told together."""
OTHERS: Final = "_others"


class _Tally(NamedTuple):
    metric: str
    told: str
    labels: tuple[str, ...]
    known: tuple[tuple[str, ...], ...] = ()
    """Labels that are told from the beginning, so that the first one of them is a rise."""


_COUNTERS: Final[Mapping[str, _Tally]] = {
    "accepted": _Tally("graft_jobs_accepted", "Jobs that were accepted.", ("type",)),
    "ended": _Tally("graft_jobs_ended", "Jobs that have ended, by their last state.", ("type", "state")),
    "attempts": _Tally(
        "graft_attempts", "Attempts at jobs and shards that are over, by how.", ("type", "outcome")
    ),
    "attempt_errors": _Tally(
        "graft_attempt_errors", "Attempts that failed or were lost, by the code of the error.", ("code",)
    ),
    "rescues": _Tally(
        "graft_rescues",
        "Leases that ran out: what became of the jobs and shards that were taken from lost workers.",
        ("outcome",),
        (("requeued",), ("failed",), ("cancelled",)),
    ),
    "fenced": _Tally(
        "graft_lease_losses",
        "Attempts that went on after their lease was lost, noticed it and stopped.",
        ("type",),
    ),
    "rows": _Tally(
        "graft_batch_rows",
        "Rows of batch predictions, of jobs and shards that succeeded.",
        ("outcome",),
        (("scored",), ("failed",)),
    ),
    "occurrences": _Tally(
        "graft_schedule_occurrences", "Occurrences of schedules, by what became of them.", ("status",)
    ),
}
_DURATIONS: Final[Mapping[str, _Tally]] = {
    "job_wait": _Tally("graft_job_wait_seconds", "From acceptance to the first attempt.", ("queue",)),
    "attempt_duration": _Tally(
        "graft_attempt_duration_seconds",
        "Attempts at jobs and shards, however they ended, but for lost ones.",
        ("type",),
    ),
    "job_duration": _Tally(
        "graft_job_duration_seconds", "From acceptance to the end, with waiting and all attempts.", ("type",)
    ),
}
_TROUBLES: Final = {"redis": "graft_redis_errors", "store": "graft_store_errors"}


class Cluster:
    """A collector of one survey. Without one, because Redis is away, it says so and no more."""

    def __init__(self, survey: Survey | None, project: str | None) -> None:
        """project: the one whose queues alone are told; None: all of Graft."""
        self._survey = survey
        self._project = project

    def collect(self) -> Iterator[Metric]:
        survey = self._survey
        if self._project is None:
            yield _gauge("graft_redis_up", "Whether Redis answered this request.", survey is not None)
        if survey is None:
            return
        yield from _projects(survey, self._project)
        if self._project is None:
            yield from _now(survey)
            for name, tally in _COUNTERS.items():
                yield _counter(tally, _of(survey, name))
            for name, tally in _DURATIONS.items():
                yield _histogram(tally, _of(survey, name))

    def troubles(self) -> Mapping[str, Sequence[tuple[tuple[str, ...], int]]]:
        """What the workers add to the API's own metrics of these names: labels and counts."""
        if self._survey is None:
            return {}
        found = _of(self._survey, "troubles")
        return {
            metric: [(("worker", *rest), count) for (of, *rest), count in found.items() if of == server]
            for server, metric in _TROUBLES.items()
        }


def _of(survey: Survey, name: str) -> dict[tuple[str, ...], int]:
    return {tuple(rest): count for (first, *rest), count in survey.tallies.items() if first == name}


def _now(survey: Survey) -> Iterator[Metric]:
    depth = GaugeMetricFamily(
        "graft_queue_jobs", "Jobs and shards that are ready and wait for a worker.", labels=["queue"]
    )
    age = GaugeMetricFamily(
        "graft_queue_oldest_seconds",
        "For how long the oldest of them has been ready; 0 if there is none.",
        labels=["queue"],
    )
    for name in queue.PRIORITIES:
        lines = survey.lines[name]
        depth.add_metric([name], sum(line.jobs for line in lines))
        age.add_metric([name], max((line.oldest_seconds for line in lines), default=0.0))
    yield depth
    yield age
    yield _gauge(
        "graft_jobs_delayed", "Jobs and shards that wait until they are tried again.", survey.delayed
    )
    yield _gauge("graft_leases", "Attempts that hold a lease.", survey.leases)
    yield _gauge(
        "graft_leases_expired",
        "Of them those whose lease has run out, not yet rescued.",
        survey.expired_leases,
    )
    workers = survey.workers
    yield _gauge("graft_workers", "Workers that were heard of in the last 15 s.", len(workers))
    yield _gauge(
        "graft_workers_stalled",
        "Of them those that take no jobs though they could.",
        sum(bool(w["stalled"]) for w in workers),
    )
    yield _gauge(
        "graft_worker_slots",
        "Jobs that they can run at a time.",
        sum(int(str(w["concurrency"])) for w in workers),
    )
    yield _gauge(
        "graft_worker_slots_busy",
        "Jobs and shards that they run.",
        sum(int(str(w["running"])) for w in workers),
    )
    yield _gauge(
        "graft_webhook_endpoints_due", "Endpoints with a delivery that is due.", survey.due_endpoints
    )


def _projects(survey: Survey, project: str | None) -> Iterator[Metric]:
    labels = ["queue", "project"]
    depth = GaugeMetricFamily(
        "graft_project_queue_jobs", "What of a project waits for a worker.", labels=labels
    )
    age = GaugeMetricFamily(
        "graft_project_queue_oldest_seconds", "For how long the oldest of it has been ready.", labels=labels
    )
    for name, lines in survey.lines.items():
        for line in _longest([line for line in lines if project in {None, line.project}]):
            depth.add_metric([name, line.project], line.jobs)
            age.add_metric([name, line.project], line.oldest_seconds)
    yield depth
    yield age


def _longest(lines: Sequence[Line]) -> list[Line]:
    ordered = sorted(lines, key=lambda line: (-line.jobs, line.project))
    told, rest = ordered[:MOST_PROJECTS], ordered[MOST_PROJECTS:]
    if rest:
        told.append(Line(OTHERS, sum(line.jobs for line in rest), max(line.oldest_seconds for line in rest)))
    return told


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=float(value))


def _counter(tally: _Tally, found: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(tally.metric, tally.told, labels=tally.labels)
    for labels, count in sorted({**dict.fromkeys(tally.known, 0), **found}.items()):
        family.add_metric(labels, count)
    return family


def _histogram(tally: _Tally, found: Mapping[tuple[str, ...], int]) -> Metric:
    family = HistogramMetricFamily(tally.metric, tally.told, labels=tally.labels)
    bounds = [*map(str, BUCKETS_MS), "+Inf"]
    for label in sorted({labels[0] for labels in found}):
        sums = accumulate(found.get((label, bound), 0) for bound in bounds)
        names = [*(str(bound / 1000) for bound in BUCKETS_MS), "+Inf"]
        family.add_metric([label], list(zip(names, sums, strict=True)), found.get((label, "sum"), 0) / 1000)
    return family
