"""Traces of a running stack, as a collector gets them: one from the request to the store, through worker and child."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psutil
import pyarrow as pa
import pytest

from graft.stack import Endpoint, RunningServer
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack, running_stack
from tests.support.client import Graft, Json, train_body
from tests.support.otlp import Receiver, Span, receiver
from tests.support.waiting import eventually

HEADER = "a-secret-of-the-collectors"


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint, collector: Receiver
) -> Iterator[RunningStack]:
    with running_stack(
        tmp_path_factory.mktemp("traced"),
        object_store,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"x-collector-key={HEADER}",
        OTEL_BSP_SCHEDULE_DELAY="200",
        GRAFT_WEBHOOK_ALLOW_PRIVATE="true",
        GRAFT_WEBHOOK_ALLOW_HTTP="true",
        GRAFT_LEASE_SECONDS="3",
        GRAFT_RENEW_SECONDS="0.5",
        GRAFT_TICK_SECONDS="0.3",
        GRAFT_UPKEEP_SECONDS="0.5",
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(traced: RunningStack) -> Iterator[Graft]:
    with Graft(traced.url, KEYS["default"]) as opened:
        yield opened


def begun() -> tuple[str, str]:
    """A trace of the caller's: its id, and the header that tells of it."""
    trace_id = secrets.token_hex(16)
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-01"


def the(spans: list[Span], name: str, **attributes: Any) -> Span:
    found = [span for span in spans if span.name == name and attributes.items() <= span.attributes.items()]
    assert len(found) == 1, (name, [span.name for span in spans])
    return found[0]


def lines(stack: RunningStack, name: str) -> list[Json]:
    return [json.loads(line) for line in stack.log(name).splitlines() if line.startswith("{")]


def flowers() -> pa.Table:
    """Irises whose columns have names that are nowhere by chance."""
    table = tables.iris()
    return table.rename_columns([f"secret-{name}" for name in table.column_names])


@pytest.fixture(scope="module")
def trained(client: Graft, collector: Receiver) -> tuple[str, str, list[Span], str]:
    """A model that was trained within a trace: the caller's traceparent, the job, the spans, and the trace's id."""
    dataset = client.dataset(flowers())
    trace_id, header = begun()
    job_id = client.submit(train_body(dataset, "traced", target="secret-label"), traceparent=header).json()[
        "id"
    ]
    assert client.ended(job_id)["status"] == "succeeded"
    eventually(lambda: any(span.name.startswith("process") for span in collector.of(trace_id)), 30)
    return header, job_id, collector.of(trace_id), trace_id


def test_one_trace_leads_from_the_request_to_the_store(
    trained: tuple[str, str, list[Span], str],
) -> None:
    header, job_id, spans, _ = trained
    request = the(spans, "POST /v1/jobs")
    assert (request.kind, request.service, request.parent_id) == ("server", "graft-api", header.split("-")[2])
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["http.route"] == "/v1/jobs"
    sent = the(spans, "send graft.normal")
    assert (sent.kind, sent.parent_id) == ("producer", request.span_id)
    submit = the(spans, "EVALSHA submit")
    assert (submit.kind, submit.parent_id) == ("client", sent.span_id)
    attempt = the(spans, "process graft.normal")
    assert (attempt.kind, attempt.service, attempt.parent_id) == ("consumer", "graft-worker", sent.span_id)
    assert attempt.attributes["messaging.message.id"] == job_id
    assert (attempt.attributes["graft.job.type"], attempt.attributes["graft.attempt"]) == ("train", 1)
    steps = {name: the(spans, name) for name in ("gather", "run", "publish", "commit")}
    assert {step.parent_id for step in steps.values()} == {attempt.span_id}
    starts = [step.start for step in steps.values()]
    assert starts == sorted(starts)
    assert not [span.name for span in spans if span.failed]


def test_the_phases_of_the_child_are_within_its_run(trained: tuple[str, str, list[Span], str]) -> None:
    spans = trained[2]
    run = the(spans, "run")
    phases = sorted((span for span in spans if span.parent_id == run.span_id), key=lambda span: span.start)
    names = [span.name for span in phases]
    assert names.index("preparing") < names.index("fitting") < names.index("evaluating")
    for before, after in pairwise(phases):
        assert run.start <= before.start <= before.end <= after.start <= run.end
    assert run.attributes["graft.cpu_seconds"] > 0


def test_what_moves_to_and_from_the_store_is_within_its_step(
    trained: tuple[str, str, list[Span], str],
) -> None:
    spans = trained[2]
    stored = [span for span in spans if span.name.startswith("S3.")]
    assert {span.kind for span in stored} == {"client"}
    assert all(span.attributes["rpc.system"] == "aws-api" for span in stored)

    def within(step: str) -> set[str]:
        return {span.name for span in stored if span.parent_id == the(spans, step).span_id}

    assert "S3.GetObject" in within("gather")
    assert within("publish") == {"S3.PutObject"}
    finish = the(spans, "EVALSHA finish")
    assert finish.parent_id == the(spans, "commit").span_id


def test_no_span_tells_what_a_user_sent(
    trained: tuple[str, str, list[Span], str], traced: RunningStack
) -> None:
    told = repr([(span.name, span.attributes) for span in trained[2]])
    for word in (KEYS["default"], "secret-", "setosa", "'traced'"):
        assert word not in told, word


def test_every_line_of_a_log_that_is_about_the_job_is_in_the_trace(
    trained: tuple[str, str, list[Span], str], traced: RunningStack
) -> None:
    _, job_id, spans, trace_id = trained
    about = [line for line in lines(traced, "worker") if line.get("job_id") == job_id]
    assert {line["process"] for line in about} == {"worker", "child"}
    assert {line["trace_id"] for line in about} == {trace_id}
    known = {span.span_id: span.name for span in spans}
    assert {known[line["span_id"]] for line in about if line["process"] == "child"} == {"run"}
    assert all(line["span_id"] in known for line in about)
    [request] = [
        line
        for line in lines(traced, "api")
        if line["event"] == "request" and line.get("trace_id") == trace_id
    ]
    assert request["span_id"] == the(spans, "POST /v1/jobs").span_id
    assert {line["request_id"] for line in about} == {request["request_id"]}


def test_the_second_attempt_of_a_killed_worker_is_in_the_same_trace(
    client: Graft, traced: RunningStack, collector: Receiver
) -> None:
    dataset = client.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 100_000, "hidden_layers": [256], "learning_rate": 1e-6}
    trace_id, header = begun()
    body = train_body(dataset, "bereft", estimator=estimator)
    job_id = client.submit(body, traceparent=header).json()["id"]
    eventually(lambda: client.job(job_id)["progress"], 60)
    [worker] = [
        process
        for process in psutil.Process(traced.process.pid).children(recursive=True)
        if "worker" in process.cmdline() and "-m" in process.cmdline()
    ]
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: client.job(job_id)["attempt"] == 2 and client.job(job_id)["status"] == "running", 60)
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.ended(job_id)["status"] == "cancelled"
    eventually(lambda: any(span.name == "process graft.normal" for span in collector.of(trace_id)), 30)
    spans = collector.of(trace_id)
    sent = the(spans, "send graft.normal")
    second = the(spans, "process graft.normal")
    assert (second.attributes["graft.attempt"], second.parent_id) == (2, sent.span_id)
    rescue = the(spans, "rescue")
    assert rescue.parent_id == sent.span_id
    assert rescue.start < second.start
    again, header = begun()
    retry = client.post(f"/v1/jobs/{job_id}/retry", headers={"traceparent": header}).json()["id"]
    client.post(f"/v1/jobs/{retry}/cancel")
    eventually(lambda: any(span.kind == "producer" for span in collector.of(again)), 30)
    assert the(collector.of(again), "send graft.normal").links == [sent.span_id], (
        "a job that retries another names it"
    )


def test_the_shards_of_a_large_batch_its_closing_and_its_webhook_are_in_its_trace(
    client: Graft, traced: RunningStack, collector: Receiver, trained: tuple[str, str, list[Span], str]
) -> None:
    dataset = client.dataset(pa.concat_tables([flowers()] * 20))
    trace_id, header = begun()
    body = {
        "type": "batch_predict",
        "model": "traced",
        "input": {"dataset": dataset},
        "output": {"format": "csv", "columns": "none"},
        "shard_rows": 1_000,
        "webhook_url": f"{collector.url}/nobody-is-there",
    }
    job_id = client.submit(body, traceparent=header).json()["id"]
    assert client.ended(job_id)["status"] == "succeeded"

    def attempts() -> list[Span]:
        return [span for span in collector.of(trace_id) if span.kind == "consumer"]

    eventually(lambda: len(attempts()) == 5, 30)
    kinds = sorted(span.attributes["graft.job.type"] for span in attempts())
    assert kinds == ["batch_predict", "batch_predict", "shard", "shard", "shard"]
    eventually(lambda: any(span.name == "deliver webhook" for span in collector.of(trace_id)), 30)
    delivered = the(collector.of(trace_id), "deliver webhook")
    assert (delivered.kind, delivered.failed) == ("client", True)
    [line] = [
        line
        for line in lines(traced, "worker")
        if line["event"] == "webhook_attempted" and line["job_id"] == job_id
    ]
    assert (line["trace_id"], line["span_id"]) == (trace_id, delivered.span_id)
    assert line["request_id"]


def test_a_request_without_a_trace_begins_one_and_a_bad_header_does_no_harm(
    client: Graft, traced: RunningStack, collector: Receiver
) -> None:
    for header in ("nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        assert client.get("/v1/jobs", headers={"traceparent": header}).status_code == 200
    found = eventually(lambda: [span for span in collector.spans if span.name == "GET /v1/jobs"], 30)
    assert {span.parent_id for span in found} == {""}
    assert len({span.trace_id for span in found}) == len(found)


def test_a_caller_who_does_not_sample_is_obeyed(
    client: Graft, traced: RunningStack, collector: Receiver
) -> None:
    trace_id = secrets.token_hex(16)
    client.get("/v1/datasets", headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-00"})
    later, header = begun()
    client.get("/v1/datasets", headers={"traceparent": header})
    eventually(lambda: collector.of(later), 30)
    assert collector.of(trace_id) == []
    assert any(line.get("trace_id") == trace_id for line in lines(traced, "api")), (
        "its lines are tied all the same"
    )


def test_the_collectors_key_reaches_the_collector_and_no_child(
    traced: RunningStack, collector: Receiver, trained: tuple[str, str, list[Span], str]
) -> None:
    assert {headers.get("x-collector-key") for headers in collector.headers} == {HEADER}
    below = psutil.Process(traced.process.pid).children(recursive=True)
    servers = [process for process in below if "forkserver" in " ".join(process.cmdline())]
    assert servers
    assert not [process.pid for process in servers if HEADER in str(process.environ())]


def test_without_the_settings_there_are_no_traces_and_nothing_is_loaded_for_them() -> None:
    command = """
import sys
from shared import tracing
import api.app, worker.app, worker.child
assert tracing.configure("graft-api") is None and not tracing.is_on()
with tracing.span("x", "server", parent="00-1"), tracing.part("y"):
    tracing.note(error="e")
assert tracing.traceparent() is None
# redis-py looks for OpenTelemetry's API and takes it if it is there
assert not [name for name in sys.modules if name.startswith("opentelemetry.exporter")]
"""
    env = {"PATH": os.environ["PATH"], "GRAFT_SIGNING_KEY": "x" * 16}
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60, env=env)


def test_where_it_is_not_installed_the_log_says_so_and_work_goes_on() -> None:
    command = """
import sys
sys.modules["opentelemetry"] = None
from shared import tracing
reason = tracing.configure("graft-api")
assert reason is not None and "graft[otel]" in reason
assert not tracing.is_on()
"""
    env = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60, env=env)
