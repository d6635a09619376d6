"""One HTTP client with one key: sends an operation, makes it again where that is safe, and says what went wrong.

An operation is written as the OpenAPI document has it, `GET /v1/jobs/{job_id}`, and its values fill the braces. Each
stands in exactly one method of the client (tests/unit/test_client_operations.py).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from graft.client import errors, failures, links, problems
from graft.client.retrying import Retrying

Content = bytes | Callable[[], Iterable[bytes]]
"""A body; one that is streamed is made anew for each try."""
Record = TypeVar("Record", bound=BaseModel)

CONNECT_SECONDS = 10.0
_REPEATABLE = frozenset({"GET", "PUT", "PATCH", "DELETE"})
_CONDITIONS = ("If-Match", "If-None-Match")


class Transport:
    """Safe to share between threads. `http` is given the key; `outside`, for links to the store, never is."""

    def __init__(self, url: str, key: str, *, timeout: float, retries: int) -> None:
        self.url = url
        self.timeout = timeout
        self.retries = retries
        agent = {"User-Agent": f"graft/{importlib.metadata.version('graft')}"}
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}", **agent}, timeout=self.patience()
        )
        self.outside = httpx.Client(headers=agent, timeout=self.patience(), follow_redirects=True)

    def close(self) -> None:
        self.http.close()
        self.outside.close()

    def patience(self, more_seconds: float = 0) -> httpx.Timeout:
        """How long to wait for the next bytes, if the server may hold the answer for so many seconds more."""
        return httpx.Timeout(self.timeout + more_seconds, connect=min(CONNECT_SECONDS, self.timeout))

    def read(self, kind: type[Record], operation: str, *values: object, **options: Any) -> Record:
        """What an operation answers, as that record. Options as `ask` has them."""
        return self.understood(kind, self.ask(operation, *values, **options))

    def understood(self, kind: type[Record], response: httpx.Response) -> Record:
        """Fields that this version does not know are left out. Raises NotGraft."""
        found = problems.parsed(response)
        try:
            return kind.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = "/".join(map(str, first["loc"]))
            raise errors.NotGraft(
                f"{self.url} answers a {kind.__name__} that this version of graft does not understand (at {place})",
                "is the server newer? upgrade graft",
            ) from None

    def ask(
        self,
        operation: str,
        *values: object,
        query: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        content: Content | None = None,
        headers: Mapping[str, str | None] | None = None,
        may_come_twice: bool | None = None,
        hold_seconds: float = 0,
        answers: Collection[int] = (),
    ) -> httpx.Response:
        """The answer, which has been read: a success, or a redirection of what answers nothing else.

        What is None in `query` and `headers` is left out. `may_come_twice`: of a POST, whether that changes nothing.
        hold_seconds: for how long the server may hold the answer. answers: statuses that are answers, too.
        Raises Unreachable, Refused.
        """
        method, path = filled(operation, *values)
        sent = {name: value for name, value in (headers or {}).items() if value is not None}
        if may_come_twice is None:
            conditional = any(name in sent for name in _CONDITIONS)
            may_come_twice = (method in _REPEATABLE and not conditional) or "Idempotency-Key" in sent
        retrying = Retrying(self.retries, may_come_twice=may_come_twice)
        while True:
            request = self.http.build_request(
                method,
                path,
                params=_query(query),
                json=json,
                content=content() if callable(content) else content,
                headers=sent,
                timeout=self.patience(hold_seconds),
            )
            try:
                response = self._sent(request)
            except errors.GraftError as error:
                retrying.pause_or_raise(error)
                continue
            if response.is_success or response.status_code in {302, *answers}:
                return response
            if response.status_code == 404 and method == "DELETE" and retrying.has_been_sent:
                return response  # an earlier try has done it, and its answer was lost
            retrying.pause_or_raise(problems.error_of(response))

    @contextmanager
    def stream(
        self, operation: str, *values: object, headers: Mapping[str, str], read_seconds: float
    ) -> Iterator[httpx.Response]:
        """An open answer, to be read as it comes. Raises Unreachable, Refused; not made again."""
        method, path = filled(operation, *values)
        patience = httpx.Timeout(read_seconds, connect=min(CONNECT_SECONDS, self.timeout))
        with (
            failures.told(self.url),
            self.http.stream(method, path, headers=headers, timeout=patience) as response,
        ):
            if not response.is_success:
                response.read()
                raise problems.error_of(response)
            yield response

    def fetch(self, url: str, write: Callable[[bytes], Any], *, begin_again: Callable[[], Any]) -> None:
        """What a link to the store leads to, piece by piece; the key is not sent there.

        `begin_again` is called before another try: what has been written of it is void. Raises Unreachable.
        """
        links.fetch(self.outside, url, write, begin_again=begin_again, retries=self.retries)

    def _sent(self, request: httpx.Request) -> httpx.Response:
        with failures.told(self.url):
            return self.http.send(request)


def filled(operation: str, *values: object) -> tuple[str, str]:
    """Its method, and its path with the values in the place of the braces. Raises InvalidInput."""
    method, _, template = operation.partition(" ")
    head, *rest = template.split("{")
    path = head
    for value, part in zip(values, rest, strict=True):
        text = str(value)
        if text in {"", ".", ".."}:
            raise errors.InvalidInput(
                "a name or an id may not be empty or a dot", status=422, code="invalid_input"
            )
        path += quote(text, safe="@:") + part.partition("}")[2]
    return method, path


def new_idempotency_key() -> str:
    return f"client-{uuid4().hex}"


def _query(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return list(value) if isinstance(value, list | tuple) else str(value)
