"""Datasets: the list, the upload, and one table with its columns as small pictures."""

from __future__ import annotations

from functools import lru_cache

from flask import Response, request
from pydantic import TypeAdapter, ValidationError

from api.auth import needs, project
from api.dashboard import histograms
from api.dashboard.histograms import Sketch
from api.dashboard.site import blueprint, go, render
from api.datasets import CONTENT_TYPES, deleted, uploaded
from api.parameters import PageQuery
from api.previews import first_rows
from api.wiring import services
from shared.contracts.datasets import DatasetName
from shared.contracts.refusals import invalid
from shared.errors import UnsupportedMedia

_NAME: TypeAdapter[str] = TypeAdapter(DatasetName)
_SHOWN_ROWS = 20
_SKETCHED_ROWS = 1_000
_HEADS = (2**20,)
"""A sketch is made of what is read at once: more of a large table is not fetched for it."""


@blueprint.get("/datasets")
@needs("read")
def datasets() -> Response:
    query = page_query()
    found, more = services().datasets.page(project(), limit=query.limit, after=query.after)
    return render("datasets.html", datasets=found, following=found[-1].id if more else None)


@blueprint.post("/datasets/upload")
@needs("submit")
def upload_dataset() -> Response:
    """The body is the file itself, as for `POST /v1/datasets`: it is spooled, read in a child, and then stored."""
    try:
        name = _NAME.validate_python(request.args.get("name", ""))
    except ValidationError as error:
        raise invalid(error) from error
    if request.mimetype not in CONTENT_TYPES:
        raise UnsupportedMedia(
            "the table should be a .csv, .parquet or .jsonl file (text also as .gz or .zst)"
        )
    dataset = uploaded(project(), name, CONTENT_TYPES[request.mimetype])
    response = Response(status=201)
    response.headers["Location"] = f"/datasets/{dataset.id}?done=uploaded"
    response.headers["X-Dataset"] = dataset.id
    return response


@blueprint.get("/datasets/<dataset_id>")
@needs("read")
def dataset(dataset_id: str) -> Response:
    found = services().datasets.get(project(), dataset_id)
    return render("dataset.html", dataset=found)


@blueprint.get("/datasets/<dataset_id>/rows")
@needs("read")
def dataset_rows(dataset_id: str) -> Response:
    """Columns with their distributions, and the first rows: what the page asks for once it stands."""
    found = services().datasets.get(project(), dataset_id)
    sketches, rows = _sketched(project(), dataset_id)
    return render("dataset_rows.html", dataset=found, sketches=sketches, rows=rows)


@blueprint.post("/datasets/<dataset_id>/delete")
@needs("submit")
def delete_dataset(dataset_id: str) -> Response:
    deleted(project(), dataset_id)
    return go("datasets", "deleted")


@lru_cache(maxsize=64)
def _sketched(owner: str, dataset_id: str) -> tuple[list[Sketch], list[dict[str, object]]]:
    """A dataset never changes, so what was read of it once is good for as long as it exists."""
    found = services().datasets.get(owner, dataset_id)
    first = services().datasets.files(owner, dataset_id)[0]
    rows = first_rows(found, first, _SKETCHED_ROWS, _HEADS)
    return histograms.sketches(found.columns, rows), rows[:_SHOWN_ROWS]


def page_query() -> PageQuery:
    try:
        return PageQuery.model_validate({name: v for name, v in request.args.items() if name != "done" and v})
    except ValidationError as error:
        raise invalid(error) from error
