"""Versions of models: look, change, delete, and the files and reports that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from graft.client import pages
from graft.client.model_version import ModelVersion, changes
from graft.client.problems import parsed
from graft.client.transport import Transport
from shared.contracts import models as contracts
from shared.contracts.drift import Drift
from shared.contracts.models import Lineage, ModelVersionPage

if TYPE_CHECKING:
    from graft.client.loading import LoadedModel
    from graft.client.models import Models

ExportFormat = Literal["card", "skops", "onnx"]


class Versions:
    """`client.models.versions`."""

    def __init__(self, api: Transport, models: Models, project: Callable[[], str]) -> None:
        self._api = api
        self._models = models
        self.project = project

    def list(
        self, name: str, *, limit: int | None = None, after: str | None = None
    ) -> Iterator[ModelVersion]:
        """Newest first."""
        operation = "GET /v1/models/{name}/versions"
        found = pages.entries(self._api, ModelVersionPage, operation, name, limit=limit, after=after)
        return (self._version(record) for record in found)

    def get(self, name: str, number: int) -> ModelVersion:
        """Everything known about it."""
        response = self._api.ask("GET /v1/models/{name}/versions/{number}", name, number)
        return self._version(
            self._api.understood(contracts.ModelVersion, response), parsed(response).get("artifact")
        )

    def update(
        self,
        name: str,
        number: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> ModelVersion:
        """Change what people say of it; what is left out stays, and so does all else."""
        operation = "PATCH /v1/models/{name}/versions/{number}"
        headers = {"If-Match": if_match}
        body = changes(description, tags)
        return self._version(
            self._api.read(contracts.ModelVersion, operation, name, number, json=body, headers=headers)
        )

    def delete(self, name: str, number: int, *, if_match: str | None = None) -> None:
        """Raises Conflict, with `referrers`, while something refers to it, or if it is the only one."""
        headers = {"If-Match": if_match}
        self._api.ask("DELETE /v1/models/{name}/versions/{number}", name, number, headers=headers)

    def artifact(self, name: str, number: int) -> bytes:
        """The joblib file as it lies in the store. `load` opens it, after its signature has been checked."""
        link = self._api.ask("GET /v1/models/{name}/versions/{number}/artifact", name, number)
        content = bytearray()
        self._api.fetch(link.headers["Location"], content.extend, begin_again=content.clear)
        return bytes(content)

    def load(self, name: str, number: int, *, signing_key: str | None = None) -> LoadedModel:
        """The fitted model itself, here; see `graft.client.loading`. Raises BadSignature, BadSettings, Conflict."""
        from graft.client import loading

        version = self.get(name, number)
        signer = loading.signer(signing_key)
        loading.expect_compatible(version)
        content = self.artifact(name, number)
        return loading.opened(version, content, signer, self.project())

    @overload
    def report(self, name: str, number: int, *, as_html: Literal[False] = False) -> dict[str, Any]: ...

    @overload
    def report(self, name: str, number: int, *, as_html: Literal[True]) -> str: ...

    def report(self, name: str, number: int, *, as_html: bool = False) -> dict[str, Any] | str:
        """What fine-tuning found out (docs/report.md), or a page of it. Raises NotFound if it was not fine-tuned."""
        headers = {"Accept": "text/html" if as_html else "application/json"}
        operation = "GET /v1/models/{name}/versions/{number}/report"
        response = self._api.ask(operation, name, number, headers=headers)
        if as_html:
            return response.text
        found: dict[str, Any] = parsed(response)
        return found

    def drift(self, name: str, number: int, *, window: str | None = None) -> Drift:
        """How what was asked of it lately differs from what it was trained on; window: `24h`, `7d`."""
        operation = "GET /v1/models/{name}/versions/{number}/drift"
        return self._api.read(Drift, operation, name, number, query={"window": window})

    def lineage(
        self,
        name: str,
        number: int,
        *,
        direction: Literal["up", "down", "both"] | None = None,
        depth: int | None = None,
        limit: int | None = None,
    ) -> Lineage:
        """Where it comes from and what came of it, as a graph."""
        query = {"direction": direction, "depth": depth, "limit": limit}
        operation = "GET /v1/models/{name}/versions/{number}/lineage"
        return self._api.read(Lineage, operation, name, number, query=query)

    def export(self, name: str, number: int, format: ExportFormat = "card") -> bytes:
        """A file that needs no Graft: a model card (Markdown), skops, or ONNX. Raises Conflict, InvalidInput."""
        operation = "GET /v1/models/{name}/versions/{number}/export"
        return self._api.ask(operation, name, number, query={"format": format}).content

    def _version(
        self, record: contracts.ModelVersion, contents: dict[str, Any] | None = None
    ) -> ModelVersion:
        return ModelVersion(self._models, record, contents)
