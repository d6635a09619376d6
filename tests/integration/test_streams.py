"""Streams and waits at their limits: their time, Redis that goes away, clients that go, a server that stops."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from api import streams
from api.waiting import Client, Waiting
from shared.errors import NotFound, Temporary
from shared.job_records import NewJob
from shared.services import Services
from shared.states import JobState
from tests.support.event_streams import Event, Stream


@pytest.fixture
def job_id(services: Services) -> str:
    return services.jobs.submit(NewJob(project="default", type="train", spec={}))[0].id


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Client]]:
    """A client's socket, and the server's view of it."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        yield theirs, Client(ours)


def opened(
    services: Services,
    job_id: str,
    *,
    after: str | None = None,
    waiting: Waiting | None = None,
    client: Client | None = None,
    seconds: float = 30,
) -> Iterator[str]:
    response = streams.respond(
        services.jobs,
        "default",
        job_id,
        after=after,
        waiting=waiting or Waiting(1),
        client=client or Client(None),
        seconds=seconds,
    )
    chunks: Iterator[str] = iter(response.response)  # type: ignore[arg-type, assignment]
    return chunks


def events(chunks: Iterator[str]) -> list[Event]:
    return list(Stream(None)._parsed("".join(chunks).split("\n")))  # type: ignore[arg-type]


def test_a_stream_has_its_time(services: Services, job_id: str) -> None:
    begun = time.monotonic()
    told = events(opened(services, job_id, seconds=0.6))
    assert 0.5 < time.monotonic() - begun < 8
    assert [event.event for event in told] == ["submitted"]


def test_a_stream_goes_on_when_redis_has_been_away(services: Services, job_id: str) -> None:
    chunks = opened(services, job_id)
    assert "retry" in next(chunks)
    assert "submitted" in next(chunks)
    services.database.client_pause(2_500)  # longer than a call is tried for: twice 0.9 s
    cancel = threading.Timer(3.0, services.jobs.cancel, ("default", job_id))
    cancel.start()
    assert [event.event for event in events(chunks)] == ["cancelled"]


def test_a_job_that_is_forgotten_ends_its_stream(services: Services, job_id: str) -> None:
    chunks = opened(services, job_id)
    next(chunks), next(chunks)
    services.database.flushall()
    assert list(chunks) == []
    with pytest.raises(NotFound):
        opened(services, job_id)


def test_more_events_than_are_read_at_once_all_come(services: Services, job_id: str) -> None:
    claimed = services.jobs.claim("normal", "worker")
    assert claimed
    for number in range(250):
        services.jobs.note(claimed[0], "checkpoint", reason=str(number))
    services.jobs.finish(claimed[0], JobState.SUCCEEDED)
    told = [event for event in events(opened(services, job_id)) if event.event == "checkpoint"]
    assert [event.data["reason"] for event in told] == [str(number) for number in range(250)]


def test_a_client_that_has_gone_gives_its_place_back(
    services: Services, job_id: str, pair: tuple[socket.socket, Client]
) -> None:
    theirs, client = pair
    chunks = opened(services, job_id, client=client)
    next(chunks), next(chunks)
    threading.Timer(0.3, theirs.close).start()
    begun = time.monotonic()
    assert list(chunks) == []
    assert time.monotonic() - begun < 8


def test_a_client_that_has_sent_its_next_request_is_still_there(pair: tuple[socket.socket, Client]) -> None:
    theirs, client = pair
    theirs.sendall(b"GET /")
    begun = time.monotonic()
    assert not client.leaves_within(0.2)
    assert time.monotonic() - begun >= 0.2


def test_a_server_that_stops_ends_streams_and_long_polls(services: Services, job_id: str) -> None:
    waiting = Waiting(2)
    chunks = opened(services, job_id, waiting=waiting)
    next(chunks), next(chunks)
    threading.Timer(0.2, waiting.stop).start()
    begun = time.monotonic()
    waiting.until(lambda: False, 20, Client(None))
    assert list(chunks) == []
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("most", [0, 1, 3])
def test_there_are_so_many_places_and_each_is_given_back_once(most: int) -> None:
    waiting = Waiting(most)
    taken: list[Callable[[], None]] = [waiting.take() for _ in range(most)]
    with pytest.raises(Temporary) as refused:
        waiting.take()
    assert (refused.value.code, refused.value.retry_after) == ("too_many_waiting", 1)
    for give_back in taken[:1]:
        give_back()
        give_back()
        waiting.take()
        with pytest.raises(Temporary):
            waiting.take()


def test_a_wait_that_fails_gives_its_place_back(services: Services) -> None:
    waiting = Waiting(1)
    answers = iter([False, False])
    with pytest.raises(StopIteration):
        waiting.until(lambda: next(answers), 5, Client(None))
    waiting.take()
