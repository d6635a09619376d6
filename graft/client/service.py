"""The service itself: is it there, can it work, what has the project used."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel

from graft.client import errors, problems
from graft.client.transport import Transport
from shared.contracts.usage import UsageReport


class Readiness(BaseModel):
    """`checks`: server → `ok`, or what is wrong with it."""

    status: str
    checks: dict[str, str]

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


class Service:
    """What the client's own `usage()`, `healthy()`, `ready()`, `metrics()` and `openapi()` ask."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def usage(self, first: date | None = None, last: date | None = None) -> UsageReport:
        return self._api.read(UsageReport, "GET /v1/usage", query={"from": first, "to": last})

    def healthy(self) -> bool:
        try:
            found = problems.parsed(self._api.ask("GET /healthz"))
        except errors.Unreachable:
            return False
        return bool(found.get("status") == "ok")

    def ready(self) -> Readiness:
        """Not asked again: that it is not ready is an answer."""
        return self._api.understood(Readiness, self._api.ask("GET /readyz", answers={503}))

    def metrics(self) -> str:
        return self._api.ask("GET /metrics").text
