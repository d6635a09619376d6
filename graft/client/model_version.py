"""One version of a model, as it was when it was looked at last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from graft.client.errors import BadSource
from shared.contracts import models as contracts
from shared.contracts.comparison import Comparison
from shared.contracts.drift import Drift
from shared.contracts.models import Lineage, Predictions

if TYPE_CHECKING:
    from graft.client.aliases import Alias
    from graft.client.loading import LoadedModel
    from graft.client.models import Models
    from graft.client.versions import ExportFormat


class ModelVersion:
    """An immutable artifact and everything known about it. `record` is all that the API tells of it."""

    def __init__(
        self, models: Models, record: contracts.ModelVersion, contents: dict[str, Any] | None = None
    ) -> None:
        self._models = models
        self.record = record
        self.contents = contents
        """What lies in the artifact, as the API tells it to the letter: its signature is of that."""

    def __repr__(self) -> str:
        return f"<ModelVersion {self.ref} {self.record.task}>"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def ref(self) -> str:
        """`name:3`."""
        return f"{self.name}:{self.version}"

    @property
    def metrics(self) -> dict[str, Any]:
        return self.record.metrics

    @property
    def aliases(self) -> list[str]:
        """Those that point at it."""
        return self.record.aliases

    @property
    def verdict(self) -> Literal["improved", "neutral", "negative_transfer"] | None:
        """Of a fine-tuned version: whether that helped."""
        return self.record.verdict

    @property
    def report(self) -> dict[str, Any]:
        """What fine-tuning found out (docs/report.md). Raises NotFound if it was not fine-tuned."""
        return self._models.versions.report(self.name, self.version)

    @property
    def card(self) -> str:
        """Its model card, in Markdown."""
        return self.export("card").decode()

    def to_dict(self) -> dict[str, Any]:
        """As the API's JSON."""
        return self.record.model_dump(mode="json", by_alias=True)

    def refresh(self) -> ModelVersion:
        """Look again. The same object."""
        found = self._models.versions.get(self.name, self.version)
        self.record, self.contents = found.record, found.contents
        return self

    def predict(self, rows: Any, *, probabilities: bool = False) -> Predictions:
        """Score rows now: dicts, a pandas DataFrame or a pyarrow Table."""
        return self._models.predict(self.ref, rows, probabilities=probabilities)

    def load(self, *, signing_key: str | None = None) -> LoadedModel:
        """The fitted model itself, here, once its signature holds; see `graft.client.loading`."""
        return self._models.versions.load(self.name, self.version, signing_key=signing_key)

    def compare(self, *others: ModelVersion | str) -> Comparison:
        """It beside others; it is the first, which the others are compared with."""
        refs = [other.ref if isinstance(other, ModelVersion) else other for other in others]
        return self._models.compare(self.ref, *refs)

    def lineage(self, *, direction: Literal["up", "down", "both"] | None = None) -> Lineage:
        """Where it comes from and what came of it."""
        return self._models.versions.lineage(self.name, self.version, direction=direction)

    def drift(self, window: str | None = None) -> Drift:
        """How what was asked of it lately (`24h`, `7d`) differs from what it was trained on."""
        return self._models.versions.drift(self.name, self.version, window=window)

    def export(self, format: ExportFormat = "card", path: str | os.PathLike[str] | None = None) -> bytes:
        """A file that needs no Graft: `card`, `skops` or `onnx`; written to `path`, too, if one is given."""
        content = self._models.versions.export(self.name, self.version, format)
        if path is not None:
            try:
                Path(path).expanduser().write_bytes(content)
            except OSError as error:
                raise BadSource(f"{path} cannot be written: {error.strerror}") from None
        return content

    def set_alias(self, alias: str, *, force: bool = False, if_match: str | None = None) -> Alias:
        """Point an alias of the model at this version."""
        return self._models.aliases.set(self.name, alias, self.version, force=force, if_match=if_match)

    def update(
        self, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> ModelVersion:
        """Change what people say of it; what is left out stays. The same object."""
        self.record = self._models.versions.update(
            self.name, self.version, description=description, tags=tags
        ).record
        return self

    def delete(self) -> None:
        """Raises Conflict while something refers to it, or if it is the only version."""
        self._models.versions.delete(self.name, self.version)


def changes(description: str | None, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """The body of a change: what is None is left out, and so stays."""
    given = {"description": description, "tags": None if tags is None else dict(tags)}
    return {name: value for name, value in given.items() if value is not None}
