"""A job's events as they happen: whole, resumed at every place, in bounds, and over when their time is up."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from tests.e2e import tables
from tests.e2e.conftest import KEYS, RunningStack
from tests.support.client import ENDED, Graft, Json, train_body
from tests.support.event_streams import Stream, follow, happened, told
from tests.support.waiting import eventually

PLACES = 16
"""GRAFT_MAX_WAITING in each of two API processes."""


@pytest.fixture(scope="module")
def iris(graft: Graft) -> str:
    return graft.dataset(tables.iris())


@pytest.fixture
def running(graft: Graft, endless: Json) -> Iterator[str]:
    """A job that runs until the test is over."""
    job_id = graft.started(endless)
    yield job_id
    graft.post(f"/v1/jobs/{job_id}/cancel")
    graft.ended(job_id)


def listed(graft: Graft, job_id: str) -> list[Json]:
    events: list[Json] = graft.get(f"/v1/jobs/{job_id}/events", params={"limit": 500}).json()["data"]
    return events


def test_a_stream_tells_what_the_list_tells_and_ends_with_the_job(graft: Graft, iris: str) -> None:
    job_id = graft.submit(train_body(iris, "streamed")).json()["id"]
    with follow(graft, job_id) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Vary"] == "Accept"
        stream = Stream(response)
        events = list(stream)
    assert happened(events) == listed(graft, job_id)
    kept = [event.event for event in events if event.id and event.event != "checkpoint"]
    assert kept == ["submitted", "claimed", "succeeded"]
    assert (events[-1].event, events[-1].data["state"]) == ("succeeded", "succeeded")
    assert stream.retry_ms is not None
    assert all(event.id == event.data["id"] for event in events if event.id)


def test_a_stream_goes_on_right_after_the_last_event_id(graft: Graft, iris: str) -> None:
    job_id = graft.run(train_body(iris, "resumed-stream"))["id"]
    all_of_them = listed(graft, job_id)
    for known in range(1, len(all_of_them)):
        rest = told(graft, job_id, all_of_them[known - 1]["id"])
        assert happened(rest) == all_of_them[known:]
    with graft.stream(
        "GET",
        f"/v1/jobs/{job_id}/events",
        params={"after": all_of_them[0]["id"]},
        headers={"Accept": "text/event-stream", "Last-Event-ID": all_of_them[1]["id"]},
    ) as response:
        assert happened(Stream(response)) == all_of_them[2:], "the header knows more than the address"


def test_a_stream_that_is_cut_again_and_again_loses_and_repeats_nothing(graft: Graft) -> None:
    dataset = graft.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 400, "hidden_layers": [256], "learning_rate": 1e-6}
    job_id = graft.submit(train_body(dataset, "cut", estimator=estimator)).json()["id"]
    seen: list[Json] = []
    while not seen or seen[-1]["state"] not in ENDED:
        with follow(graft, job_id, seen[-1]["id"] if seen else None) as response:
            for event in Stream(response):
                if event.id is not None:
                    seen.append(event.data)
                    break  # and the connection is closed
    assert seen == listed(graft, job_id)
    assert len(seen) > 3, "it has told of checkpoints, too"


def test_a_client_that_knows_the_end_is_told_not_to_come_back(graft: Graft, iris: str) -> None:
    job_id = graft.run(train_body(iris, "known"))["id"]
    last = listed(graft, job_id)[-1]["id"]
    with follow(graft, job_id, last) as response:
        assert (response.status_code, response.read()) == (204, b"")


@pytest.mark.parametrize(
    "last", ["1", "1-", "-", "soon", "1-1-1", "1_0-0", "9" * 30 + "-0", "1-0, 2-0", "(1-0", "*"]
)
def test_a_last_event_id_that_is_none_is_refused(graft: Graft, iris: str, last: str) -> None:
    job_id = graft.submit(train_body(iris, "misread")).json()["id"]
    with follow(graft, job_id, last) as response:
        response.read()
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "bad_last_event_id"
    graft.ended(job_id)


def test_an_empty_last_event_id_is_none(graft: Graft, iris: str) -> None:
    job_id = graft.run(train_body(iris, "empty"))["id"]
    assert happened(told(graft, job_id, "")) == listed(graft, job_id)


def test_progress_is_told_as_it_changes_and_is_no_part_of_the_story(graft: Graft, running: str) -> None:
    told_of: list[Json] = []
    with follow(graft, running) as response:
        for event in Stream(response):
            if event.event == "progress":
                assert event.id is None
                told_of.append(event.data)
            if len(told_of) == 3:
                break
    assert all(item["attempt"] == 1 for item in told_of)
    assert all(one != other for one, other in itertools.pairwise(told_of))
    fitting = [item["progress"]["completed"] for item in told_of if item["progress"]["phase"] == "fitting"]
    assert fitting == sorted(fitting)
    assert fitting


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("TEXT/Event-Stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_what_is_accepted_decides_between_list_and_stream(
    graft: Graft, iris: str, accept: str | None, kind: str
) -> None:
    job_id = graft.run(train_body(iris, "negotiated"))["id"]
    request = graft.build_request("GET", f"/v1/jobs/{job_id}/events")
    request.headers.pop("Accept")
    if accept is not None:
        request.headers["Accept"] = accept
    response = graft.send(request)
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == kind
    assert response.headers["Vary"] == "Accept"


def test_another_projects_stream_does_not_exist(graft: Graft, stranger: Graft, iris: str) -> None:
    job_id = graft.run(train_body(iris, "unheard"))["id"]
    with follow(stranger, job_id) as response:
        response.read()
    assert (response.status_code, response.json()["code"]) == (404, "unknown_job")


def test_a_silent_stream_has_heartbeats(graft: Graft, running: str, endless: Json, iris: str) -> None:
    other = graft.started(endless)  # both places of the worker are taken
    job_id = graft.submit(train_body(iris, "silent")).json()["id"]
    with follow(graft, job_id) as response:
        stream, events = Stream(response), []
        for event in stream:
            events.append(event.event)
            if event.event == "submitted":
                time.sleep(11)
                graft.post(f"/v1/jobs/{job_id}/cancel")
    assert events == ["submitted", "cancelled"]
    assert "heartbeat" in stream.comments
    graft.post(f"/v1/jobs/{other}/cancel")


def test_streams_are_bounded_with_long_polls_and_give_their_places_back(graft: Graft, running: str) -> None:
    asked = [_asked(graft, running) for _ in range(PLACES + 14)]
    try:
        statuses = Counter(_status(connection) for connection in asked)
        assert set(statuses) == {200, 503}
        assert 8 <= statuses[200] <= PLACES
        assert graft.get("/healthz").status_code == 200, "the API still answers"
        for _ in range(20):  # all the places of both processes are taken: both refuse
            response = graft.get(f"/v1/jobs/{running}", params={"wait": 20})
            assert response.status_code == 503 or statuses[200] < PLACES
            assert response.status_code != 503 or int(response.headers["Retry-After"]) >= 1
            if response.status_code == 200:
                break
    finally:
        for connection in asked:
            connection.close()

    def all_free() -> bool:
        with contextlib.ExitStack() as stack:
            return all(
                stack.enter_context(follow(graft, running)).status_code == 200 for _ in range(PLACES // 2)
            )

    eventually(all_free, 5)


def test_a_stream_ends_when_its_process_is_told_to_stop_and_another_goes_on(
    graft: Graft, stack: RunningStack, running: str
) -> None:
    with follow(graft, running) as response:
        stream = iter(Stream(response))
        seen = [next(stream).data, next(stream).data]
        started = time.monotonic()
        for process in api_workers(stack):
            process.terminate()
        rest = [event for event in stream if event.id is not None]
        assert time.monotonic() - started < 5
    assert all(event.data["state"] not in ENDED for event in rest)

    def reconnects() -> Json | None:
        with contextlib.suppress(OSError, Exception), follow(graft, running, seen[0]["id"]) as again:
            first: Json = next(iter(Stream(again))).data
            return first
        return None

    assert eventually(reconnects, 15) == seen[1]


def api_workers(stack: RunningStack) -> list[psutil.Process]:
    """The processes in which the API answers: gunicorn's children."""
    servers = [
        process
        for process in psutil.Process(stack.process.pid).children(recursive=True)
        if "gunicorn" in " ".join(process.cmdline())
    ]
    return [process for process in servers if process.ppid() in {other.pid for other in servers}]


def _asked(graft: Graft, job_id: str) -> socket.socket:
    """A connection on which the stream has been asked for, at the level of a client that just goes away."""
    address = urlsplit(str(graft.base_url))
    connection = socket.create_connection((address.hostname or "", address.port or 80), timeout=10)
    connection.sendall(
        f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: graft\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {KEYS['default']}\r\n\r\n".encode()
    )
    return connection


def _status(connection: socket.socket) -> int:
    return int(connection.recv(100).split()[1])
