"""Lineage over HTTP: what a version or a dataset comes from, and what has come of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from api.auth import needs, project
from api.parameters import Query
from api.wiring import services
from shared.contracts.models import Lineage

blueprint = APIBlueprint("lineage", __name__, url_prefix="/v1", tag="Lineage")


class LineageQuery(Query):
    direction: Literal["both", "up", "down"] = "both"
    depth: Annotated[int, Field(ge=1, le=100, description="Edges from it, at most.")] = 20
    limit: Annotated[int, Field(ge=1, le=1_000, description="Nodes, at most; the nearest ones.")] = 200

    def bounds(self) -> dict[str, Any]:
        directions = ("up", "down") if self.direction == "both" else (self.direction,)
        return {"directions": directions, "depth": self.depth, "limit": self.limit}


@blueprint.get("/models/<name>/versions/<int:number>/lineage")
@needs("read")
@blueprint.input(LineageQuery, location="query", arg_name="query")
@blueprint.output(Lineage)
@blueprint.doc(responses=[404])
def get_lineage(name: str, number: int, query: LineageQuery) -> Lineage:
    """The datasets, jobs and versions that a version comes from, and the versions and outputs that came of it."""
    return services().lineage.of_version(project(), name, number, **query.bounds())


@blueprint.get("/datasets/<dataset_id>/lineage")
@needs("read")
@blueprint.input(LineageQuery, location="query", arg_name="query")
@blueprint.output(Lineage)
@blueprint.doc(responses=[404])
def get_dataset_lineage(dataset_id: str, query: LineageQuery) -> Lineage:
    """The jobs that have read a dataset, and what came of them."""
    return services().lineage.of_dataset(project(), dataset_id, **query.bounds())
