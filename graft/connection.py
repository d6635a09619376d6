"""A connection to Graft's API, as the commands use it: where it is and with which key, from the environment.

ConnectionFailed
├── BadSettings   GRAFT_URL or GRAFT_API_KEY is missing or makes no sense
├── Unreachable   nobody answers there, or not in time, or a server behind the API is away
└── Refused       the API said no: its problem (RFC 9457) says why
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
_TIMEOUT_SECONDS = 30.0
_PAGE = 500


class ConnectionFailed(Exception):
    """`hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadSettings(ConnectionFailed):
    pass


class Unreachable(ConnectionFailed):
    pass


class Refused(ConnectionFailed):
    """`errors` are the fields that are bad: pointer → what is wrong with it."""

    def __init__(
        self, message: str, *, status: int, code: str = "", errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = dict(errors or {})


class Connection:
    """One HTTP client with one key. A context manager."""

    def __init__(self, url: str, key: str) -> None:
        if not re.fullmatch(r"[!-~]+", key):
            raise BadSettings("the key holds characters that no key has", "check GRAFT_API_KEY")
        if not _is_address(url):
            raise BadSettings(
                f"{url} is no URL of an API", "GRAFT_URL should look like https://graft.example.org"
            )
        self._url = url
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT_SECONDS
        )

    @classmethod
    def from_environment(cls) -> Connection:
        """To `GRAFT_URL` with `GRAFT_API_KEY`. Raises BadSettings."""
        key = os.environ.get("GRAFT_API_KEY", "").strip()
        if not key:
            raise BadSettings(
                "GRAFT_API_KEY is not set",
                "`graft up` keeps its key in .graft/api-key: export GRAFT_API_KEY=$(cat .graft/api-key)",
            )
        return cls(os.environ.get("GRAFT_URL", "").strip() or DEFAULT_URL, key)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """What the API answers, parsed; None if it has nothing to say. Raises Unreachable and Refused."""
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self._url} cannot be reached ({type(error).__name__})",
                "is it running, and is GRAFT_URL right? `graft up` starts one on this machine",
            ) from None
        if response.is_success:
            return _parsed(response) if response.content else None
        raise self._refusal(response)

    def pages(self, path: str, **query: str | None) -> Iterator[Any]:
        """Every entry of a list, newest first."""
        after: str | None = None
        while True:
            given = {**query, "limit": str(_PAGE), "after": after}
            page = self.ask("GET", path, params={name: value for name, value in given.items() if value})
            yield from page["data"]
            after = page["next"]
            if not page["has_more"]:
                return

    def _refusal(self, response: httpx.Response) -> ConnectionFailed:
        problem = _parsed(response)
        detail, code = str(problem.get("detail", "")), str(problem.get("code", ""))
        if response.status_code == 503:
            return Unreachable(f"{self._url} cannot answer now: {detail}", "try again in a moment")
        errors = {str(error["pointer"]): str(error["detail"]) for error in problem.get("errors") or ()}
        return Refused(detail, status=response.status_code, code=code, errors=errors)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def _parsed(response: httpx.Response) -> Any:
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreachable(
            f"{response.url.host} answers ({response.status_code}), but not as Graft's API does",
            "check GRAFT_URL: it is the address of the API, without a path",
        )
    return found
