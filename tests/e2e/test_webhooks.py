"""Webhooks from a running stack to a real receiver: signed, retried, logged, replayed, in no job's way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from graft.stack import Endpoint, RunningServer, ports
from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack, running_stack
from tests.e2e.test_faults import worker_process
from tests.support.client import Graft, Json, train_body
from tests.support.receiver import Answer, Received, Receiver, receiver
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
RETRIES = 4
TOTAL_SECONDS = 2.0
SETTINGS = {
    "GRAFT_WEBHOOK_ALLOW_PRIVATE": "true",
    "GRAFT_WEBHOOK_ALLOW_HTTP": "true",
    "GRAFT_WEBHOOK_RETRY_SECONDS": ",".join(["0.2"] * RETRIES),
    "GRAFT_WEBHOOK_TOTAL_SECONDS": str(TOTAL_SECONDS),
    "GRAFT_UPKEEP_SECONDS": "0.2",
}
ALL = ["job.queued", "job.started", "job.succeeded", "job.failed", "job.cancelled"]


@dataclass(frozen=True)
class Hooked:
    """A stack that may call receivers on this machine, and where its failpoints are armed."""

    stack: RunningStack
    failpoints: Path

    def kill_at(self, point: str) -> None:
        (self.failpoints / point).touch()

    def is_armed(self, point: str) -> bool:
        return (self.failpoints / point).exists()


@pytest.fixture(scope="module")
def hooked(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[Hooked]:
    failpoints = tmp_path_factory.mktemp("failpoints")
    settings = {**SETTINGS, "GRAFT_FAILPOINTS": str(failpoints)}
    with running_stack(tmp_path_factory.mktemp("hooked"), object_store, **settings) as running:
        yield Hooked(running, failpoints)


@pytest.fixture(scope="module")
def client(hooked: Hooked) -> Iterator[Graft]:
    with Graft(hooked.stack.url, KEYS["default"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def body(client: Graft) -> Json:
    """A job of half a second."""
    return train_body(client.dataset(tables.iris()), "told")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def webhook(client: Graft, hook: Receiver) -> Iterator[Json]:
    """An endpoint that is told of every end of a job, with its secret. Afterwards there is none."""
    yield create(client, hook)
    for left in client.get("/v1/webhooks").json()["data"]:
        client.delete(left["links"]["self"]).raise_for_status()


def create(client: Graft, hook: Receiver, *events: str, **fields: Any) -> Json:
    asked = {"url": hook.url, "events": list(events or ALL[2:]), **fields}
    response = client.post("/v1/webhooks", json=asked)
    assert response.status_code == 201, response.text
    assert response.headers["Cache-Control"] == "no-store"
    made: Json = response.json()
    assert response.headers["Location"] == made["links"]["self"]
    return made


def look(client: Graft, webhook: Json) -> Json:
    found: Json = client.get(webhook["links"]["self"]).json()
    return found


def deliveries(client: Graft, webhook: Json) -> list[Json]:
    response = client.get(webhook["links"]["deliveries"])
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["data"]
    return found


def soon_ended(client: Graft, body: Json, **fields: Any) -> str:
    """A job that ends soon, cancelled if nothing was faster."""
    job_id: str = client.submit({**body, "priority": "low", **fields}).json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    client.ended(job_id)
    return job_id


def test_the_end_of_a_job_is_told_and_verifies(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    job = client.run({**body, "metadata": {"order": 7}})
    [came] = eventually(lambda: hook.received)
    event = came.verified(webhook["secret"])
    assert event["type"] == "job.succeeded"
    assert event["timestamp"] == job["finished_at"]
    assert re.fullmatch(r"msg_[0-9A-Z]{26}_succeeded", came.id)
    data = event["data"]
    for name in (
        "id",
        "type",
        "status",
        "project",
        "created_at",
        "started_at",
        "finished_at",
        "attempt",
        "usage",
    ):
        assert data[name] == job[name], name
    assert data["metadata"] == {"order": 7}
    assert data["result"]["model"] == job["result"]["model"]
    assert data["result"]["metrics"]["accuracy"] == job["result"]["metrics"]["accuracy"]
    assert client.get(data["links"]["self"]).json()["id"] == job["id"]
    assert "spec" not in data
    delivery = eventually(
        lambda: next((d for d in deliveries(client, webhook) if d["status"] == "succeeded"), None)
    )
    assert delivery
    assert (delivery["job"], delivery["message"], delivery["event"]) == (job["id"], came.id, "job.succeeded")
    assert [(line["status"], line["error"]) for line in delivery["attempts"]] == [(200, None)]
    assert delivery["next_attempt_at"] is None


def test_nobody_else_can_have_sent_it(client: Graft, hook: Receiver, webhook: Json, body: Json) -> None:
    soon_ended(client, body)
    [came] = eventually(lambda: hook.received)
    came.verified(webhook["secret"])
    other = create(client, hook)["secret"]
    for changed in (
        Received(came.path, came.headers, came.body.replace(b"job.", b"jab.", 1)),
        Received(came.path, {**came.headers, "webhook-id": "msg_other"}, came.body),
        Received(came.path, {**came.headers, "webhook-timestamp": str(int(time.time()) + 1)}, came.body),
    ):
        with pytest.raises(WebhookVerificationError):
            changed.verified(webhook["secret"])
    with pytest.raises(WebhookVerificationError):
        came.verified(other)


def test_a_jobs_own_url_hears_of_its_end(client: Graft, hook: Receiver, body: Json) -> None:
    secret = client.post("/v1/webhook-secret", json={}).json()["secret"]
    url = f"{hook.url}/own?job=1"
    job = client.run({**body, "webhook_url": url})
    [came] = eventually(lambda: hook.at("/hook/own?job=1"))
    assert came.verified(secret)["data"]["id"] == job["id"]
    [delivery] = eventually(
        lambda: [d for d in client.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"] if d["attempts"]]
    )
    assert (delivery["status"], delivery["webhook"], delivery["job"]) == ("succeeded", None, job["id"])
    assert client.get("/v1/webhook-secret").json()["rotated_at"]
    assert len(hook.received) == 1
    retried = client.get(f"/v1/jobs/{job['id']}").json()["spec"]["webhook_url"]
    assert retried == url


def test_queued_started_and_ended_are_told_in_order(client: Graft, hook: Receiver, body: Json) -> None:
    made = create(client, hook, *ALL)
    job = client.run(body)
    eventually(lambda: len(hook.received) == 3)
    told = [came.verified(made["secret"]) for came in hook.received]
    assert [event["type"] for event in told] == ["job.queued", "job.started", "job.succeeded"]
    assert [event["data"]["status"] for event in told] == ["queued", "running", "succeeded"]
    assert {event["data"]["id"] for event in told} == {job["id"]}
    assert "result" not in told[1]["data"]
    assert len({came.id for came in hook.received}) == 3
    client.delete(made["links"]["self"])


def test_failures_are_tried_again_under_the_same_id(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    answers = iter([500, 302, 404])
    hook.answer = lambda _: Answer(next(answers, 200), {"Location": f"{hook.url}/elsewhere"})
    soon_ended(client, body)
    eventually(lambda: len(hook.received) == 4)
    assert {came.path for came in hook.received} == {"/hook"}
    assert len({came.id for came in hook.received}) == 1
    assert len({came.body for came in hook.received}) == 1
    for came in hook.received:
        came.verified(webhook["secret"])
    delivery = eventually(
        lambda: next((d for d in deliveries(client, webhook) if d["status"] == "succeeded"), None)
    )
    assert delivery
    errors = [line["error"] for line in delivery["attempts"]]
    assert errors == ["http_500", "redirect", "http_404", None]
    assert look(client, webhook)["failing_since"] is None


def test_after_the_last_try_it_has_failed_and_replay_delivers_it(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    hook.answer = lambda _: Answer(503)
    job_id = soon_ended(client, body)
    failed = eventually(
        lambda: next((d for d in deliveries(client, webhook) if d["status"] == "failed"), None)
    )
    assert failed
    assert len(failed["attempts"]) == len(hook.received) == RETRIES + 1
    assert look(client, webhook)["failing_since"]
    hook.answer = lambda _: Answer(200)
    replayed = client.post(f"{webhook['links']['deliveries']}/{failed['id']}/replay")
    assert (replayed.status_code, replayed.json()["status"]) == (202, "pending")
    eventually(lambda: deliveries(client, webhook)[0]["status"] == "succeeded")
    assert len({came.id for came in hook.received}) == 1
    assert hook.received[-1].verified(webhook["secret"])["data"]["id"] == job_id


def test_all_that_failed_can_be_had_again(client: Graft, hook: Receiver, webhook: Json, body: Json) -> None:
    began = datetime.now(UTC)
    hook.answer = lambda _: Answer(400)
    jobs = {soon_ended(client, body) for _ in range(3)}
    eventually(lambda: [d["status"] for d in deliveries(client, webhook)] == ["failed"] * 3, 60)
    hook.answer, hook.received = lambda _: Answer(), []
    asked = {"since": began.isoformat().replace("+00:00", "Z")}
    response = client.post(f"{webhook['links']['self']}/replay", json=asked)
    assert (response.status_code, response.json()) == (202, {"replayed": 3})
    eventually(lambda: [d["status"] for d in deliveries(client, webhook)] == ["succeeded"] * 3)
    assert {came.event["data"]["id"] for came in hook.received} == jobs


def test_a_worker_that_is_killed_between_the_call_and_its_record_delivers_again_under_the_same_id(
    client: Graft, hooked: Hooked, hook: Receiver, webhook: Json, body: Json
) -> None:
    hooked.kill_at("delivery.sent")
    job_id = soon_ended(client, body)
    eventually(lambda: not hooked.is_armed("delivery.sent"))
    assert len(hook.received) == 1
    eventually(lambda: len(hook.received) == 2, 60)
    first, second = hook.received
    assert first.id == second.id
    assert first.body == second.body
    assert second.verified(webhook["secret"])["data"]["id"] == job_id
    delivery = eventually(
        lambda: next((d for d in deliveries(client, webhook) if d["status"] == "succeeded"), None)
    )
    assert delivery
    assert [line["error"] for line in delivery["attempts"]] == ["worker_lost", None]


@pytest.mark.parametrize("script", ["take_delivery.after", "record_delivery.after"])
def test_a_worker_may_die_at_any_step(
    client: Graft, hooked: Hooked, hook: Receiver, webhook: Json, body: Json, script: str
) -> None:
    hooked.kill_at(script)
    soon_ended(client, body)
    eventually(lambda: not hooked.is_armed(script))
    eventually(lambda: deliveries(client, webhook)[0]["status"] == "succeeded", 60)
    assert len({came.id for came in hook.received}) == 1
    assert len(hook.received) == 1, "it had not been called, or that was written down"


def test_a_slow_receiver_delays_no_job(client: Graft, hook: Receiver, webhook: Json, body: Json) -> None:
    """Deliveries that take 2 s each, until they are given up, wait; jobs go on as if there were none."""

    def seconds(count: int) -> float:
        began = time.monotonic()
        for job_id in [client.submit(body).json()["id"] for _ in range(count)]:
            client.ended(job_id)
        return time.monotonic() - began

    client.patch(webhook["links"]["self"], json={"disabled": True}).raise_for_status()
    seconds(1)
    without = seconds(3)
    client.patch(webhook["links"]["self"], json={"disabled": False}).raise_for_status()
    hook.answer = lambda _: Answer(seconds=10)
    for _ in range(10):
        soon_ended(client, body)
    slow = seconds(3)
    assert hook.received, "it was being called meanwhile"
    assert slow < 2 * without + 2, f"{slow:.1f} s against {without:.1f} s"
    waiting = [
        d["status"] for d in client.get(webhook["links"]["deliveries"], params={"limit": 100}).json()["data"]
    ]
    assert waiting.count("pending") > 5


def test_a_slow_receiver_delays_no_other(client: Graft, hook: Receiver, webhook: Json, body: Json) -> None:
    with receiver() as fast:
        hook.answer = lambda _: Answer(seconds=10)
        other = create(client, fast)
        for _ in range(8):
            soon_ended(client, body)
        eventually(lambda: len(fast.received) == 8, 10)
        client.delete(other["links"]["self"])


def test_webhooks_are_delivered_while_every_thread_runs_a_job(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    dataset = client.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 100_000, "hidden_layers": [256], "learning_rate": 1e-6}
    endless = train_body(dataset, "endless", estimator=estimator)
    running = [client.started(endless) for _ in range(2)]
    job_id = soon_ended(client, body)
    [came] = eventually(lambda: hook.received, 10)
    assert came.event["data"]["id"] == job_id
    for busy in running:
        assert client.job(busy)["status"] == "running"
        client.post(f"/v1/jobs/{busy}/cancel")
    for busy in running:
        client.ended(busy)


def test_410_switches_it_off_and_it_can_be_switched_on_again(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    hook.answer = lambda _: Answer(410)
    soon_ended(client, body)
    off = eventually(lambda: found if (found := look(client, webhook))["status"] == "disabled" else None)
    assert off
    assert off["disabled_reason"] == "gone"
    assert deliveries(client, webhook)[0]["attempts"][0]["error"] == "gone"
    soon_ended(client, body)
    assert len(deliveries(client, webhook)) == 1
    test = client.post(f"{webhook['links']['self']}/test")
    assert (test.status_code, test.json()["code"]) == (409, "webhook_disabled")
    hook.answer = lambda _: Answer()
    on = client.patch(webhook["links"]["self"], json={"disabled": False}).json()
    assert (on["status"], on["disabled_reason"]) == ("enabled", None)
    soon_ended(client, body)
    eventually(lambda: len(hook.received) == 2)


def test_both_secrets_sign_while_they_overlap(
    client: Graft, hook: Receiver, webhook: Json, body: Json
) -> None:
    rotated = client.post(f"{webhook['links']['self']}/rotate", json={"overlap_seconds": 3600})
    assert rotated.headers["Cache-Control"] == "no-store"
    new = rotated.json()["secret"]
    soon_ended(client, body)
    [came] = eventually(lambda: hook.received)
    assert len(came.headers["webhook-signature"].split()) == 2
    assert came.verified(new) == came.verified(webhook["secret"])
    last = client.post(f"{webhook['links']['self']}/rotate", json={"overlap_seconds": 0}).json()["secret"]
    soon_ended(client, body)
    eventually(lambda: len(hook.received) == 2)
    hook.received[1].verified(last)
    for old in (new, webhook["secret"]):
        with pytest.raises(WebhookVerificationError):
            hook.received[1].verified(old)


def test_a_test_event_is_sent(client: Graft, hook: Receiver, webhook: Json) -> None:
    response = client.post(f"{webhook['links']['self']}/test")
    assert response.status_code == 202
    assert response.json()["status"] == "pending"
    [came] = eventually(lambda: hook.received)
    event = came.verified(webhook["secret"])
    assert (event["type"], event["data"]["webhook"]) == ("webhook.test", webhook["id"])
    assert came.id == response.json()["message"]
    line = 'graft_webhook_attempts_total{outcome="succeeded",project="default"} '
    eventually(lambda: line in client.get("/metrics").text)


def test_an_occurrence_that_gets_no_job_is_told(client: Graft, hook: Receiver, body: Json) -> None:
    made = create(client, hook, "schedule.failed")
    uri = {"type": "batch_predict", "model": "told@gone", "input": {"dataset": body["dataset"]}}
    client.run(body)
    client.put("/v1/models/told/aliases/gone", json={"version": 1}).raise_for_status()
    asked = {"name": "doomed", "cron": "* * * * *", "job": uri}
    schedule = client.post("/v1/schedules", json=asked).raise_for_status().json()
    client.delete("/v1/models/told/aliases/gone").raise_for_status()
    [came] = eventually(lambda: hook.received, 90)
    event = came.verified(made["secret"])
    client.delete(f"/v1/schedules/{schedule['id']}")
    client.delete(made["links"]["self"])
    assert event["type"] == "schedule.failed"
    assert event["data"]["schedule"] == schedule["id"]
    assert event["data"]["status"] == "failed"
    assert event["data"]["code"]
    assert event["data"]["scheduled_for"] == schedule["next_run_at"]


def test_a_webhook_is_shown_listed_changed_and_deleted(client: Graft, hook: Receiver, webhook: Json) -> None:
    shown = look(client, webhook)
    assert shown == {name: value for name, value in webhook.items() if name != "secret"}
    assert webhook["id"] in [item["id"] for item in client.get("/v1/webhooks").json()["data"]]
    changed = client.patch(
        webhook["links"]["self"],
        json={"events": ["job.failed"], "description": "pager", "url": f"{hook.url}/b"},
    ).json()
    assert (changed["events"], changed["description"], changed["url"]) == (
        ["job.failed"],
        "pager",
        f"{hook.url}/b",
    )
    assert client.delete(webhook["links"]["self"]).status_code == 204
    assert client.get(webhook["links"]["self"]).status_code == 404
    assert client.delete(webhook["links"]["self"]).status_code == 404


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": None}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": "x" * 3_000}, "/url"),
        ({"url": 7}, "/url"),
        ({"url": "https://user:hunter2@example.com/"}, "/url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["job.dreamt"]}, "/events/0"),
        ({"events": ["job.failed", "job.failed"]}, "/events"),
        ({"events": "job.failed"}, "/events"),
        ({"description": "a\nb"}, "/description"),
        ({"disabled": "yes"}, "/disabled"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
def test_what_cannot_be_a_webhook_is_refused_at_its_field(client: Graft, fields: Json, pointer: str) -> None:
    asked = {"url": "https://example.com/", "events": ["job.failed"], **fields}
    response = client.post("/v1/webhooks", json=asked)
    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert "hunter2" not in response.text


def test_no_log_holds_a_webhook_secret(client: Graft, hooked: Hooked, webhook: Json) -> None:
    client.post(f"{webhook['links']['self']}/test")
    eventually(lambda: deliveries(client, webhook)[0]["status"] == "succeeded")
    for path in (hooked.stack.directory / "logs").glob("*.log"):
        assert webhook["secret"].removeprefix("whsec_") not in path.read_text(errors="replace"), path.name


def test_what_was_due_while_no_worker_ran_is_delivered_afterwards(
    client: Graft, hooked: Hooked, hook: Receiver, webhook: Json, body: Json
) -> None:
    worker_process(hooked.stack).send_signal(signal.SIGKILL)
    job_id = client.submit(body).json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    [came] = eventually(lambda: hook.received, 60)
    assert came.event["data"]["id"] == job_id


@pytest.fixture
def documented(tmp_path: Path) -> Iterator[Callable[[str], tuple[str, subprocess.Popen[str]]]]:
    """Runs the receiver of docs/webhooks.md with a secret; where it listens."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    [code] = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    file = tmp_path / "receiver.py"
    file.write_text(code)
    started: list[subprocess.Popen[str]] = []
    port = ports.choose("127.0.0.1")

    def run(secret: str) -> tuple[str, subprocess.Popen[str]]:
        env = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)}
        command = [sys.executable, str(file)]
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        return f"http://127.0.0.1:{port}/", process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def test_the_receiver_of_the_documentation_verifies_and_counts_once(
    client: Graft, body: Json, documented: Callable[[str], tuple[str, subprocess.Popen[str]]]
) -> None:
    secret = client.post("/v1/webhook-secret", json={"overlap_seconds": 0}).json()["secret"]
    url, process = documented(secret)

    def post(signed_by: str, content: str) -> httpx.Response | None:
        moment = datetime.now(UTC)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(signed_by).sign("msg_1", moment, content),
        }
        try:
            return httpx.post(url, content=content, headers=headers)
        except httpx.ConnectError:
            return None

    forged = eventually(lambda: post("whsec_" + "A" * 44, "{}"))
    assert forged
    assert forged.status_code == 400
    job = client.run({**body, "webhook_url": url})
    assert process.stdout
    assert process.stdout.readline().split() == ["job.succeeded", job["id"]]
    content = json.dumps({"type": "job.failed", "timestamp": "", "data": {"id": "job_x"}})
    for _ in range(2):
        answered = post(secret, content)
        assert answered
        assert answered.is_success
    content = json.dumps({"type": "job.failed", "timestamp": "", "data": {"id": "job_y"}})
    assert process.stdout.readline().split() == ["job.failed", "job_x"]
