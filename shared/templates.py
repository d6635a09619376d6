"""`{{ scheduled_for:%Y/%m/%d }}` in the strings of a scheduled job: the occurrence's time, and nothing else.

A format holds plain text and the directives of `strftime` that mean the same on every system. Nothing is evaluated, and
what is put in is not looked at again.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from shared.errors import FieldError
from shared.pointers import pointer

DIRECTIVES = "aAbBdGHIjmMpSuUVwWyYzZ%"
_OPENING = "{{"
_TEMPLATE = re.compile(r"\{\{\s*scheduled_for:([^{}]*)\}\}")
_FORMAT = re.compile(rf"(?:[^%]|%[{DIRECTIVES}])+")
_DIRECTIVE = re.compile(rf"%[{DIRECTIVES}]")


def errors(value: Any, *place: str | int) -> list[FieldError]:
    """Every string of a JSON value that holds a template which is none, by its pointer below `place`."""
    if isinstance(value, dict):
        return [error for name, item in value.items() for error in errors(item, *place, name)]
    if isinstance(value, list):
        return [error for position, item in enumerate(value) for error in errors(item, *place, position)]
    sentence = _wrong(value) if isinstance(value, str) else None
    return [FieldError(pointer(*place), sentence)] if sentence else []


def rendered(value: Any, moment: datetime) -> Any:
    """The same value with each template filled in; `moment` is in the zone whose time it is to show."""
    if isinstance(value, dict):
        return {name: rendered(item, moment) for name, item in value.items()}
    if isinstance(value, list):
        return [rendered(item, moment) for item in value]
    if not isinstance(value, str):
        return value
    return _TEMPLATE.sub(lambda found: _formatted(found[1].strip(), moment), value)


def _formatted(text: str, moment: datetime) -> str:
    # One directive at a time: some libraries' strftime stumbles over what stands between them.
    return _DIRECTIVE.sub(lambda found: moment.strftime(found[0]), text)


def _wrong(text: str) -> str | None:
    for format in _TEMPLATE.findall(text):
        if not _FORMAT.fullmatch(format.strip()):
            return f"the format of scheduled_for may hold these directives: {', '.join('%' + d for d in DIRECTIVES)}"
    if _OPENING in _TEMPLATE.sub("", text):
        return "the only template is {{ scheduled_for:… }} with a strftime format, as in {{ scheduled_for:%Y/%m/%d }}"
    return None
