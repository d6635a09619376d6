"""JSON from outside, read as RFC 8259 has it and no more leniently.

What two readers may understand in two ways is refused. Python's own reader lets the last of two members of the same
name win (§4 leaves that open, so what a proxy has checked need not be what is done), reads NaN, guesses encodings, and
makes text of half a surrogate pair, which nothing can store. Each of those is a ValueError here; its message never
repeats what was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flask.json.provider import DefaultJSONProvider
from pydantic_core import from_json

from shared.pointers import pointer

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class DuplicateName(ValueError):
    """An object names a member twice; `place` is the JSON pointer (RFC 6901) of the member."""

    def __init__(self, place: str) -> None:
        super().__init__("an object has two members of the same name")
        self.place = place


class Provider(DefaultJSONProvider):
    """Flask's JSON, read strictly and written in the order in which it was made."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return loads(s, **kwargs)


def loads(content: str | bytes, **kwargs: Any) -> Any:
    """The value of a JSON text, in UTF-8 if in bytes. Raises ValueError, JSONDecodeError and DuplicateName with it.

    pydantic's reader takes a third of the time where thousands of rows come. It lets the last of two members win, too,
    but then the value has fewer of them than the text has colons. What it refuses, and what has colons elsewhere, is
    read again with care.
    """
    try:
        value = from_json(content, allow_inf_nan=False)
        colons = content.count(":") if isinstance(content, str) else content.count(b":")
        if _members_on_top(value) == colons or _members(value) == colons:
            return value
    except (ValueError, RecursionError):
        pass
    return _carefully(content, **kwargs)


def _members_on_top(value: Any) -> int:
    """How many members an object, its own objects, and those of its lists have: of many rows, without a look at each
    cell. There may be more below."""
    if not isinstance(value, dict):
        return 0
    total = len(value)
    for inner in value.values():
        if isinstance(inner, dict):
            total += len(inner)
        elif isinstance(inner, list):
            total += sum(len(item) for item in inner if isinstance(item, dict))
    return total


def _members(value: Any) -> int:
    """How many members its objects have, all together."""
    if isinstance(value, dict):
        return len(value) + sum(_members(inner) for inner in value.values() if isinstance(inner, dict | list))
    if isinstance(value, list):
        return sum(_members(inner) for inner in value if isinstance(inner, dict | list))
    return 0


def _carefully(content: str | bytes, **kwargs: Any) -> Any:
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError:
        raise ValueError("it is not in UTF-8") from None
    twice: list[_Twice] = []
    try:
        value = _read(text, object_pairs_hook=_pairs(twice), parse_constant=_constant, **kwargs)
        if _SURROGATE.search(text):
            _encodable(value)
        if twice:
            raise DuplicateName(next(_places(value, ())))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _read(text: str, **hooks: Any) -> Any:
    try:
        return json.loads(text, **hooks)
    except ValueError as error:
        # int() refuses more than 4,300 digits, as reading them takes quadratic time, and speaks of Python's settings.
        if "int_max_str_digits" in str(error):
            raise ValueError("a whole number has too many digits") from None
        raise


class _Twice(dict[str, Any]):
    """An object in which a name came twice, left in its place so that the place can be told."""

    name = ""


def _pairs(twice: list[_Twice]) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        marked = _Twice(found)
        marked.name = _first_repeated(pairs)
        twice.append(marked)
        return marked

    return build


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _places(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Where names came twice. One inside a member that the next of its name has replaced is told with that."""
    if isinstance(value, _Twice):
        yield pointer(*path, value.name)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, str(number)))


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _encodable(value: Any) -> None:
    """Raise ValueError for text with half a surrogate pair; a pair is one letter by now."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half a surrogate pair, which is no Unicode") from None
