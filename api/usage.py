"""Usage over HTTP, and the count of requests that goes into it."""

from __future__ import annotations

import re
import threading
from collections import Counter
from datetime import date, timedelta
from typing import Annotated

from apiflask import APIBlueprint
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.auth import needs, project
from api.parameters import Query
from api.wiring import services
from shared import logs
from shared.contracts.usage import UsageReport
from shared.errors import InvalidInput, Temporary
from shared.usage import UsageStore

log = logs.get(__name__)

blueprint = APIBlueprint("usage", __name__, url_prefix="/v1/usage", tag="Operations")

_DEFAULT_DAYS = 30
_MOST_DAYS = 366
_EARLIEST = date(2000, 1, 1)
_LATEST = date(2199, 12, 31)
_WRITE_SECONDS = 1.0

_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _day(value: object) -> object:
    """A day as text; pydantic alone would also take a number of seconds."""
    if isinstance(value, str) and not re.fullmatch(_DAY, value):
        raise PydanticCustomError("day", "should be a day, as in 2026-11-27")
    return value


Day = Annotated[
    date,
    Field(ge=_EARLIEST, le=_LATEST),
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": _DAY}),
]


class UsageQuery(Query):
    from_: Annotated[
        Day | None, Field(alias="from", description="First day, in UTC; 30 days up to the last if left out.")
    ] = None
    to: Annotated[
        Day | None, Field(description="Last day, in UTC, which is included; today if left out.")
    ] = None


@blueprint.get("")
@needs("read")
@blueprint.input(UsageQuery, location="query", arg_name="query")
@blueprint.output(UsageReport)
def get_usage(query: UsageQuery) -> UsageReport:
    """What the project has used, by the day: jobs that ended, their time and memory, rows, requests.

    At most 366 days at a time. A job counts on the day on which it ended, with all that its attempts used.
    """
    usage = services().usage
    last = query.to or max(usage.today(), query.from_ or _EARLIEST)
    first = query.from_ or last - timedelta(days=_DEFAULT_DAYS - 1)
    if first > last:
        raise InvalidInput.at("/from", "should not be later than `to`")
    if (last - first).days >= _MOST_DAYS:
        raise InvalidInput.at("/from", f"should lie at most {_MOST_DAYS} days before `to`")
    stored = services().stored.of(project(), limit=services().settings.max_project_bytes)
    return usage.report(project(), first, last, stored)


class RequestCounter:
    """Counts requests in this process and writes them down every second, so that none waits for it.

    What a process that is killed has not written yet is lost: requests of a second at most.
    """

    def __init__(self, usage: UsageStore) -> None:
        self._usage = usage
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="requests", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write down the rest."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def count(self, project: str) -> None:
        with self._lock:
            self._counts[project] += 1

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(_WRITE_SECONDS)
            self._write()

    def _write(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            self._usage.count_requests(counts)
        except Temporary as error:
            with self._lock:
                self._counts.update(counts)
            log.warning("requests_not_counted_yet", reason=error.message)
        except Exception:
            log.exception("requests_not_counted")
