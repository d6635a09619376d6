"""Opens the models an attempt was given."""

from __future__ import annotations

import hashlib

from shared.errors import InternalError
from shared.modeling import Model, load
from worker.handlers.base import Assignment, ModelFile


def model_file(assignment: Assignment, ref: str) -> ModelFile:
    """The file of the model that the spec calls `ref` (`churn:3`)."""
    try:
        return assignment.models[ref]
    except KeyError:
        raise InternalError(f"the attempt was not given the model {ref}") from None


def open_model(file: ModelFile) -> Model:
    """The model, from bytes that hash to the digest the supervisor has verified."""
    content = file.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise InternalError("the model's file is not the one that was verified", code="bad_signature")
    return load(content)
