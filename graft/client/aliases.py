"""Aliases of a model: names that move from version to version."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from graft.client import pages
from graft.client.transport import Transport
from shared.contracts import models as contracts
from shared.contracts.models import AliasChange, AliasChangePage


class Alias(contracts.Alias):
    """Where an alias points. `etag` is what `if_match=` takes, to change it only as it was seen."""

    etag: str = ""


class Aliases:
    """`client.models.aliases`."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def get(self, name: str, alias: str) -> Alias:
        return self._alias(self._api.ask("GET /v1/models/{name}/aliases/{alias}", name, alias))

    def set(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        force: bool = False,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Alias:
        """Point it at a version; it is made if there is none of that name.

        force: also at one that fine-tuning made worse (else Conflict). if_match: only if it is as it was seen
        (`alias.etag`). if_none_match: `"*"` makes a new one and moves none. Raises PreconditionFailed.
        """
        return self._alias(
            self._api.ask(
                "PUT /v1/models/{name}/aliases/{alias}",
                name,
                alias,
                json={"version": version, "force": force},
                headers={"If-Match": if_match, "If-None-Match": if_none_match},
            )
        )

    def delete(self, name: str, alias: str, *, if_match: str | None = None) -> None:
        """Its history stays."""
        headers = {"If-Match": if_match}
        self._api.ask("DELETE /v1/models/{name}/aliases/{alias}", name, alias, headers=headers)

    def rollback(self, name: str, alias: str, *, if_match: str | None = None) -> Alias:
        """Undo its latest move; again for the one before. Raises Conflict if there is nothing to go back to."""
        operation = "POST /v1/models/{name}/aliases/{alias}/rollback"
        return self._alias(self._api.ask(operation, name, alias, headers={"If-Match": if_match}))

    def history(
        self, name: str, alias: str, *, limit: int | None = None, after: str | None = None
    ) -> Iterator[AliasChange]:
        """Where it has pointed, since when and by which key, newest first."""
        operation = "GET /v1/models/{name}/aliases/{alias}/history"
        return pages.entries(self._api, AliasChangePage, operation, name, alias, limit=limit, after=after)

    def _alias(self, response: httpx.Response) -> Alias:
        found = self._api.understood(Alias, response)
        return found.model_copy(update={"etag": response.headers.get("ETag", "")})
