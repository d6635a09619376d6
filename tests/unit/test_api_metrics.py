"""What the API counts: what a dead process counted stays, and the number of label sets is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from prometheus_client.multiprocess import MultiProcessCollector

from api import cluster_metrics
from shared.model_cache import CacheWatch, ModelCache
from shared.tallies import Line

_COUNT = """
import sys
from api import metrics
for _ in range(int(sys.argv[1])):
    with metrics.predicting("p", "m", 1, 10):
        pass
"""


def counted(folder: Path, times: int) -> int:
    """The id of a process that has counted so many predictions and ended."""
    command = [sys.executable, "-c", _COUNT, str(times)]
    with subprocess.Popen(command, env={"PROMETHEUS_MULTIPROC_DIR": str(folder)}) as process:
        assert process.wait(60) == 0
        return process.pid


def totals(folder: Path) -> dict[str, float]:
    """Of what is counted; a gauge is of those that live."""
    return {
        json.dumps([sample.name, *sorted(sample.labels.items())]): sample.value
        for metric in MultiProcessCollector(None, path=str(folder)).collect()
        if metric.type != "gauge"
        for sample in metric.samples
    }


def test_what_dead_processes_counted_is_kept_in_a_number_of_files_that_does_not_grow(tmp_path: Path) -> None:
    from api import metric_files

    pids = [counted(tmp_path, times) for times in (3, 4, 5)]
    before = totals(tmp_path)
    assert 12 in before.values()
    assert 120 in before.values()
    for pid in pids:
        metric_files.bury(pid, tmp_path)
        assert totals(tmp_path) == before
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_dead.db", "histogram_dead.db"]


def test_a_process_counts_versions_one_by_one_up_to_the_bound() -> None:
    command = """
from api import metrics
for number in range(metrics.MAX_VERSIONS + 5):
    with metrics.predicting("p", "m", number + 1, 1):
        pass
found = {}
for metric in metrics._REQUESTS.collect():
    for sample in metric.samples:
        if sample.name.endswith("_total"):
            found[sample.labels["model"], sample.labels["version"]] = sample.value
assert len(found) == metrics.MAX_VERSIONS + 1, len(found)
assert found[metrics.OTHERS, ""] == 5, found
assert found["m", "1"] == 1
assert found["m", str(metrics.MAX_VERSIONS)] == 1
"""
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)


def test_requests_count_by_route_and_not_by_path_or_by_whatever_method_is_sent() -> None:
    command = """
from flask import Flask, g, request
from api import counters
app = Flask("app")
@app.before_request
def begin():
    counters.begin_request(g)
@app.after_request
def end(response):
    counters.end_request(request, g, response)
    return response
@app.get("/v1/jobs/<int:number>")
def look(number):
    counters.held(3600.0)
    return {}
client = app.test_client()
for number in range(5):
    client.get(f"/v1/jobs/{number}")
    client.get(f"/nowhere/{number}")
    client.open("/nowhere", method=f"BREW{number}")
found = {}
for metric in counters._REQUESTS.collect():
    for sample in metric.samples:
        if sample.name.endswith("_total"):
            found[tuple(sample.labels.values())] = sample.value
assert found == {
    ("GET", "/v1/jobs/{number}", "2xx"): 5, ("GET", "none", "4xx"): 5, ("other", "none", "4xx"): 5
}, found
assert len(counters._requests) == 2
sums = {
    sample.labels["route"]: sample.value
    for metric in counters._SECONDS.collect() for sample in metric.samples if sample.name.endswith("_sum")
}
assert sums["/v1/jobs/{number}"] < 0, "what the client wanted to wait for is no time of ours"
"""
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)


def test_a_cache_tells_what_it_does() -> None:
    told: list[object] = []

    class Watch(CacheWatch):
        def looked(self, outcome: str) -> None:
            told.append(outcome)

        def evicted(self) -> None:
            told.append("evicted")

        def holds(self, models: int, size: int) -> None:
            told.append((models, size))

    cache = ModelCache[str](10, Watch())
    for name in ("a", "a", "b"):
        cache.get(("p", name, 1), lambda: ("model", 8))
    assert told == ["miss", (1, 8), "hit", "miss", "evicted", (1, 8)]


def test_only_the_longest_queues_of_projects_are_told_one_by_one() -> None:
    lines = [Line(f"project-{n:03}", n + 1, float(n)) for n in range(cluster_metrics.MOST_PROJECTS + 10)]
    found = cluster_metrics._longest(lines)
    assert len(found) == cluster_metrics.MOST_PROJECTS + 1
    assert found[0].jobs == len(lines)
    assert found[-1] == Line(cluster_metrics.OTHERS, sum(range(1, 11)), 9.0)
    assert sum(line.jobs for line in found) == sum(line.jobs for line in lines)
