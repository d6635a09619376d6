"""A job's events as Server-Sent Events (WHATWG HTML, section 9.2), until the job has ended.

    retry: 2000                                  first of all: how soon to connect again
    id: 1764224000000-0                          each thing that happened, once, with the id that it has in the list;
    event: claimed                                 `Last-Event-ID` goes on right after it
    data: {"id": …, "event": "claimed", …}
    event: progress                              how far it is, when that has changed; without an id, as it is not kept
    data: {"attempt": 1, "progress": {…}, "counts": null}
    : heartbeat                                  when there was nothing else for a while

The last is `succeeded`, `failed` or `cancelled`; then the stream closes. It also closes after `GRAFT_STREAM_SECONDS`,
or when the server stops: the client connects again and loses nothing. While Redis is away the stream stays and goes on
afterwards. Nothing is held while it waits but the thread and its place (`api.waiting`): events are looked for again and
again, as long polls do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Final

from flask import Response

from api.waiting import Client, Waiting
from shared.contracts.jobs import JobEvent, JobProgress
from shared.errors import Malformed, Temporary
from shared.job_records import Following
from shared.jobs import JobStore
from shared.states import TERMINAL

MEDIA_TYPE: Final = "text/event-stream"
EVENT_ID: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")

_RETRY_MS = 2_000
_LOOK_SECONDS = 0.2
_AWAY_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0


def last_event_id(header: str | None) -> str | None:
    """What `Last-Event-ID` says; an empty one says nothing. Raises Malformed."""
    if not header:
        return None
    if not EVENT_ID.fullmatch(header):
        raise Malformed("Last-Event-ID should be the id of one of the job's events", code="bad_last_event_id")
    return header


def respond(
    jobs: JobStore,
    project: str,
    job_id: str,
    *,
    after: str | None,
    waiting: Waiting,
    client: Client,
    seconds: float,
) -> Response:
    """The stream; or 204, which ends a client's attempts to connect again, when the job has ended and it knows that.

    Raises NotFound, and Temporary if there is no place.
    """
    first = jobs.follow(project, job_id, Following(after=after))
    if after is not None and first.state in TERMINAL and not first.events:
        return Response(status=204)
    give_back = waiting.take()
    look = _looks(jobs, project, job_id, first)
    response = Response(_lines(look, waiting, client, seconds), mimetype=MEDIA_TYPE)
    response.call_on_close(give_back)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _looks(jobs: JobStore, project: str, job_id: str, first: Following) -> Callable[[], Following]:
    """Each call tells what is new since the last."""
    seen: list[Following] = []

    def look() -> Following:
        seen[:] = [jobs.follow(project, job_id, seen[0]) if seen else first]
        return seen[0]

    return look


def _lines(look: Callable[[], Following], waiting: Waiting, client: Client, seconds: float) -> Iterator[str]:
    ends, speech = time.monotonic() + seconds, _Speech()
    yield f"retry: {_RETRY_MS}\n\n"
    while not waiting.is_stopping and time.monotonic() < ends:
        pause = _LOOK_SECONDS
        try:
            found = look()
        except Temporary:
            found, pause = Following(), _AWAY_SECONDS
        if said := speech.about(found):
            yield said
        if speech.is_over or (not found.has_more and client.leaves_within(pause)):
            return


class _Speech:
    """What has been said in one stream, and what is still to be said."""

    def __init__(self) -> None:
        self.is_over = False
        self._progress: JobProgress | None = None
        self._spoke = time.monotonic()

    def about(self, found: Following) -> str:
        """The lines for what is new, or a heartbeat if it has been silent for a while, or nothing."""
        said = "".join(_event(event) for event in found.events)
        if found.progress is not None and found.progress != self._progress:
            self._progress = found.progress
            said += f"event: progress\ndata: {found.progress.model_dump_json()}\n\n"
        now = time.monotonic()
        if not said and now - self._spoke >= _HEARTBEAT_SECONDS:
            said = ": heartbeat\n\n"
        if said:
            self._spoke = now
        self.is_over = found.is_gone or any(event.state in TERMINAL for event in found.events)
        return said


def _event(event: JobEvent) -> str:
    return f"id: {event.id}\nevent: {event.event}\ndata: {event.model_dump_json()}\n\n"
