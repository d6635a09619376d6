"""What the client sends again and what it does not, over real sockets."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

import graft
from tests.integration.test_client_errors import DATASET, KEY, client_of, hang_up, nobody
from tests.support.scripted_server import Connection, Step, problem, scripted

JOB = {
    "id": "job_01M8DY6A5VZD2HD91YV7VAGDYV",
    "type": "train",
    "status": "queued",
    "project": "default",
    "priority": "normal",
    "created_at": "2026-11-27T07:23:23.029Z",
    "attempt": 0,
    "max_attempts": 3,
    "spec": {},
    "links": {"self": "", "events": "", "logs": "", "cancel": ""},
}


def says(status: int, body: dict[str, Any], **headers: str) -> Step:
    def step(connection: Connection) -> None:
        connection.read()
        connection.say(status, body, **headers)

    return step


AWAY = says(503, problem(503, "temporarily_unavailable"), Retry_After="0")
FINE = says(200, DATASET)


@pytest.mark.parametrize("first", [hang_up, AWAY, says(502, {}), says(504, {})])
def test_a_look_is_made_again(first: Step) -> None:
    with scripted(first, first, FINE) as server, client_of(server.url, retries=2) as client:
        assert client.datasets.get("ds_0").rows == 1
        assert len(server.came) == 3


def test_no_more_often_than_it_was_told() -> None:
    with scripted(AWAY) as server, client_of(server.url, retries=2) as client:
        with pytest.raises(graft.Unavailable):
            client.datasets.get("ds_0")
        assert len(server.came) == 3


@pytest.mark.parametrize("step", [hang_up, AWAY])
def test_what_may_not_come_twice_is_sent_once(step: Step) -> None:
    with scripted(step) as server, client_of(server.url, retries=3) as client:
        for call in (
            lambda: client.keys.create(["read"]),
            lambda: client.models.aliases.rollback("m", "live"),
            lambda: client.models.aliases.set("m", "live", 2, if_match='"7"'),
            lambda: client.webhooks.create("https://example.org", ["job.failed"]),
            lambda: client.upload(b"a\n1\n", format="csv"),
        ):
            before = len(server.came)
            with pytest.raises(graft.Unreachable):
                call()
            assert len(server.came) == before + 1


@pytest.mark.parametrize("step", [hang_up, AWAY])
def test_a_submission_comes_again_with_the_key_that_it_had(step: Step) -> None:
    with scripted(step, step, says(202, JOB)) as server, client_of(server.url, retries=3) as client:
        assert client.jobs.submit({"type": "train"}).id == JOB["id"]
        keys = [came.header("Idempotency-Key") for came in server.came]
        assert len(keys) == 3
        assert len(set(keys)) == 1
        assert keys[0]
        assert all(json.loads(came.body) == {"type": "train"} for came in server.came)
        client.jobs.submit({"type": "train"}, idempotency_key="mine")
        assert server.came[-1].header("Idempotency-Key") == "mine"
        client.jobs.submit({"type": "train"})
        assert server.came[-1].header("Idempotency-Key") not in keys


def test_what_changes_nothing_though_it_is_a_post_comes_again() -> None:
    told = {"model": {"name": "m", "version": 1}, "predictions": [1]}
    with scripted(hang_up, says(200, told)) as server, client_of(server.url, retries=1) as client:
        assert client.models.predict("m", [{}]).predictions == [1]
        assert len(server.came) == 2


def test_a_deletion_whose_answer_was_lost_is_one() -> None:
    gone = says(404, problem(404, "unknown_dataset"))
    with scripted(hang_up, gone) as server, client_of(server.url, retries=1) as client:
        client.datasets.delete("ds_0")
        assert len(server.came) == 2
        with pytest.raises(graft.NotFound):
            client.datasets.delete("ds_0")


def test_the_pause_that_the_server_asks_for_is_kept() -> None:
    slow = says(503, problem(503, "temporarily_unavailable"), Retry_After="1")
    with scripted(slow, FINE) as server, client_of(server.url, retries=1) as client:
        client.datasets.get("ds_0")
        first, second = server.came
        assert 1.0 <= second.at - first.at < 5


def test_a_pause_can_be_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    slow = says(503, problem(503, "temporarily_unavailable"), Retry_After=until)
    with scripted(slow, FINE) as server, client_of(server.url, retries=1) as client:
        client.datasets.get("ds_0")
        first, second = server.came
        assert 0.5 <= second.at - first.at < 6


def test_a_pause_that_is_too_long_is_told_and_not_slept() -> None:
    closed = says(503, problem(503, "temporarily_unavailable"), Retry_After="3600")
    with scripted(closed) as server, client_of(server.url, retries=3) as client:
        begun = time.monotonic()
        with pytest.raises(graft.Unavailable) as caught:
            client.datasets.get("ds_0")
        assert time.monotonic() - begun < 5
        assert caught.value.retry_after == 3600
        assert len(server.came) == 1


def test_too_many_requests_are_waited_for_whatever_they_ask_and_a_quota_is_not() -> None:
    made = {**JOB, "scopes": [], "prefix": "", "key": "k", "created_at": JOB["created_at"]}
    rated = says(429, problem(429, "rate_limited"), Retry_After="0")
    with scripted(rated, says(201, made)) as server, client_of(server.url, retries=1) as client:
        assert client.keys.create(["read"]).key == "k"
        assert len(server.came) == 2
    full = says(429, problem(429, "quota_exceeded"), Retry_After="0")
    with scripted(full) as server, client_of(server.url, retries=3) as client:
        with pytest.raises(graft.TooMany):
            client.jobs.submit({})
        assert len(server.came) == 1


def test_pauses_grow_and_differ() -> None:
    with scripted(hang_up) as server, client_of(server.url, retries=3) as client:
        with pytest.raises(graft.ConnectionBroken):
            client.datasets.get("ds_0")
        pauses = [later.at - earlier.at for earlier, later in zip(server.came, server.came[1:], strict=False)]
        assert pauses[0] >= 0.12
        assert pauses[2] >= 0.5
        assert len(set(pauses)) == 3


def test_where_nobody_listens_every_call_is_tried_again_for_nothing_was_sent() -> None:
    begun = time.monotonic()
    with client_of(nobody(), retries=1) as client, pytest.raises(graft.NoConnection):
        client.keys.create(["read"])
    assert time.monotonic() - begun >= 0.12


def test_a_stream_that_was_read_cannot_be_sent_again() -> None:
    class Pipe:
        left = 3

        def seekable(self) -> bool:
            return False

        def read(self, size: int) -> bytes:
            self.left -= 1
            return b"1\n" * 10 if self.left >= 0 else b""

    def refused(connection: Connection) -> None:
        connection.read()
        while not connection.came[-1].body.endswith(b"0\r\n\r\n"):
            connection.came[-1].body += connection.socket.recv(65_536)
        connection.say(429, problem(429, "rate_limited"), Retry_After="0")

    with scripted(refused) as server, client_of(server.url, retries=1) as client:
        with pytest.raises(graft.BadSource, match="cannot be sent again"):
            client.upload(Pipe(), format="csv", name="t")  # type: ignore[arg-type]
        assert server.came[0].header("Transfer-Encoding") == "chunked"
        assert b"1\n" * 10 in server.came[0].body


def test_the_key_goes_to_the_api_and_not_to_where_a_link_leads() -> None:
    with scripted(lambda it: it.read() and it.say(200, b"model")) as store:
        link = says(302, {}, Location=f"{store.url}/artifact?signature=x")
        with scripted(link) as server, client_of(server.url) as client:
            assert client.models.versions.artifact("m", 1) == b"model"
            assert server.came[0].header("Authorization") == f"Bearer {KEY}"
        assert store.came[0].header("Authorization") is None


def test_a_live_line_looks_now_and_then_where_too_many_follow() -> None:
    full = says(503, problem(503, "too_many_waiting"), Retry_After="30")
    ended = says(200, {**JOB, "status": "succeeded"})
    with scripted(says(202, JOB), full, ended) as server, client_of(server.url) as client:
        begun = time.monotonic()
        job = client.jobs.submit({}).wait(progress=True)
        assert job.status == "succeeded"
        assert time.monotonic() - begun < 10
        assert [came.head.split(" HTTP")[0] for came in server.came] == [
            "POST /v1/jobs",
            f"GET /v1/jobs/{JOB['id']}/events",
            f"GET /v1/jobs/{JOB['id']}",
        ]
