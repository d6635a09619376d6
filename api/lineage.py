"""Lineage over HTTP: where a version comes from."""

from __future__ import annotations

from apiflask import APIBlueprint

from api.auth import needs, project
from api.wiring import services
from shared.contracts.models import Lineage

blueprint = APIBlueprint("lineage", __name__, url_prefix="/v1", tag="Lineage")


@blueprint.get("/models/<name>/versions/<int:number>/lineage")
@needs("read")
@blueprint.output(Lineage)
@blueprint.doc(responses=[404])
def get_lineage(name: str, number: int) -> Lineage:
    """The datasets, jobs and versions that a version comes from."""
    return services().models.lineage(project(), name, number)
