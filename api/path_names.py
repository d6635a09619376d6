"""Names and ids in paths: what cannot be one is not looked for.

A key of Redis is made of its parts with colons between them (`shared.keys`), so a name that held one would be the key
of something else: a version's record, an index, a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.base import NAME_PATTERN, ULID_PATTERN
from shared.contracts.job_fields import MODEL_REF_PATTERN
from shared.errors import NotFound

PATTERNS: Final = {
    "name": NAME_PATTERN,
    "alias": NAME_PATTERN,
    "ref": MODEL_REF_PATTERN,
    "upload_id": f"^upl_{ULID_PATTERN}$",
    "dataset_id": f"^ds_{ULID_PATTERN}$",
    "job_id": f"^job_{ULID_PATTERN}$",
    "schedule_id": f"^sch_{ULID_PATTERN}$",
    "webhook_id": f"^wh_{ULID_PATTERN}$",
    "delivery_id": f"^dlv_{ULID_PATTERN}$",
    "key_id": f"^key_{ULID_PATTERN}$",
}
"""By the parameter's name in the route."""

_LARGEST_NUMBER: Final = 10**9


def check(parameters: Mapping[str, Any] | None, *, makes: bool = False) -> None:
    """Raises NotFound for a parameter that nothing can have. `makes`: a new alias may be named, and is the view's to
    refuse."""
    for parameter, value in (parameters or {}).items():
        pattern = PATTERNS.get(parameter)
        possible = (
            re.fullmatch(pattern, value) is not None
            if pattern
            else not isinstance(value, int) or value <= _LARGEST_NUMBER
        )
        if not possible and not (makes and parameter == "alias"):
            raise NotFound(f"nothing has a {parameter} like that", code="not_found")
