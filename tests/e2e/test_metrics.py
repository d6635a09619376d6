"""`/metrics` of a running stack: what it tells after some work, to whom, and that the documents name all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import tables
from tests.support.client import Graft, Json, train_body
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
LABELS_OF_THE_FORMAT = {"le"}


def scraped(client: Graft) -> dict[str, Metric]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = list(text_string_to_metric_families(response.text))
    assert len(found) == len({metric.name for metric in found}), "a metric is told twice"
    return {metric.name: metric for metric in found}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric, as the document's tables have them."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    rows = re.findall(r"^\| `(graft_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def value(metrics: Mapping[str, Metric], sample: str, **labels: str) -> float:
    """The sum over all samples of that name with these labels."""
    return sum(
        item.value
        for metric in metrics.values()
        for item in metric.samples
        if item.name == sample and labels.items() <= item.labels.items()
    )


@pytest.fixture(scope="module")
def worked(graft: Graft, operator: Graft) -> tuple[dict[str, Metric], dict[str, Metric], Json]:
    """What there was to scrape before and after some work, and the job that was trained."""
    before = scraped(operator)
    dataset = graft.dataset(tables.iris())
    trained = graft.run(train_body(dataset, "metered"))
    graft.run(
        {
            "type": "batch_predict",
            "model": "metered",
            "input": {"dataset": dataset},
            "output": {"format": "csv", "columns": "none"},
        }
    )
    rows = [{"f0": 5.1, "f1": 3.5, "f2": 1.4, "f3": 0.2}] * 2
    for _ in range(3):
        assert graft.post("/v1/models/metered/predict", json={"rows": rows}).status_code == 200
    graft.get("/v1/jobs/job_00000000000000000000000000")
    eventually(lambda: value(scraped(operator), "graft_worker_slots_busy") == 0, 30)
    return before, scraped(operator), trained


def rise(worked: tuple[dict[str, Metric], dict[str, Metric], Json], sample: str, **labels: str) -> float:
    before, after, _ = worked
    return value(after, sample, **labels) - value(before, sample, **labels)


def test_jobs_and_attempts_are_counted(worked: tuple[dict[str, Metric], dict[str, Metric], Json]) -> None:
    for kind in ("train", "batch_predict"):
        assert rise(worked, "graft_jobs_accepted_total", type=kind) == 1
        assert rise(worked, "graft_jobs_ended_total", type=kind, state="succeeded") == 1
        assert rise(worked, "graft_attempts_total", type=kind, outcome="succeeded") == 1
        assert rise(worked, "graft_attempt_duration_seconds_count", type=kind) == 1
        assert rise(worked, "graft_job_duration_seconds_count", type=kind) == 1
    assert rise(worked, "graft_job_wait_seconds_count", queue="normal") == 2
    assert rise(worked, "graft_batch_rows_total", outcome="scored") == 150
    assert rise(worked, "graft_batch_rows_total", outcome="failed") == 0


def test_durations_are_those_of_the_jobs(
    worked: tuple[dict[str, Metric], dict[str, Metric], Json],
) -> None:
    took = rise(worked, "graft_attempt_duration_seconds_sum", type="train")
    assert took >= worked[2]["usage"]["wall_seconds"]
    assert rise(worked, "graft_job_duration_seconds_sum", type="train") >= took
    assert rise(worked, "graft_attempt_duration_seconds_bucket", type="train", le="+Inf") == 1
    bounds = [
        (float(sample.labels["le"]), sample.value)
        for sample in worked[1]["graft_job_duration_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["type"] == "train"
    ]
    assert bounds == sorted(bounds), "buckets are cumulative"


def test_workers_are_told(worked: tuple[dict[str, Metric], dict[str, Metric], Json]) -> None:
    after = worked[1]
    assert value(after, "graft_redis_up") == 1
    assert value(after, "graft_workers") == 1
    assert value(after, "graft_worker_slots") == 2
    assert value(after, "graft_leases_expired") == 0


def test_requests_are_counted_by_route(worked: tuple[dict[str, Metric], dict[str, Metric], Json]) -> None:
    predict = {"method": "POST", "route": "/v1/models/{ref}/predict"}
    assert rise(worked, "graft_http_requests_total", **predict, status="2xx") == 3
    assert rise(worked, "graft_http_request_duration_seconds_count", **predict) == 3
    look = {"method": "GET", "route": "/v1/jobs/{job_id}"}
    assert rise(worked, "graft_http_requests_total", **look, status="4xx") >= 1
    assert rise(worked, "graft_http_requests_total", **look, status="5xx") == 0
    loads = rise(worked, "graft_model_cache_lookups_total", outcome="miss")
    assert 1 <= loads <= 2, "each process of the API loads it once"
    assert rise(worked, "graft_model_cache_lookups_total") == 3
    assert value(worked[1], "graft_model_cache_bytes") > 0
    assert value(worked[1], "graft_predict_rows_total", model="metered") == 6


def test_what_waits_is_told_by_queue_and_to_its_project_alone(
    graft: Graft, stranger: Graft, operator: Graft, endless: Json
) -> None:
    running = [graft.started(endless) for _ in range(2)]  # every slot is taken
    waiting = [graft.submit({**endless, "priority": "high"}).json()["id"] for _ in range(2)]
    eventually(lambda: value(scraped(operator), "graft_queue_oldest_seconds", queue="high") > 0.5)
    found = scraped(operator)
    assert value(found, "graft_queue_jobs", queue="high") == 2
    assert value(found, "graft_queue_jobs", queue="low") == 0
    assert value(found, "graft_leases") == 2
    assert value(found, "graft_worker_slots_busy") <= 2
    of_project = {"queue": "high", "project": "default"}
    assert value(found, "graft_project_queue_jobs", **of_project) == 2
    assert value(scraped(graft), "graft_project_queue_jobs", **of_project) == 2
    assert "graft_queue_jobs" not in scraped(graft), "how others stand is for the operator"
    assert "default" not in stranger.get("/metrics").text
    for job_id in (*waiting, *running):
        graft.post(f"/v1/jobs/{job_id}/cancel")
    for job_id in running:
        graft.ended(job_id)
    ended = scraped(operator)
    assert value(ended, "graft_queue_jobs") == value(ended, "graft_project_queue_jobs") == 0
    assert value(ended, "graft_attempts_total", outcome="cancelled") >= 2


_DURING_AN_OUTAGE = """
import time
from api.app import create_app
from prometheus_client.parser import text_string_to_metric_families
client = create_app().test_client()
good, bad = {"Authorization": "Bearer the-operators"}, {"Authorization": "Bearer another"}
found = client.get("/metrics", headers=good)
assert found.status_code == 200, found.text
metrics = {metric.name: metric for metric in text_string_to_metric_families(found.text)}
assert [sample.value for sample in metrics["graft_redis_up"].samples] == [0]
assert "graft_workers" not in metrics
failed = [sample for sample in metrics["graft_redis_errors"].samples if sample.name.endswith("_total")]
assert failed
assert {sample.labels["process"] for sample in failed} == {"api"}
assert {sample.labels["kind"] for sample in failed} == {"ConnectionError"}
assert client.get("/v1/jobs", headers=good).status_code == 503
time.sleep(1.1)
assert client.get("/metrics", headers=bad).status_code == 503
assert client.get("/metrics", headers=good).status_code == 503, "a key could be found by trying"
time.sleep(1.1)
assert client.get("/metrics", headers=good).status_code == 200
"""


def test_while_redis_is_away_the_metrics_say_so_and_keys_cannot_be_tried() -> None:
    env = {
        "PATH": os.environ["PATH"],
        "GRAFT_REDIS_URL": "redis://127.0.0.1:1/0",
        "GRAFT_S3_ENDPOINT_URL": "http://127.0.0.1:1",
        "GRAFT_S3_ACCESS_KEY_ID": "a",
        "GRAFT_S3_SECRET_ACCESS_KEY": "b",
        "GRAFT_SIGNING_KEY": "x" * 16,
        "GRAFT_API_KEYS": "the-operators",
    }
    subprocess.run([sys.executable, "-c", _DURING_AN_OUTAGE], check=True, timeout=120, env=env)


def test_every_metric_is_in_the_documents_with_its_type_and_labels(
    worked: tuple[dict[str, Metric], dict[str, Metric], Json], operator: Graft
) -> None:
    exposed = scraped(operator)
    named = {
        name if metric.type != "counter" else f"{name}_total": metric for name, metric in exposed.items()
    }
    told = documented()
    assert sorted(named) == sorted(told)
    for name, metric in named.items():
        kind, labels = told[name]
        assert metric.type == kind, name
        for sample in metric.samples:
            assert set(sample.labels) - LABELS_OF_THE_FORMAT == labels, name


def _queries() -> list[tuple[str, str]]:
    """Where each query in PromQL stands, and the query: of the dashboard and of the alerts."""
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "graft.json").read_text())
    panels = [
        (panel["title"], target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    return panels + [(rule["alert"], rule["expr"]) for rule in _alerts()]


def _alerts() -> list[dict[str, Any]]:
    found = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("place", "query"), _queries())
def test_dashboard_and_alerts_ask_for_what_is_exposed(place: str, query: str, operator: Graft) -> None:
    exposed = scraped(operator)
    samples = {
        f"{name}{suffix}": name
        for name, metric in exposed.items()
        for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(
            metric.type, [""]
        )
    }
    told, known = documented(), {"job", "instance"}
    for sample in re.findall(r"\bgraft_\w+", query):
        assert sample in samples, f"{place}: {sample}"
        family = exposed[samples[sample]]
        known |= told[sample if family.type == "counter" else family.name][1] | (
            {"le"} if sample.endswith("_bucket") else set()
        )
    selected = {
        name for inside in re.findall(r"{([^}]*=[^}]*)}", query) for name in re.findall(r"(\w+)[=!]", inside)
    }
    grouped = {
        name for inside in re.findall(r"(?:by|without) \(([^)]*)\)", query) for name in inside.split(", ")
    }
    assert selected | grouped <= known, place
    assert query.count("(") == query.count(")")
    assert re.search(r"\bgraft_|^up{", query), "it asks for nothing"


def test_every_alert_says_what_to_do_about_it() -> None:
    headings = set(
        re.findall(r"^### (Graft\w+)$", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    )
    names = [rule["alert"] for rule in _alerts()]
    assert headings == set(names)
    assert len(names) == len(set(names))
    for rule in _alerts():
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
