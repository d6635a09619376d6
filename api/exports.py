"""Versions as files for others: `.skops`, ONNX, and a model card in Markdown."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.auth import needs, project
from api.parameters import Query
from api.wiring import exporter, services
from shared.errors import NotFound
from shared.model_card import card

blueprint = APIBlueprint("exports", __name__, url_prefix="/v1/models", tag="Models")

_BINARY: Final = "application/octet-stream"
_MARKDOWN: Final = "text/markdown"
_ANSWERS: dict[int, Any] = {
    200: {
        "description": "The file.",
        "content": {_BINARY: {"schema": {"type": "string", "format": "binary"}}, _MARKDOWN: {}},
    },
    404: "",
    409: "The artifact is not what was signed, or other libraries made it.",
    422: "There is no such format, or this version cannot be converted to it; the detail says why.",
    501: "The server has no ONNX converter.",
}


class ExportQuery(Query):
    format: Annotated[Literal["card", "skops", "onnx"], Field(description="What file to make.")] = "card"


@blueprint.get("/<name>/versions/<int:number>/export")
@needs("read")
@blueprint.input(ExportQuery, location="query", arg_name="query")
@blueprint.doc(responses=_ANSWERS)
def export_version(name: str, number: int, query: ExportQuery) -> Response:
    """A version as a model card, a `.skops` file or an ONNX graph; the files need no Graft and agree with the model."""
    owner = project()
    if query.format == "card":
        content: str | bytes = card(
            services().models.version(owner, name, number), _report(owner, name, number)
        )
        response = Response(content, content_type=f"{_MARKDOWN}; charset=utf-8")
        ending = "md"
    else:
        content = exporter().export(owner, name, number, query.format)
        response = Response(content, mimetype=_BINARY)
        ending = query.format
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{number}.{ending}"'
    return response


def _report(owner: str, name: str, number: int) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(services().models.report(owner, name, number))
    except NotFound:
        return None
    return found
