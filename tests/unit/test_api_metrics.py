"""Counters of online prediction: what a dead process counted stays, and the number of label sets is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from prometheus_client.multiprocess import MultiProcessCollector

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
    return {
        json.dumps([sample.name, *sorted(sample.labels.items())]): sample.value
        for metric in MultiProcessCollector(None, path=str(folder)).collect()
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
