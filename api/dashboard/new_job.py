"""Forms for new jobs, one for each type, and what they submit: a body of `POST /v1/jobs`, checked as there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from flask import Response, g, request
from pydantic import BaseModel, ValidationError

from api.auth import needs, project
from api.dashboard import forms
from api.dashboard.forms import Form
from api.dashboard.once import form_once, new_word
from api.dashboard.site import blueprint, go, render
from api.jobs import submitted
from api.wiring import services
from shared import submission
from shared.contracts.datasets import Dataset
from shared.contracts.job_fields import DatasetId
from shared.contracts.jobs import BatchPredictBody, SubmitBody, TrainBody
from shared.contracts.refusals import invalid
from shared.contracts.transfer import EvaluateBody, FineTuneBody, RankSourcesBody, ShiftReportBody
from shared.errors import InvalidInput, NotFound

__all__ = ["DatasetId", "data_for", "form_for"]

KINDS: Final[dict[str, tuple[type[BaseModel], tuple[str, ...], str]]] = {
    "train": (
        TrainBody,
        ("/dataset", "/target", "/estimator/kind", "/model/name"),
        "Fit a model on a dataset and publish it as the next version of its name.",
    ),
    "fine_tune": (
        FineTuneBody,
        ("/base_model", "/dataset", "/target", "/strategy", "/model/name"),
        "Move a trained model to other data, and learn whether that helped.",
    ),
    "batch_predict": (
        BatchPredictBody,
        ("/model", "/input/dataset", "/input/uri", "/output/format", "/output/columns", "/id_column"),
        "Score every row of a table with one version of a model.",
    ),
    "evaluate": (
        EvaluateBody,
        ("/model", "/dataset", "/target"),
        "Measure a version on a labelled dataset.",
    ),
    "shift_report": (
        ShiftReportBody,
        ("/model", "/source", "/dataset", "/target"),
        "See how a dataset differs from another, or from what a model was trained on.",
    ),
    "rank_sources": (
        RankSourcesBody,
        ("/dataset", "/target", "/limit"),
        "Find the models that would serve a labelled dataset best.",
    ),
}
"""By type: its contract, the fields to show at once, and what it is for."""

_MOST_OFFERED = 200
_LIKELY_TARGETS = ("label", "target", "y", "class", "outcome", "species", "churn", "default")


@blueprint.get("/jobs/new")
@needs("submit")
def new_job() -> Response:
    return render("new_job.html", kinds=KINDS)


@blueprint.get("/jobs/new/<kind>")
@needs("submit")
def new_job_form(kind: str) -> Response:
    """Empty, or as the job `?like=` had it, or with the fields that the address names."""
    form, owner = form_for(kind), project()
    if like := request.args.get("like"):
        spec = services().jobs.get(owner, like).spec
        values = forms.texts_of(form, spec)
    else:
        values = {one.pointer: one.default for one in form.fields}
        values |= {f"/{name}": value for name, value in request.args.items() if name not in {"like", "done"}}
        values = _guessed(kind, values)
    return _page(kind, forms.filled(form, values))


@blueprint.post("/jobs/new/<kind>/fields")
@needs("submit")
def new_job_fields(kind: str) -> Response:
    """The fields again, after another dataset was chosen: its columns are offered, and a target is guessed."""
    sent = _sent()
    form = form_for(kind)
    values = {one.pointer: sent.get(one.pointer, "") for one in form.fields}
    dataset = _dataset(values)
    if dataset and values.get("/target") not in {column.name for column in dataset.columns}:
        values = _guessed(kind, {**values, "/target": ""})
    return render("form_fields.html", form=forms.filled(form, values), data=data_for(values), kind=kind)


@blueprint.post("/jobs/new/<kind>")
@needs("submit")
def submit_job(kind: str) -> Response:
    """Submit, or with the button `check` only check. What is wrong stands beside its field."""
    sent = _sent()
    form = form_for(kind)
    body = {"type": kind, **forms.body_of(form, sent)}
    only_check = sent.get("action") == "check"
    try:
        checked = SubmitBody.model_validate(body)
        if only_check:
            submission.check(services(), project(), checked.root, request_id=g.request_id)
        else:
            job, _ = submitted(project(), checked, form_once(body))
            return go("job", "submitted", job_id=job.id)
        error = None
    except ValidationError as found:
        error = invalid(found)
    except InvalidInput as found:
        error = found
    values = {one.pointer: sent.get(one.pointer, "") for one in form.fields}
    form = forms.filled(form, values)
    if error is None:
        return _page(kind, form, is_good=True)
    return _page(kind, forms.refused(form, error.errors, error.message), status=422)


@cache
def form_for(kind: str) -> Form:
    """Raises NotFound for a type that there is not."""
    if kind not in KINDS:
        raise NotFound("there is no such type of job", code="not_found")
    contract, main, _ = KINDS[kind]
    return forms.form_of(contract, main)


def data_for(values: Mapping[str, str]) -> dict[str, Any]:
    """What fields can be chosen from: the newest datasets, the columns of the chosen one, models and their aliases."""
    owner = project()
    datasets, _ = services().datasets.page(owner, limit=_MOST_OFFERED)
    models, _ = services().models.page(owner, limit=_MOST_OFFERED)
    chosen = _dataset(values)
    if chosen and chosen.id not in {one.id for one in datasets}:
        datasets.append(chosen)
    references = [
        reference
        for model in models
        for reference in (model.name, *(f"{model.name}@{alias}" for alias in model.aliases))
    ]
    return {"datasets": datasets, "columns": chosen.columns if chosen else [], "models": references}


def _page(kind: str, form: Form, *, status: int = 200, is_good: bool = False) -> Response:
    values = {one.pointer: one.value for one in form.fields}
    return render(
        "new_job_form.html",
        status=status,
        kind=kind,
        purpose=KINDS[kind][2],
        form=form,
        data=data_for(values),
        is_good=is_good,
        once=new_word(),
    )


def _sent() -> dict[str, str]:
    return request.form.to_dict()


def _dataset(values: Mapping[str, str]) -> Dataset | None:
    chosen = values.get("/dataset") or values.get("/input/dataset") or ""
    if not re.fullmatch(r"ds_[0-9A-Z]{26}", chosen):
        return None
    try:
        return services().datasets.recall(project(), chosen)
    except NotFound:
        return None


def _guessed(kind: str, values: dict[str, str]) -> dict[str, str]:
    """Likely values for what is empty, to be seen and changed: the target column, an estimator for either task, a
    name."""
    dataset = _dataset(values)
    if dataset is None or kind not in {"train", "fine_tune", "rank_sources"}:
        return values
    names = [column.name for column in dataset.columns]
    likely = next((name for name in names if name.lower() in _LIKELY_TARGETS), names[-1] if names else "")
    guesses = {"/target": likely}
    if kind == "train":
        plain = re.sub(r"\.(csv|parquet|jsonl|ndjson)(\.gz|\.zst)?$", "", dataset.name.lower())
        guesses["/estimator/kind"] = "gradient_boosting"
        guesses["/model/name"] = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:63]
    return {**values, **{name: guess for name, guess in guesses.items() if not values.get(name)}}
