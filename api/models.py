"""The registry over HTTP: models, versions, aliases, lineage, and the artifact itself."""

from __future__ import annotations

import re

from apiflask import APIBlueprint
from flask import Response, redirect

from api.auth import needs, project
from api.parameters import NumberedQuery, PageQuery, page
from api.wiring import services
from shared.contracts.base import NAME_PATTERN, Page
from shared.contracts.models import (
    Alias,
    AliasBody,
    AliasChange,
    AliasChangePage,
    Lineage,
    Model,
    ModelPage,
    ModelPatch,
    ModelVersion,
    ModelVersionPage,
)
from shared.errors import InvalidInput

blueprint = APIBlueprint("models", __name__, url_prefix="/v1/models", tag="Models")


@blueprint.get("")
@needs("read")
@blueprint.input(PageQuery, location="query", arg_name="query")
@blueprint.output(ModelPage)
def list_models(query: PageQuery) -> Page[Model]:
    """List models by name."""
    found, more = services().models.page(project(), limit=query.limit, after=query.after)
    return page(found, more, found[-1].name if found else None)


@blueprint.get("/<name>")
@needs("read")
@blueprint.output(Model)
@blueprint.doc(responses=[404])
def get_model(name: str) -> Model:
    """Look at a model."""
    return services().models.get(project(), name)


@blueprint.patch("/<name>")
@needs("submit")
@blueprint.input(ModelPatch, arg_name="body")
@blueprint.output(Model)
@blueprint.doc(responses=[404])
def update_model(name: str, body: ModelPatch) -> Model:
    """Change a model's description or tags; what is left out stays."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return services().models.update(project(), name, changes)


@blueprint.get("/<name>/versions")
@needs("read")
@blueprint.input(NumberedQuery, location="query", arg_name="query")
@blueprint.output(ModelVersionPage)
@blueprint.doc(responses=[404])
def list_versions(name: str, query: NumberedQuery) -> Page[ModelVersion]:
    """List a model's versions, newest first."""
    found, more = services().models.versions(project(), name, limit=query.limit, after=query.after)
    return page(found, more, str(found[-1].version) if found else None)


@blueprint.get("/<name>/versions/<int:number>")
@needs("read")
@blueprint.output(ModelVersion)
@blueprint.doc(responses=[404])
def get_version(name: str, number: int) -> ModelVersion:
    """Everything known about a version."""
    return services().models.version(project(), name, number)


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


@blueprint.get("/<name>/versions/<int:number>/lineage")
@needs("read")
@blueprint.output(Lineage)
@blueprint.doc(responses=[404])
def get_lineage(name: str, number: int) -> Lineage:
    """The datasets, jobs and versions that a version comes from."""
    return services().models.lineage(project(), name, number)


@blueprint.put("/<name>/aliases/<alias>")
@needs("submit")
@blueprint.input(AliasBody, arg_name="body")
@blueprint.output(Alias)
@blueprint.doc(
    responses={404: "", 409: "Fine-tuning made that version worse; `force` moves it nevertheless."}
)
def set_alias(name: str, alias: str, body: AliasBody) -> Alias:
    """Point an alias at a version."""
    owner = project()
    version = services().models.set_alias(owner, name, _checked(alias), body.version, force=body.force)
    return Alias(alias=alias, version=version)


@blueprint.delete("/<name>/aliases/<alias>")
@needs("submit")
@blueprint.output({}, status_code=204)
@blueprint.doc(responses=[404])
def delete_alias(name: str, alias: str) -> tuple[str, int]:
    """Remove an alias; its history stays."""
    services().models.delete_alias(project(), name, alias)
    return "", 204


@blueprint.get("/<name>/aliases/<alias>/history")
@needs("read")
@blueprint.output(AliasChangePage)
@blueprint.doc(responses=[404])
def get_alias_history(name: str, alias: str) -> Page[AliasChange]:
    """Where the alias has pointed, newest first."""
    return page(services().models.alias_history(project(), name, alias), False, None)


@blueprint.post("/<name>/aliases/<alias>/rollback")
@needs("submit")
@blueprint.output(Alias)
@blueprint.doc(responses={404: "", 409: "There is no version to go back to, or a worse one."})
def rollback_alias(name: str, alias: str) -> Alias:
    """Undo the alias's latest move; again for the one before that."""
    version = services().models.rollback_alias(project(), name, alias)
    return Alias(alias=alias, version=version)


def _checked(alias: str) -> str:
    if not re.fullmatch(NAME_PATTERN, alias):
        raise InvalidInput.at("/alias", f"should match {NAME_PATTERN}")
    return alias
