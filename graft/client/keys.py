"""API keys. A secret is told once, in the answer that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from graft.client import pages
from graft.client.transport import Transport
from shared.contracts.keys import ApiKey, ApiKeyPage, NewApiKey


class Keys:
    """`client.keys`. Needs a key with the scope `admin`."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def create(
        self,
        scopes: Sequence[str],
        *,
        project: str | None = None,
        expires_at: datetime | str | None = None,
        name: str | None = None,
    ) -> NewApiKey:
        """A new key; its text is `key`. Another project takes the operator's key. The call is made once."""
        body = {"scopes": list(scopes), "project": project, "expires_at": _moment(expires_at), "name": name}
        return self._api.read(NewApiKey, "POST /v1/keys", json=_given(body))

    def list(
        self, *, project: str | None = None, limit: int | None = None, after: str | None = None
    ) -> Iterator[ApiKey]:
        """Newest first, also those that have expired; never a secret."""
        query = {"project": project}
        return pages.entries(self._api, ApiKeyPage, "GET /v1/keys", query=query, limit=limit, after=after)

    def rotate(
        self, key: str, *, overlap_seconds: int | None = None, expires_at: datetime | str | None = None
    ) -> NewApiKey:
        """Another secret; the one of before stays good for the overlap (0 if left out)."""
        body = {"overlap_seconds": overlap_seconds, "expires_at": _moment(expires_at)}
        return self._api.read(NewApiKey, "POST /v1/keys/{key_id}/rotate", key, json=_given(body))

    def revoke(self, key: str) -> None:
        """At once and for good."""
        self._api.ask("DELETE /v1/keys/{key_id}", key)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _moment(given: datetime | str | None) -> str | None:
    """A time without a zone is one of this machine; a text is the API's to judge."""
    return given.astimezone().isoformat() if isinstance(given, datetime) else given
