"""Online prediction: load a verified model once, keep it while it is used, predict on checked rows.

The API's only way to scikit-learn, and only when a model that contains trees is first asked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.contracts.models import Predictions, VersionRef
from shared.modeling import Model, load, rows_to_batch
from shared.models import Artifact, ModelStore
from shared.signing import Signer
from shared.storage import ObjectStore

Key = tuple[str, str, int]


class ModelServer:
    """An LRU of models, bounded by the bytes of their artifacts. A cold model is loaded once, however many ask."""

    def __init__(self, models: ModelStore, objects: ObjectStore, signer: Signer, *, cache_bytes: int) -> None:
        self._models = models
        self._objects = objects
        self._signer = signer
        self._cache_bytes = cache_bytes
        self._held: OrderedDict[Key, tuple[Model, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[Key, threading.Lock] = {}

    def predict(
        self, project: str, name: str, version: int, rows: Sequence[Mapping[str, Any]], *, probabilities: bool
    ) -> Predictions:
        """Score rows. Raises InvalidInput with a pointer for each bad cell, NotFound, or BadSignature."""
        model = self._model((project, name, version))
        prediction = model.predict(rows_to_batch(rows, model.schema()))
        classification = model.task == "classification"
        wanted = probabilities and prediction.probabilities is not None
        return Predictions(
            model=VersionRef(name=name, version=version),
            predictions=prediction.values.tolist(),
            probabilities=prediction.probabilities.tolist() if wanted else None,  # type: ignore[union-attr]
            classes=list(model.classes) if classification else None,
        )

    def _model(self, key: Key) -> Model:
        if (found := self._look(key)) is not None:
            return found
        with self._lock:
            gate = self._loading.setdefault(key, threading.Lock())
        with gate:
            if (found := self._look(key)) is not None:
                return found
            artifact = self._models.artifact(*key)
            model = open_artifact(artifact, self._objects.get_bytes, self._signer)
            self._keep(key, model, artifact.bytes)
        with self._lock:
            self._loading.pop(key, None)
        return model

    def _look(self, key: Key) -> Model | None:
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def _keep(self, key: Key, model: Model, size: int) -> None:
        with self._lock:
            self._held[key] = (model, size)
            while len(self._held) > 1 and sum(size for _, size in self._held.values()) > self._cache_bytes:
                self._held.popitem(last=False)


def open_artifact(artifact: Artifact, read: Callable[[str], bytes], signer: Signer) -> Model:
    """The model of an artifact. Raises BadSignature, and then nothing of it has been unpickled."""
    content = read(artifact.key)
    signer.verify(artifact.signed, artifact.signature, content)
    return load(content)
