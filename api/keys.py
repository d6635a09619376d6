"""API keys over HTTP: make, list, rotate, revoke. Who may do what is docs/keys.md's."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.answers import with_secret
from api.auth import asking, needs
from api.parameters import KeysQuery, page
from api.wiring import services
from shared.api_keys import unknown
from shared.contracts.base import Page
from shared.contracts.keys import ApiKey, ApiKeyPage, KeyBody, NewApiKey, RotateBody, Scope
from shared.errors import Forbidden

blueprint = APIBlueprint("keys", __name__, url_prefix="/v1/keys", tag="Keys")


@blueprint.post("")
@needs("admin")
@blueprint.input(KeyBody, arg_name="body")
@blueprint.output(NewApiKey, status_code=201)
@blueprint.doc(responses={429: "The project has as many keys as it may."})
def create_key(body: KeyBody) -> Response:
    """Make an API key. Its text, `key`, is in this answer and nowhere else.

    It is a key of the asking key's project; the operator's key may name another. It can have no scope that the asking
    key lacks. Sent twice, this makes two keys.
    """
    owner = _project(body.project)
    _expect_held(body.scopes)
    made, text = services().api_keys.create(owner, body.scopes, name=body.name, expires_at=body.expires_at)
    return with_secret(NewApiKey(**made.model_dump(), key=text), 201)


@blueprint.get("")
@needs("admin")
@blueprint.input(KeysQuery, location="query", arg_name="query")
@blueprint.output(ApiKeyPage)
def list_keys(query: KeysQuery) -> Page[ApiKey]:
    """List API keys, newest first, also those that have expired; never a secret."""
    found, more = services().api_keys.page(_project(query.project), limit=query.limit, after=query.after)
    return page(found, more, found[-1].id if found else None)


@blueprint.post("/<key_id>/rotate")
@needs("admin")
@blueprint.input(RotateBody, arg_name="body")
@blueprint.output(NewApiKey)
@blueprint.doc(responses=[404])
def rotate_key(key_id: str, body: RotateBody) -> Response:
    """Give a key a new secret; the one of before stays good for `overlap_seconds`."""
    key = _seen(key_id)
    _expect_held(key.scopes)
    made, text = services().api_keys.rotate(
        key.project, key_id, overlap_seconds=body.overlap_seconds, expires_at=body.expires_at
    )
    return with_secret(NewApiKey(**made.model_dump(), key=text), 200)


@blueprint.delete("/<key_id>")
@needs("admin")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses=[404])
def revoke_key(key_id: str) -> tuple[str, int]:
    """Revoke a key. It is refused from then on, by every process."""
    services().api_keys.revoke(_seen(key_id).project, key_id)
    return "", 204


def _project(named: str | None) -> str:
    """The project that is meant. Raises Forbidden if it is not the asking key's to manage."""
    principal = asking()
    if named is None or named == principal.project:
        return principal.project
    if not principal.is_operator:
        raise Forbidden("only the operator's key manages the keys of other projects", code="other_project")
    return named


def _seen(key_id: str) -> ApiKey:
    """The key, if it is the asking key's to manage. Raises NotFound."""
    key, principal = services().api_keys.get(key_id), asking()
    if key.project != principal.project and not principal.is_operator:
        raise unknown(key_id)
    return key


def _expect_held(scopes: list[Scope]) -> None:
    """Nobody gains a scope by making a key. Raises Forbidden."""
    lacking = [scope for scope in scopes if scope not in asking().scopes]
    if lacking:
        raise Forbidden(f"this key lacks the scope {lacking[0]}, so it cannot give it", code="scope_not_held")
