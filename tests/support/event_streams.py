"""Reads Server-Sent Events as a browser does (WHATWG HTML, section 9.2.6), and remembers what a client would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.client import Graft


@dataclass(frozen=True)
class Event:
    """One event. `id` is the one it came with, None if it had none."""

    event: str
    data: Any
    id: str | None


@dataclass
class Stream:
    """An open stream: iterate over its events. `comments` and `retry_ms` are what else it has said so far."""

    response: httpx.Response
    comments: list[str] = field(default_factory=list)
    retry_ms: int | None = None

    def __iter__(self) -> Iterator[Event]:
        return self._parsed(self.response.iter_lines())

    def _parsed(self, lines: Iterable[str]) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if "data" in fields:
                    yield Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
                fields = {}
            elif not name:
                self.comments.append(value)
            elif name == "retry":
                self.retry_ms = int(value)
            else:
                assert name not in fields, "each field once: our data has no line breaks"
                fields[name] = value


def follow(client: Graft, job_id: str, last: str | None = None, **headers: str) -> Any:
    """`with follow(…) as response:` an answer to a request for the job's stream, to be read as a `Stream`."""
    headers = {"Accept": "text/event-stream", **headers}
    if last is not None:
        headers["Last-Event-ID"] = last
    return client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers)


def told(client: Graft, job_id: str, last: str | None = None) -> list[Event]:
    """What the stream tells until it closes."""
    with follow(client, job_id, last) as response:
        assert response.status_code == 200, response.read()
        return list(Stream(response))


def happened(events: Iterable[Event]) -> list[Any]:
    """Those that are kept: as the list of the job's events has them."""
    return [event.data for event in events if event.id is not None]
