"""Checks of the API and what is behind it: address, key, clock, versions, Redis, store, workers."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from graft.client import Client
from graft.client.errors import BadSettings, GraftError, Refused
from graft.doctor.findings import Finding, failed, ok, warning

#: Presigned links are refused from a quarter of an hour on; times that people compare mislead
#: long before. The Date of an answer has whole seconds, and a busy API is late with it.
ODD_CLOCK_SECONDS, WRONG_CLOCK_SECONDS = 5.0, 600.0
SLOW_SECONDS = 0.5
_SECONDS = 10.0


def check() -> Iterator[Finding]:
    """In the order in which one thing needs another; what cannot be asked any more is left out."""
    try:
        client = Client(timeout=_SECONDS, retries=0)
    except BadSettings as error:
        yield failed("api", error.message, error.hint)
        return
    with client:
        try:
            answered, took = _asked(client.url)
        except httpx.HTTPError as error:
            yield failed(
                "api",
                f"nobody answers at {client.url} ({type(error).__name__})",
                "start one here with `graft up`, or say in GRAFT_URL where it is",
            )
            return
        yield _reached(client.url, took)
        yield _version(client.url)
        yield clock(answered.headers, datetime.now(UTC))
        try:
            yield from _servers(client)
            yield _key(client)
        except GraftError as error:
            yield failed("api", error.message, error.hint)


def clock(headers: Mapping[str, str], now: datetime) -> Finding:
    """This machine's against the API's, by the Date of an answer (whole seconds)."""
    try:
        ahead = (now - parsedate_to_datetime(headers["Date"])).total_seconds() - 0.5
    except (KeyError, ValueError):
        return warning("clock", "the API's answers have no date", "is that Graft's API?")
    text = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the API's"
    if abs(ahead) > WRONG_CLOCK_SECONDS:
        return failed("clock", text, "set one of the clocks (NTP): links to the store will be refused")
    if abs(ahead) > ODD_CLOCK_SECONDS:
        return warning("clock", text, "set one of the clocks (NTP)")
    return ok("clock", "as the API's")


def _asked(url: str) -> tuple[httpx.Response, float]:
    begun = time.monotonic()
    answered = httpx.get(f"{url}/healthz", timeout=_SECONDS)
    return answered, time.monotonic() - begun


def _reached(url: str, took: float) -> Finding:
    text = f"{url} answers in {1000 * took:.0f} ms"
    return (
        ok("api", text)
        if took < SLOW_SECONDS
        else warning("api", text, "is the network slow, or the API busy?")
    )


def _version(url: str) -> Finding:
    try:
        theirs = httpx.get(f"{url}/openapi.json", timeout=_SECONDS).json()["info"]["version"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return failed("version", "what answers there is not Graft's API", "check GRAFT_URL")
    ours = importlib.metadata.version("graft")
    if theirs != ours:
        return warning("version", f"graft {ours} here, {theirs} there", f"pip install graft=={theirs}")
    return ok("version", f"graft {ours} on both sides")


def _servers(client: Client) -> Iterator[Finding]:
    advice = {
        "redis": "is Redis up, and GRAFT_REDIS_URL right, where the API runs?",
        "store": "is the store up, are its address and keys right, is the bucket there?",
        "worker": "start a worker; `graft up` has one",
    }
    for name, found in client.ready().checks.items():
        yield ok(name, found) if found == "ok" else failed(name, found, advice.get(name, ""))


def _key(client: Client) -> Finding:
    """Any request with it will do; one that needs the least."""
    try:
        next(client.jobs.list(limit=1), None)
    except Refused as error:
        return failed("key", error.detail, error.hint or "check GRAFT_API_KEY")
    return ok("key", "is known and may read")
