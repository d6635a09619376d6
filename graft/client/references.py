"""References to versions, as the API writes them: `name` (the latest), `name:3`, `name@alias`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graft.client.errors import InvalidInput
from shared.contracts.job_fields import MODEL_REF_PATTERN


@dataclass(frozen=True)
class Reference:
    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def of(cls, text: str) -> Reference:
        """Raises InvalidInput; nothing was sent."""
        if not re.fullmatch(MODEL_REF_PATTERN, text):
            raise InvalidInput(
                f"{text!r} is no reference to a model",
                "write name (its latest version), name:3 or name@alias",
                status=422,
                code="invalid_input",
            )
        name, _, alias = text.partition("@")
        name, _, number = name.partition(":")
        return cls(name, int(number) if number else None, alias or None)
