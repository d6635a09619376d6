"""The report of a fine-tuned version: JSON for programs, a page for people."""

from __future__ import annotations

import json
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from api import report_page
from api.auth import needs, project
from api.wiring import services

blueprint = APIBlueprint("reports", __name__, url_prefix="/v1/models", tag="Reports")

_HTML, _JSON = "text/html", "application/json"
_ANSWERS: dict[int, Any] = {
    200: {
        "description": "What fine-tuning found out, as docs/report.md explains it.",
        "content": {_JSON: {"schema": {"type": "object"}}, _HTML: {"schema": {"type": "string"}}},
    },
    404: "There is no such version, or it was not fine-tuned.",
}


@blueprint.get("/<name>/versions/<int:number>/report")
@needs("read")
@blueprint.doc(responses=_ANSWERS)
def get_report(name: str, number: int) -> Response:
    """The report of a fine-tuned version. `Accept: text/html` gives it as a page to read."""
    owner = project()
    report = services().models.report(owner, name, number)
    if request.accept_mimetypes.best_match([_JSON, _HTML]) == _HTML:
        page = report_page.render(json.loads(report), services().models.version(owner, name, number))
        response = Response(page, mimetype=_HTML)
        response.headers["Content-Security-Policy"] = report_page.content_security_policy()
        response.headers["Referrer-Policy"] = "no-referrer"
    else:
        response = Response(report, mimetype=_JSON)
    response.vary.add("Accept")
    return response
