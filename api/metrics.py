"""`/metrics` for Prometheus, and what of it is about online prediction: requests, rows and seconds of each version.

Every process counts into files of its own (prometheus_client's multiprocess mode), and any of them answers for all.
`api.gunicorn_conf` makes the folder, and has what a child counted kept when the child is gone. Without the folder a
process answers for itself.

The number of label sets is bounded: a process that has counted `MAX_VERSIONS` versions counts further ones together.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from api import counters
from api.auth import asking, needs
from api.cluster_metrics import Cluster
from api.metric_files import locked
from api.wiring import services
from shared.errors import GraftError, Temporary

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
MAX_VERSIONS: Final = 200
OTHERS: Final = "_others"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ANSWER: Final[dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]] = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}
}

blueprint = APIBlueprint("metrics", __name__, tag="Operations")

_LABELS: Final = ("project", "model", "version")
_REQUESTS = Counter(
    "graft_predict_requests", "Online predictions asked for, by how they ended.", [*_LABELS, "outcome"]
)
_ROWS = Counter("graft_predict_rows", "Rows that were predicted online.", _LABELS)
_SECONDS = Histogram(
    "graft_predict_seconds",
    "Time from the resolved model to its prediction, loading included.",
    _LABELS,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
_LOADS = Counter("graft_model_loads", "Models that were fetched and opened to predict online.", _LABELS)
_seen: set[tuple[str, str, str]] = set()
_seen_lock = threading.Lock()


@blueprint.get("/metrics")
@needs("admin")
@blueprint.doc(responses=_ANSWER)
def show() -> Response:
    """What this API and all workers have counted, and how the queues stand; docs/monitoring.md has the table.

    Of the key's project; the operator's key sees all projects, and what belongs to none.
    """
    principal = asking()
    registry = CollectorRegistry()
    project = None if principal.is_operator else principal.project
    survey = None
    with suppress(Temporary):  # what the API has counted needs no Redis
        registry.register(_Webhooks(services().deliveries.counts(project)))
        survey = services().tallies.survey()
    cluster = Cluster(survey, project)
    registry.register(cluster)
    registry.register(_Shown(project, cluster.troubles()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE)


@contextmanager
def predicting(project: str, model: str, version: int, rows: int) -> Iterator[None]:
    """Count one prediction, however it ends."""
    labels = _bounded(project, model, str(version))
    started, outcome = time.perf_counter(), "failed"
    try:
        yield
        outcome = "succeeded"
        _ROWS.labels(*labels).inc(rows)
    except GraftError as error:
        outcome = "refused" if error.status < 500 else "failed"
        raise
    finally:
        _SECONDS.labels(*labels).observe(time.perf_counter() - started)
        _REQUESTS.labels(*labels, outcome).inc()


def count_load(project: str, model: str, version: int) -> None:
    _LOADS.labels(*_bounded(project, model, str(version))).inc()


class _Shown:
    """A collector of what the API's processes count, that leaves out other projects'."""

    def __init__(
        self, project: str | None, of_workers: Mapping[str, Sequence[tuple[tuple[str, ...], int]]]
    ) -> None:
        """of_workers: labels and counts that belong to metrics which the API counts, too."""
        self._project = project
        self._of_workers = of_workers

    def collect(self) -> Iterator[Metric]:
        for metric in self._counted():
            for labels, count in self._of_workers.get(metric.name, ()):
                named = dict(zip(counters.TROUBLE_LABELS, labels, strict=True))
                metric.add_sample(f"{metric.name}_total", named, count)
            if self._project is not None:
                metric.samples = [
                    sample for sample in metric.samples if sample.labels.get("project") == self._project
                ]
            yield metric

    def _counted(self) -> Iterable[Metric]:
        """Every metric of ours; in the files of the processes stand only those that were counted."""
        own = {metric.name: metric for metric in REGISTRY.collect() if metric.name.startswith("graft_")}
        folder = os.environ.get(FOLDER)
        if folder:
            for metric in own.values():
                metric.samples = []
            with locked(Path(folder)):
                own |= {metric.name: metric for metric in MultiProcessCollector(None, path=folder).collect()}
        return own.values()


class _Webhooks:
    """Attempts that workers made to deliver webhooks, as Redis counts them."""

    def __init__(self, counts: list[tuple[str, str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        told = "Attempts to deliver a webhook, by how they ended."
        family = CounterMetricFamily("graft_webhook_attempts", told, labels=["project", "outcome"])
        for project, outcome, count in self._counts:
            family.add_metric([project, outcome], count)
        yield family


def _bounded(project: str, model: str, version: str) -> tuple[str, str, str]:
    labels = (project, model, version)
    with _seen_lock:
        if labels not in _seen and len(_seen) >= MAX_VERSIONS:
            return (OTHERS, OTHERS, "")
        _seen.add(labels)
    return labels
