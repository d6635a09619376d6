"""Online prediction: load a verified model once, keep it while it is used, predict on checked rows.

The API's only way to scikit-learn, and only when a model that contains trees is first asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import compatibility
from shared.contracts.models import Predictions, VersionRef
from shared.model_cache import CacheWatch, ModelCache
from shared.modeling import Model, load, rows_to_batch
from shared.models import Artifact, ModelStore
from shared.signing import Signer
from shared.storage import ObjectStore
from shared.watching import Watch, Yardstick


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that has been opened, and what each of its predictions needs."""

    model: Model
    schema: Mapping[str, Any]
    warnings: list[str]
    yardstick: Yardstick


class ModelServer:
    """Predicts with the models of all projects; those used last stay loaded."""

    def __init__(
        self,
        models: ModelStore,
        objects: ObjectStore,
        signer: Signer,
        *,
        cache_bytes: int,
        watch: Watch | None = None,
        allow_incompatible: bool = False,
        on_load: Callable[[str, str, int], None] = lambda project, name, version: None,
        cache_watch: CacheWatch | None = None,
    ) -> None:
        """on_load: called with project, name and version whenever a model has been loaded."""
        self._models = models
        self._objects = objects
        self._signer = signer
        self._watch = watch
        self._allow_incompatible = allow_incompatible
        self._on_load = on_load
        self._cache = ModelCache[Loaded](cache_bytes, cache_watch)

    def predict(
        self, project: str, name: str, version: int, rows: Sequence[Mapping[str, Any]], *, probabilities: bool
    ) -> Predictions:
        """Score rows. Raises InvalidInput with a pointer for each bad cell, NotFound, BadSignature, or Conflict
        for a model that the libraries here cannot open."""
        key = (project, name, version)
        held = self._cache.get(key, lambda: self._load(project, name, version))
        model = held.model
        batch = rows_to_batch(rows, held.schema)
        prediction = model.predict(batch)
        if self._watch is not None:
            self._watch.note(key, held.yardstick, batch, prediction)
        classification = model.task == "classification"
        wanted = probabilities and prediction.probabilities is not None
        return Predictions(
            model=VersionRef(name=name, version=version),
            predictions=prediction.values.tolist(),
            probabilities=prediction.probabilities.tolist() if wanted else None,  # type: ignore[union-attr]
            classes=list(model.classes) if classification else None,
            warnings=held.warnings,
        )

    def _load(self, project: str, name: str, version: int) -> tuple[Loaded, int]:
        artifact = self._models.artifact(project, name, version)
        found = artifact.compatibility
        compatibility.require(found, name, version, allow=self._allow_incompatible)
        model = open_artifact(artifact, self._objects.get_bytes, self._signer)
        self._on_load(project, name, version)
        sentence = compatibility.warning(found, [f"{name}:{version}"])
        stick = Yardstick.of(model, self._models.baseline(project, name, version))
        return Loaded(model, model.schema(), [sentence] if sentence else [], stick), artifact.bytes


def open_artifact(artifact: Artifact, read: Callable[[str], bytes], signer: Signer) -> Model:
    """The model of an artifact. Raises BadSignature, and then nothing of it has been unpickled."""
    content = read(artifact.key)
    signer.verify(artifact.signed, artifact.signature, content)
    return load(content)
