"""The registry: models, the versions under one and how their metrics have moved, and the aliases that move."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Response, request
from markupsafe import Markup
from pydantic import ValidationError

from api.aliases import checked
from api.auth import asking, needs, project
from api.comparison import compared
from api.dashboard import charts, wording
from api.dashboard.datasets import page_query
from api.dashboard.site import blueprint, go, render
from api.parameters import ModelsQuery
from api.wiring import services
from shared.conditions import UNCONDITIONAL, Condition
from shared.contracts.job_fields import MODEL_REF_PATTERN
from shared.contracts.models import AliasBody, ModelVersion
from shared.contracts.refusals import invalid
from shared.errors import InvalidInput

_SHOWN_VERSIONS = 50
_SHOWN_METRICS = ("accuracy", "f1", "roc_auc", "log_loss", "r2", "rmse", "mae")
_MOST_CHARTS = 4
_SHOWN_MOVES = 20


@blueprint.get("/models")
@needs("read")
def models() -> Response:
    try:
        query = ModelsQuery.model_validate(
            {
                name: value
                for name, value in request.args.items()
                if value and name in {"after", "task", "limit"}
            }
        )
    except ValidationError as error:
        raise invalid(error) from error
    found, more = services().models.page(project(), limit=query.limit, after=query.after, task=query.task)
    latest = services().models.several(project(), [(one.name, one.latest_version) for one in found])
    return render(
        "models.html", models=found, latest=latest, query=query, following=found[-1].name if more else None
    )


@blueprint.get("/models/<model:name>")
@needs("read")
def model(name: str) -> Response:
    owner, query = project(), page_query()
    found = services().models.get(owner, name)
    versions, more = services().models.versions(owner, name, limit=_SHOWN_VERSIONS, after=query.after)
    return render(
        "model.html",
        model=found,
        versions=versions,
        charts=_charts(versions),
        revisions=services().aliases.revisions(owner, name, list(found.aliases)),
        following=str(versions[-1].version) if more else None,
    )


@blueprint.get("/models/compare")
@needs("read")
def compare_models() -> Response:
    """Two versions side by side, as `GET /v1/models/compare` has it."""
    refs = [request.args.get(name, "").strip() for name in ("a", "b")]
    if not all(refs):
        return render("compare.html", refs=refs, comparison=None, models=_references())
    _expect_refs(refs)
    return render("compare.html", refs=refs, comparison=compared(project(), refs), models=_references())


@blueprint.get("/models/<name>/aliases/<alias>/history")
@needs("read")
def alias_history(name: str, alias: str) -> Response:
    moves, more = services().aliases.history(project(), name, alias, limit=_SHOWN_MOVES)
    return render("alias_history.html", name=name, alias=alias, moves=moves, more=more)


@blueprint.post("/models/<name>/aliases")
@needs("submit")
def move_alias(name: str) -> Response:
    """Point an alias at a version, or make it."""
    sent = request.form
    number = sent.get("version", "")
    fields = {"version": int(number) if number.isdecimal() else number, "force": "force" in sent}
    try:
        body = AliasBody.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error
    alias = checked(sent.get("alias", "").strip())
    services().aliases.set(
        project(), name, alias, body.version, force=body.force, condition=_seen(), by=asking().key_id
    )
    return go("model", "alias_set", name=name)


@blueprint.post("/models/<name>/aliases/<alias>/rollback")
@needs("submit")
def roll_back_alias(name: str, alias: str) -> Response:
    """Undo the newest move, if the alias is as the page showed it."""
    services().aliases.rollback(project(), name, alias, condition=_seen(), by=asking().key_id)
    return go("model", "rolled_back", name=name)


@blueprint.post("/models/<name>/aliases/<alias>/delete")
@needs("submit")
def remove_alias(name: str, alias: str) -> Response:
    services().aliases.delete(project(), name, alias, condition=_seen(), by=asking().key_id)
    return go("model", "alias_removed", name=name)


def _seen() -> Condition:
    """What is changed is what was seen: the form carries the revision that stood on the page."""
    revision = request.form.get("revision", "")
    return Condition(if_match=f'"{revision}"') if revision else UNCONDITIONAL


def _charts(versions: Sequence[ModelVersion]) -> list[tuple[str, Markup]]:
    """Of the metrics that say most, over the versions that were measured by them, oldest first."""
    measured: dict[str, list[tuple[int, float]]] = {}
    for version in reversed(versions):
        for name, value in wording.scores(version.metrics):
            measured.setdefault(name, []).append((version.version, value))
    chosen = [name for name in _SHOWN_METRICS if len(measured.get(name, ())) > 1][:_MOST_CHARTS]
    return [
        (wording.metric(name), charts.over_versions(wording.metric(name), measured[name])) for name in chosen
    ]


def _references() -> list[str]:
    found, _ = services().models.page(project(), limit=200)
    return [
        reference
        for one in found
        for reference in (
            f"{one.name}:{one.latest_version}",
            *(f"{one.name}@{alias}" for alias in one.aliases),
        )
    ]


def _expect_refs(refs: Sequence[str]) -> None:
    for place, ref in enumerate(refs):
        if not re.fullmatch(MODEL_REF_PATTERN, ref):
            raise InvalidInput.at(f"/refs/{place}", "should be name, name:3 or name@alias")
