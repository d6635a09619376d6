"""One model, as it was when it was looked at last. `graft.client.model_version` is one version of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.contracts import models as contracts
from shared.contracts.models import AliasChange, Predictions

if TYPE_CHECKING:
    from graft.client.aliases import Alias
    from graft.client.model_version import ModelVersion
    from graft.client.models import Models


class Model:
    """A name, and the versions under it. `record` is all that the API tells of it."""

    def __init__(self, models: Models, record: contracts.Model) -> None:
        self._models = models
        self.record = record

    def __repr__(self) -> str:
        return f"<Model {self.name}, latest version {self.latest_version}>"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def latest_version(self) -> int:
        return self.record.latest_version

    @property
    def aliases(self) -> dict[str, int]:
        """Alias → version."""
        return self.record.aliases

    def to_dict(self) -> dict[str, Any]:
        """As the API's JSON."""
        return self.record.model_dump(mode="json", by_alias=True)

    def refresh(self) -> Model:
        """Look again. The same object."""
        self.record = self._models.get(self.name).record
        return self

    def versions(self) -> Iterator[ModelVersion]:
        """Newest first."""
        return self._models.versions.list(self.name)

    def version(self, which: int | str | None = None) -> ModelVersion:
        """By its number or an alias; the latest if neither is given."""
        if isinstance(which, int):
            return self._models.versions.get(self.name, which)
        return self._models.version(f"{self.name}@{which}" if which else self.name)

    def predict(self, rows: Any, *, probabilities: bool = False) -> Predictions:
        """Score rows with its latest version."""
        return self._models.predict(self.name, rows, probabilities=probabilities)

    def update(self, *, description: str | None = None, tags: Mapping[str, str] | None = None) -> Model:
        """Change what people say of it; what is left out stays. The same object."""
        self.record = self._models.update(self.name, description=description, tags=tags).record
        return self

    def set_alias(
        self, alias: str, version: int, *, force: bool = False, if_match: str | None = None
    ) -> Alias:
        """As `Aliases.set`."""
        return self._models.aliases.set(self.name, alias, version, force=force, if_match=if_match)

    def rollback(self, alias: str, *, if_match: str | None = None) -> Alias:
        """Undo the alias's latest move."""
        return self._models.aliases.rollback(self.name, alias, if_match=if_match)

    def delete_alias(self, alias: str, *, if_match: str | None = None) -> None:
        self._models.aliases.delete(self.name, alias, if_match=if_match)

    def history(self, alias: str) -> Iterator[AliasChange]:
        """All moves of the alias, newest first."""
        return self._models.aliases.history(self.name, alias)

    def delete(self) -> None:
        """With all its versions. Raises Conflict while something refers to it."""
        self._models.delete(self.name)
