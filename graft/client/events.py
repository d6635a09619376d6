"""Server-Sent Events of a job (WHATWG HTML, section 9.2.6), read to their end however often the connection ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from graft.client import errors
from graft.client.retrying import LONGEST_SECONDS
from graft.client.transport import Transport
from shared.contracts.jobs import JobEvent, JobProgress
from shared.states import TERMINAL

SILENCE_SECONDS = 30.0
"""The server says something every ten; after so many the connection is taken for dead."""
TRIES = 8
"""How often it connects, one time after another, before it gives up."""
_MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True)
class Beat:
    """Nothing has happened, but the server is there. `retry_seconds`: how soon to connect again."""

    retry_seconds: float | None = None


Told = JobEvent | JobProgress | Beat


def follow(
    api: Transport,
    operation: str,
    job: str,
    *,
    after: str | None = None,
    tries: int = TRIES,
) -> Iterator[Told]:
    """All events after that one, then each as it happens, until the job has ended; progress and beats between them.

    Connects again with `Last-Event-ID`, so that nothing is lost and nothing comes twice. Raises Unreachable when that
    fails several times in a row, Refused.
    """
    pause, failures = 2.0, 0
    while True:
        try:
            for told in _stream(api, operation, job, after):
                failures = 0
                if isinstance(told, Beat) and told.retry_seconds is not None:
                    pause = told.retry_seconds
                if isinstance(told, JobEvent):
                    after = told.id
                yield told
                if isinstance(told, JobEvent) and told.state in TERMINAL:
                    return
            time.sleep(pause)  # the server has closed it, as it does after some minutes and when it stops
        except errors.NotGraft:
            raise
        except errors.Unreachable as error:
            failures += 1
            asked = error.retry_after if isinstance(error, errors.Unavailable) else None
            if failures >= tries or (asked or 0) > LONGEST_SECONDS:
                raise
            time.sleep(pause if asked is None else asked)
        except _Over:
            return


class _Over(Exception):
    """204: there is nothing more to come."""


def _stream(api: Transport, operation: str, job: str, after: str | None) -> Iterator[Told]:
    headers = {"Accept": _MEDIA_TYPE, **({"Last-Event-ID": after} if after else {})}
    with api.stream(operation, job, headers=headers, read_seconds=SILENCE_SECONDS) as response:
        if response.status_code == 204:
            raise _Over
        if not response.headers.get("Content-Type", "").startswith(_MEDIA_TYPE):
            raise errors.NotGraft(
                f"{api.url} answers no stream of events", "is it Graft's API, and not a proxy?"
            )
        yield from _parsed(response.iter_lines())


def _parsed(lines: Iterable[str]) -> Iterator[Told]:
    """What a stream's lines say. Events of a kind that is not known here are left out."""
    event, data = "message", ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data and (told := _told(event, data)):
                yield told
            event, data = "message", ""
        elif not name:
            yield Beat()
        elif name == "retry" and value.isdigit():
            yield Beat(int(value) / 1000)
        elif name == "event":
            event = value
        elif name == "data":
            data = f"{data}\n{value}" if data else value


def _told(event: str, data: str) -> JobEvent | JobProgress | None:
    try:
        found = json.loads(data)
        return JobProgress.model_validate(found) if event == "progress" else JobEvent.model_validate(found)
    except (ValueError, ValidationError):
        return None
