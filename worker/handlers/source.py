"""Opens the model an attempt was given."""

from __future__ import annotations

import hashlib

from shared.errors import InternalError
from shared.modeling import Model, load
from worker.handlers.base import Assignment


def open_model(assignment: Assignment) -> Model:
    """The assignment's model, from bytes that hash to the digest the supervisor has verified."""
    if assignment.model is None:
        raise InternalError("the attempt was given no model")
    content = assignment.model.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != assignment.model.sha256:
        raise InternalError("the model's file is not the one that was verified", code="bad_signature")
    return load(content)
