"""One version of a model: what it is, how well it does, where it comes from, its report, and a form to try it."""

from __future__ import annotations

import json

from flask import Response, redirect, request
from pydantic import ValidationError

from api import report_page
from api.auth import needs, project
from api.dashboard import lineage_drawing, trying
from api.dashboard.site import blueprint, render
from api.predictions import predicted
from api.wiring import services
from shared.contracts.models import PredictBody
from shared.contracts.refusals import invalid
from shared.errors import GraftError

_LINEAGE_NODES = 60
_LINEAGE_DEPTH = 6


@blueprint.get("/models/<name>/<int:number>")
@needs("read")
def version(name: str, number: int) -> Response:
    found = services().models.version(project(), name, number)
    return render("version.html", version=found, cells=trying.cells(found), latest=None)


@blueprint.post("/models/<name>/<int:number>/predict")
@needs("read")
def try_version(name: str, number: int) -> Response:
    """Score the one row that was typed. What is wrong stands beside its column."""
    owner = project()
    found = services().models.version(owner, name, number)
    cells = trying.cells(found, request.form)
    try:
        body = PredictBody(rows=[trying.row(cells)], probabilities=found.task == "classification")
        told = predicted(owner, f"{name}:{number}", body)
    except (GraftError, ValidationError) as error:
        refusal = invalid(error) if isinstance(error, ValidationError) else error
        if refusal.status not in {409, 422}:
            raise
        cells, rest = trying.refused(cells, refusal.errors)
        general = rest or ([] if refusal.errors else [refusal.message])
        return render("try.html", version=found, cells=cells, general=general)
    return render("try.html", version=found, cells=cells, told=told)


@blueprint.get("/models/<name>/<int:number>/report")
@needs("read")
def version_report(name: str, number: int) -> Response:
    """What fine-tuning found out: the report of `api.report_page`, among the other pages."""
    owner = project()
    report = json.loads(services().models.report(owner, name, number))
    found = services().models.version(owner, name, number)
    return render("report.html", **report_page.context(report, found))


@blueprint.get("/models/<name>/<int:number>/lineage")
@needs("read")
def version_lineage(name: str, number: int) -> Response:
    """The graph, which the page asks for once it stands."""
    found = services().lineage.of_version(
        project(), name, number, directions=("up", "down"), depth=_LINEAGE_DEPTH, limit=_LINEAGE_NODES
    )
    return render("lineage.html", lineage=found, drawing=lineage_drawing.drawn(found))


@blueprint.get("/models/<name>/<int:number>/artifact")
@needs("read")
def version_artifact(name: str, number: int) -> Response:
    """To a link that is good for a while, as the API's."""
    artifact = services().models.artifact(project(), name, number)
    link = services().objects.link(
        artifact.key, seconds=services().settings.link_seconds, filename=f"{name}-{number}.joblib"
    )
    return redirect(link, 302)  # type: ignore[return-value]
