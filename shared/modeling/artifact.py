"""Models as bytes: joblib, without compression, the same bytes for the same model.

`load` unpickles. Whoever calls it has verified the signature of exactly these bytes (`shared.signing`).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import joblib

from shared.errors import InternalError
from shared.modeling.model import FORMAT, Model


def dump(model: Model, path: Path) -> None:
    """Write the model to `path`. Equal models that were made in the same way give equal bytes."""
    joblib.dump(model, path, compress=0, protocol=5)


def load(source: bytes | BinaryIO) -> Model:
    """The model in these verified bytes. Raises InternalError `artifact_unreadable` or `artifact_too_new`."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        model = joblib.load(stream)
    except Exception as error:  # unpickling raises anything
        raise InternalError(f"the artifact cannot be opened: {error}", code="artifact_unreadable") from error
    if not isinstance(model, Model):
        raise InternalError("the artifact holds no model", code="artifact_unreadable")
    if model.format > FORMAT:
        sentence = f"the model has format {model.format}; this version of Graft reads up to {FORMAT}"
        raise InternalError(sentence, code="artifact_too_new")
    return model
