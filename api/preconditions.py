"""The headers of RFC 9110, section 13: If-Match and If-None-Match in, ETag out.

A view that looks asks `unchanged` before it reads more than the revision:

    if response := unchanged(revision):
        return response
    return tagged(answer, revision)

A view that changes something hands `condition()` to the store, whose script compares and changes in one step. If-Match
is compared strongly, so that a weak tag never matches; If-None-Match weakly. `*` stands for whatever there is. A
header that is neither `*` nor a list of entity tags is 400. Dates (If-Modified-Since) are not looked at: nothing here
has a Last-Modified. Document 304 and 412 of such a view, and the OpenAPI document says the rest.
"""

from __future__ import annotations

import hashlib
import re

from flask import Response, request

from shared.conditions import ANY, Condition
from shared.contracts.base import Record
from shared.errors import Malformed, PreconditionFailed

ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = re.compile(rf"[ \t,]*{ENTITY_TAG}(?:[ \t]*,[ \t,]*{ENTITY_TAG})*[ \t,]*")
_TAG = re.compile(ENTITY_TAG)


def condition() -> Condition:
    """What the request expects. Raises Malformed."""
    if_match, if_none_match = (request.environ.get(name) for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"))
    wanted = ""
    if if_match is not None:
        # A list of weak tags only is no empty condition, but one that nothing meets: no revision is empty.
        tags = _tags("If-Match", if_match)
        wanted = " ".join(tag for tag in tags if not tag.startswith("W/")) or '""'
    held = [] if if_none_match is None else _tags("If-None-Match", if_none_match)
    return Condition(wanted, " ".join(tag.removeprefix("W/") for tag in held))


def conditional() -> bool:
    """Whether the request expects anything."""
    environ = request.environ
    return "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ


def unchanged(revision: str, *, weak: bool = False) -> Response | None:
    """The answer to a GET that has the thing at this revision already: 304. None if it has to be told.

    `weak`: answers at one revision differ in what matters little; If-Match has nothing to match then but `*`.
    Raises PreconditionFailed if it wants another revision, Malformed.
    """
    asked = condition()
    if not asked.matches(revision) or (weak and asked.if_match not in ("", ANY)):
        raise PreconditionFailed(revision)
    return tagged(Response(status=304), revision, weak=weak) if asked.excludes(revision) else None


def tagged(response: Response, revision: str, *, weak: bool = False) -> Response:
    """The same, saying what it is an answer at."""
    response.headers["ETag"] = f'W/"{revision}"' if weak else f'"{revision}"'
    return response


def digested(record: Record) -> Response:
    """An answer to a GET that has no revision of its own, such as a page of a list: its ETag is a digest of it."""
    body = record.model_dump_json(by_alias=True).encode()
    revision = hashlib.sha256(body).hexdigest()[:32]
    return unchanged(revision) or tagged(Response(body, mimetype="application/json"), revision)


def _tags(header: str, value: str) -> list[str]:
    """The entity tags of a header as they stand there, or its `*`. Raises Malformed."""
    if value.strip(" \t") == ANY:
        return [ANY]
    if not _LIST.fullmatch(value):
        raise Malformed(f'{header} should be * or entity tags, as in "3" or "3", "4"')
    return _TAG.findall(value)
