"""Aliases over HTTP: where one points, moving it, moving it back, taking it away, and all its moves.

The ETag of an alias changes with every move. A change with `If-Match` is made only to the alias as it was seen;
`PUT` with `If-None-Match: *` makes a new one and moves none.
"""

from __future__ import annotations

import re

from apiflask import APIBlueprint
from flask import Response

from api.auth import asking, needs, project
from api.parameters import StreamQuery, page
from api.preconditions import condition, tagged, unchanged
from api.wiring import services
from shared.contracts.base import NAME_PATTERN, NAME_RULE, Page
from shared.contracts.models import Alias, AliasBody, AliasChange, AliasChangePage
from shared.errors import InvalidInput

blueprint = APIBlueprint("aliases", __name__, url_prefix="/v1/models/<name>/aliases/<alias>", tag="Models")


@blueprint.get("")
@needs("read")
@blueprint.output(Alias)
@blueprint.doc(responses={304: "It is as `If-None-Match` says.", 404: "", 412: ""})
def get_alias(name: str, alias: str) -> Response:
    """Where an alias points."""
    found, revision = services().aliases.get(project(), name, alias)
    return unchanged(revision) or _answer(found, revision)


@blueprint.put("")
@needs("submit")
@blueprint.input(AliasBody, arg_name="body")
@blueprint.output(Alias)
@blueprint.doc(
    responses={404: "", 409: "Fine-tuning made that version worse; `force` moves it nevertheless.", 412: ""}
)
def set_alias(name: str, alias: str, body: AliasBody) -> Response:
    """Point an alias at a version; it is made if there is none of that name."""
    version, revision = services().aliases.set(
        project(),
        name,
        checked(alias),
        body.version,
        force=body.force,
        condition=condition(),
        by=asking().key_id,
    )
    return _answer(Alias(alias=alias, version=version), revision)


@blueprint.delete("")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses=[404, 412])
def delete_alias(name: str, alias: str) -> tuple[str, int]:
    """Remove an alias; its history stays."""
    services().aliases.delete(project(), name, alias, condition=condition(), by=asking().key_id)
    return "", 204


@blueprint.get("/history")
@needs("read")
@blueprint.input(StreamQuery, location="query", arg_name="query")
@blueprint.output(AliasChangePage)
@blueprint.doc(responses=[404])
def get_alias_history(name: str, alias: str, query: StreamQuery) -> Page[AliasChange]:
    """Where the alias has pointed, since when and by which key, newest first."""
    found, more = services().aliases.history(project(), name, alias, limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.post("/rollback")
@needs("submit")
@blueprint.output(Alias)
@blueprint.doc(
    responses={404: "", 409: "There is no version to go back to, or a worse one, or a deleted one.", 412: ""}
)
def rollback_alias(name: str, alias: str) -> Response:
    """Undo the alias's latest move; again for the one before that. The conditions are about the alias."""
    version, revision = services().aliases.rollback(
        project(), name, alias, condition=condition(), by=asking().key_id
    )
    return _answer(Alias(alias=alias, version=version), revision)


def _answer(alias: Alias, revision: str) -> Response:
    return tagged(Response(alias.model_dump_json(), mimetype="application/json"), revision)


def checked(alias: str) -> str:
    if not re.fullmatch(NAME_PATTERN, alias):
        raise InvalidInput.at("/alias", NAME_RULE)
    return alias
