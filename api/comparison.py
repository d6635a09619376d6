"""Versions side by side over HTTP."""

from __future__ import annotations

import json
from typing import Annotated

from apiflask import APIBlueprint
from pydantic import Field

from api.auth import needs, project
from api.parameters import Query
from api.wiring import services
from shared.comparison import compare
from shared.contracts.comparison import Comparison
from shared.contracts.job_fields import MODEL_REF_PATTERN
from shared.contracts.models import ModelVersion
from shared.errors import FieldError, NotFound
from shared.held_out import Measured
from shared.job_records import decode

blueprint = APIBlueprint("comparison", __name__, url_prefix="/v1/models", tag="Models")

_LEAST, _MOST = 2, 10
_REF = MODEL_REF_PATTERN.removeprefix("^").removesuffix("$")


class CompareQuery(Query):
    refs: Annotated[
        str,
        Field(
            pattern=f"^{_REF}(,{_REF}){{{_LEAST - 1},{_MOST - 1}}}$",
            description=f"{_LEAST} to {_MOST} references, with commas between: `churn:3,churn@champion`.",
        ),
    ]


@blueprint.get("/compare")
@needs("read")
@blueprint.input(CompareQuery, location="query", arg_name="query")
@blueprint.output(Comparison)
@blueprint.doc(responses=[404])
def compare_versions(query: CompareQuery) -> Comparison:
    """Compare versions with the first of them: metrics, settings, schemas.

    It says of each whether it was measured on the same held-out rows as the first, without which metrics do not tell
    which is better.
    """
    return compared(project(), query.refs.split(","))


def compared(owner: str, refs: list[str]) -> Comparison:
    """Raises NotFound, with a pointer to each reference that stands for nothing."""
    versions = _versions(owner, refs)
    return compare(versions, [_measured(owner, item) for item in versions])


def _versions(owner: str, refs: list[str]) -> list[ModelVersion]:
    """Raises NotFound, with a pointer to each reference that stands for nothing."""
    found, errors = [], []
    for place, ref in enumerate(refs):
        try:
            found.append(services().models.version(owner, *services().models.resolve(owner, ref)))
        except NotFound as error:
            errors.append(FieldError(f"/refs/{place}", error.message))
    if errors:
        raise NotFound(errors[0].detail, code="unknown_reference", errors=errors)
    return found


def _measured(owner: str, version: ModelVersion) -> Measured:
    try:
        rows = services().datasets.get(owner, version.dataset).sha256
    except NotFound:
        rows = version.dataset
    try:
        spec = decode(services().jobs.record(owner, version.job), ["spec"])["spec"]
    except NotFound:
        spec = None
    classes = version.schema_.get("output", {}).get("classes")
    return Measured(
        rows=rows,
        target=version.target,
        task=version.task,
        classes=None if classes is None else tuple(classes),
        n_test=version.metrics.get("n_test"),
        spec=spec,
        method=_method(owner, version),
    )


def _method(owner: str, version: ModelVersion) -> str:
    """A training holds rows out; of a fine-tune, its report says what it did."""
    try:
        report = json.loads(services().models.report(owner, version.name, version.version))
    except NotFound:
        return "holdout"
    return str((report.get("evaluation") or {}).get("method", "holdout"))
