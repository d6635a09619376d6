"""Models by name and by reference: look, predict, compare, change, delete. `graft.client.model` is one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from graft.client import pages
from graft.client.aliases import Aliases
from graft.client.model import Model
from graft.client.model_version import ModelVersion, changes
from graft.client.references import Reference
from graft.client.rows import as_rows
from graft.client.transport import Transport
from graft.client.versions import Versions
from shared.contracts import models as contracts
from shared.contracts.comparison import Comparison
from shared.contracts.models import ModelPage, Predictions


class Models:
    """`client.models`. A reference is `name` (its latest version), `name:3` or `name@alias`."""

    def __init__(self, api: Transport, project: Any) -> None:
        self._api = api
        self.versions = Versions(api, self, project)
        self.aliases = Aliases(api)

    def __getitem__(self, ref: str) -> ModelVersion:
        return self.version(ref)

    def list(
        self,
        *,
        task: Literal["classification", "regression"] | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Iterator[Model]:
        """By name: all, or those whose latest version is of that task, or that have all of those tags."""
        query = {"task": task, "tag": [f"{key}:{value}" for key, value in (tags or {}).items()] or None}
        found = pages.entries(self._api, ModelPage, "GET /v1/models", query=query, limit=limit, after=after)
        return (Model(self, record) for record in found)

    def get(self, name: str) -> Model:
        """The model of that name, with its latest version and its aliases."""
        record = self._api.read(contracts.Model, "GET /v1/models/{name}", name)
        return Model(self, record)

    def version(self, ref: str) -> ModelVersion:
        """The version that a reference stands for now."""
        found = Reference.of(ref)
        number = found.version
        if number is None and found.alias is not None:
            number = self.aliases.get(found.name, found.alias).version
        if number is None:
            number = self.get(found.name).record.latest_version
        return self.versions.get(found.name, number)

    def update(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> Model:
        """Change what people say of it; what is left out stays."""
        body = changes(description, tags)
        headers = {"If-Match": if_match}
        return Model(
            self, self._api.read(contracts.Model, "PATCH /v1/models/{name}", name, json=body, headers=headers)
        )

    def delete(self, name: str, *, if_match: str | None = None) -> None:
        """With all its versions. Raises Conflict, with `referrers`, while something refers to it."""
        self._api.ask("DELETE /v1/models/{name}", name, headers={"If-Match": if_match})

    def compare(self, *refs: str) -> Comparison:
        """2 to 10 versions beside the first of them: metrics, settings, schemas, and whether they can be compared."""
        return self._api.read(Comparison, "GET /v1/models/compare", query={"refs": ",".join(refs)})

    def predict(
        self, ref: str, rows: Sequence[Mapping[str, Any]] | Any, *, probabilities: bool = False
    ) -> Predictions:
        """Score rows now: dicts, a pandas DataFrame or a pyarrow Table."""
        body = {"rows": as_rows(rows), "probabilities": probabilities}
        operation = "POST /v1/models/{ref}/predict"
        return self._api.read(Predictions, operation, ref, json=body, may_come_twice=True)
