"""The registry over HTTP: models, versions, and the artifact itself. `api.aliases` has the names that move."""

from __future__ import annotations

import re

from apiflask import APIBlueprint
from flask import Response, redirect, request

from api.auth import asking, needs, project
from api.parameters import TAG_PATTERN, ModelsQuery, NumberedQuery, page
from api.preconditions import condition, digested, tagged, unchanged
from api.wiring import services
from shared.contracts.base import Page
from shared.contracts.models import Model, ModelPage, ModelPatch, ModelVersion, ModelVersionPage
from shared.errors import InvalidInput

blueprint = APIBlueprint("models", __name__, url_prefix="/v1/models", tag="Models")

_AS_SEEN = {304: "It is as `If-None-Match` says.", 404: "", 412: ""}


@blueprint.get("")
@needs("read")
@blueprint.input(ModelsQuery, location="query", arg_name="query")
@blueprint.output(ModelPage)
def list_models(query: ModelsQuery) -> Page[Model]:
    """List models by name: all, or those whose latest version is of a task, or that have all of the tags given."""
    found, more = services().models.page(
        project(), limit=query.limit, after=query.after, task=query.task, tags=_tags()
    )
    return page(found, more, found[-1].name if found else None)


@blueprint.get("/<name>")
@needs("read")
@blueprint.output(Model)
@blueprint.doc(responses=_AS_SEEN)
def get_model(name: str) -> Response:
    """Look at a model. Its ETag changes with its description and tags, with its aliases and with every version."""
    owner = project()
    return unchanged(services().models.revision(owner, name)) or _answer(services().models.get(owner, name))


@blueprint.patch("/<name>")
@needs("submit")
@blueprint.input(ModelPatch, arg_name="body")
@blueprint.output(Model)
@blueprint.doc(responses=[404, 412])
def update_model(name: str, body: ModelPatch) -> Response:
    """Change a model's description or tags; what is left out stays."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return _answer(services().models.update(project(), name, changes, condition=condition()))


@blueprint.delete("/<name>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses={404: "", 409: "An alias, a live job or a schedule refers to it.", 412: ""})
def delete_model(name: str) -> tuple[str, int]:
    """Delete a model with all its versions. Its numbers are not given out again."""
    services().deletions.model(project(), name, condition=condition(), by=asking().key_id)
    return "", 204


@blueprint.get("/<name>/versions")
@needs("read")
@blueprint.input(NumberedQuery, location="query", arg_name="query")
@blueprint.output(ModelVersionPage)
@blueprint.doc(responses=_AS_SEEN)
def list_versions(name: str, query: NumberedQuery) -> Response:
    """List a model's versions, newest first. The ETag is that of the page."""
    found, more = services().models.versions(project(), name, limit=query.limit, after=query.after)
    return digested(page(found, more, str(found[-1].version) if found else None))


@blueprint.get("/<name>/versions/<int:number>")
@needs("read")
@blueprint.output(ModelVersion)
@blueprint.doc(responses=_AS_SEEN)
def get_version(name: str, number: int) -> Response:
    """Everything known about a version. Its ETag changes with its description and tags, and with its aliases."""
    owner, models = project(), services().models
    return unchanged(models.version_revision(owner, name, number)) or _answer(
        models.version(owner, name, number)
    )


@blueprint.patch("/<name>/versions/<int:number>")
@needs("submit")
@blueprint.input(ModelPatch, arg_name="body")
@blueprint.output(ModelVersion)
@blueprint.doc(responses=[404, 412])
def update_version(name: str, number: int, body: ModelPatch) -> Response:
    """Change a version's description or tags; what is left out stays, and so does all else of it."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return _answer(services().models.update_version(project(), name, number, changes, condition=condition()))


@blueprint.delete("/<name>/versions/<int:number>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(
    responses={
        404: "",
        409: "An alias, a live job or a schedule refers to it, or it is the only one.",
        412: "",
    }
)
def delete_version(name: str, number: int) -> tuple[str, int]:
    """Delete a version. Those that were fine-tuned from it stay, and their lineage still shows it."""
    services().deletions.version(project(), name, number, condition=condition(), by=asking().key_id)
    return "", 204


@blueprint.get("/<name>/versions/<int:number>/artifact")
@needs("read")
@blueprint.doc(responses={302: "To a link that is good for an hour.", 404: ""})
def get_artifact(name: str, number: int) -> Response:
    """Download the artifact. Check it against the version's `sha256` before you open it."""
    artifact = services().models.artifact(project(), name, number)
    link = services().objects.link(
        artifact.key, seconds=services().settings.link_seconds, filename=f"{name}-{number}.joblib"
    )
    return redirect(link, 302)  # type: ignore[return-value]


def _tags() -> list[tuple[str, str]]:
    """Of `?tag=`, which may be there several times. Raises InvalidInput."""
    asked = request.args.getlist("tag")
    if any(not re.fullmatch(TAG_PATTERN, item, re.DOTALL) for item in asked):
        raise InvalidInput.at("/tag", "should be key:value")
    return [(key, value) for key, _, value in (item.partition(":") for item in asked)]


def _answer(found: Model | ModelVersion) -> Response:
    response = Response(found.model_dump_json(by_alias=True), mimetype="application/json")
    return tagged(response, found.revision)
