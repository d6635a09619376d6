"""Drift of what is asked of a version, over HTTP."""

from __future__ import annotations

from typing import Annotated, cast

from apiflask import APIBlueprint
from pydantic import Field

from api.auth import needs, project
from api.parameters import Query
from api.wiring import services
from shared import drift
from shared.asked import DAYS, HOURS, Unit
from shared.contracts.drift import Drift
from shared.errors import InvalidInput

blueprint = APIBlueprint("drift", __name__, url_prefix="/v1/models", tag="Prediction")


class DriftQuery(Query):
    window: Annotated[
        str,
        Field(pattern=r"^[1-9][0-9]?[hd]$", description=f"`1h` to `{HOURS}h`, or `1d` to `{DAYS}d`."),
    ] = "24h"


@blueprint.get("/<name>/versions/<int:number>/drift")
@needs("read")
@blueprint.input(DriftQuery, location="query", arg_name="query")
@blueprint.output(Drift)
@blueprint.doc(responses=[404])
def get_drift(name: str, number: int, query: DriftQuery) -> Drift:
    """How what was asked of a version online lately differs from what it was trained on."""
    unit, length = cast("Unit", query.window[-1]), int(query.window[:-1])
    most = HOURS if unit == "h" else DAYS
    if length > most:
        raise InvalidInput.at("/window", f"should be {most}{unit} at most")
    owner = project()
    version = services().models.version(owner, name, number)
    return drift.drift(services().asked, owner, version, unit, length)
