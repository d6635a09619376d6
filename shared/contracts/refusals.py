"""What pydantic finds wrong with a body, as Graft's own error: every bad field by its pointer, no input repeated."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ValidationError

from shared.contracts.base import NAME_PATTERN, NAME_RULE
from shared.contracts.job_fields import DATASET_ID_PATTERN, MODEL_REF_PATTERN
from shared.contracts.jobs import JobType
from shared.errors import FieldError, InvalidInput
from shared.pointers import pointer, shortened

_RULES = {
    NAME_PATTERN: NAME_RULE,
    MODEL_REF_PATTERN: "should be name, name:3 or name@alias, in small letters, digits, . _ -",
    DATASET_ID_PATTERN: "should be the id of a dataset, as GET /v1/datasets lists them",
}
"""What is said of a text that does not match: a regular expression would tell few what to write."""
_UNION_TAGS = frozenset(get_args(JobType))
_MOST_ERRORS = 100


def invalid(error: ValidationError) -> InvalidInput:
    """What pydantic found, field by field."""
    found = [
        FieldError(_pointer(item["loc"], item.get("ctx", {})), _sentence(item))
        for item in error.errors(include_url=False, include_input=False)
    ]
    return refused(found)


def refused(found: list[FieldError]) -> InvalidInput:
    """One error that says of a whole request what is wrong with it, field by field."""
    places = ", ".join(field.pointer or "the body" for field in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return InvalidInput(f"the request is not valid: {places}{more}", errors=found[:_MOST_ERRORS])


def _sentence(item: Any) -> str:
    """pydantic's own message, but where that one repeats the input, speaks of its inner workings or in patterns."""
    if item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return f"should be one of {', '.join(sorted(_UNION_TAGS))}"
    if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] in _RULES:
        return _RULES[item["ctx"]["pattern"]]
    return str(item["msg"])


def _pointer(place: tuple[int | str, ...], context: dict[str, Any]) -> str:
    """An RFC 6901 pointer. pydantic puts a union's tag first and "[key]" after a bad key; neither is in the body."""
    parts = [str(part) for part in place]
    if parts and parts[-1] == "[key]":
        parts = parts[:-1]
    if parts and parts[0] in _UNION_TAGS:
        parts = parts[1:]
    parts += [str(context[part]) for part in ("field", "entry") if context.get(part)]
    if not parts and context.get("discriminator"):
        parts = [str(context["discriminator"]).strip("'")]
    return shortened(pointer(*parts))
