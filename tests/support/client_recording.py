"""Listens to a client: what each of its methods sends, what it takes the answers for, and whether they are that."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from graft.client import Client
from tests.support import client_methods

T = TypeVar("T")


class Recording:
    """`sent[method]` are the operations that a method sent, `kinds[operation]` what their answers were read as."""

    def __init__(self, client: Client) -> None:
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.kinds: dict[str, type[BaseModel]] = {}
        self.unknown_fields: list[str] = []
        self._method = ""
        self._client = client
        api = client._api
        api.http.event_hooks["request"].append(self._note)
        self._understood = api.understood
        api.understood = self._read  # type: ignore[method-assign]

    def of(self, method: str, call: Callable[[], T]) -> T:
        """What the call answers. `method` is the one that it calls, as `client_methods` names it."""
        assert method in NAMES, method
        with self._calling(method):
            answer = call()
            if isinstance(answer, Iterator):
                answer = list(answer)  # type: ignore[assignment]
            return answer

    @contextmanager
    def _calling(self, method: str) -> Iterator[None]:
        self._method = method
        self.sent[method]
        try:
            yield
        finally:
            self._method = ""

    def _note(self, request: httpx.Request) -> None:
        if self._method:
            self.sent[self._method].append(operation_of(request))

    def _read(self, kind: type[Any], response: httpx.Response) -> Any:
        """As the client reads it; and once more with nothing left out, to see whether it leaves something out."""
        operation = operation_of(response.request)
        self.kinds[operation] = kind
        told = kind.model_validate(response.json(), extra="allow")
        self.unknown_fields += [f"{operation}: {place}" for place in _extras(told, kind.__name__)]
        return self._understood(kind, response)


NAMES = {
    **client_methods.methods(client_methods.RESOURCES),
    **client_methods.methods(client_methods.CONVENIENCES),
}
_OPERATIONS = [operation for operation, _ in client_methods.senders()]


def operation_of(request: httpx.Request) -> str:
    """Of what was really sent. One without braces is meant before one with them."""
    path = request.url.raw_path.decode().partition("?")[0]
    found = [
        operation
        for operation in sorted(_OPERATIONS, key=lambda operation: operation.count("{"))
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation)), f"{request.method} {path}")
    ]
    assert found, f"{request.method} {path} is no operation"
    return found[0]


def _extras(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{place}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _extras(item, f"{place}[]")
