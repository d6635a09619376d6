"""Checks of `batch_predict`."""

from __future__ import annotations

from shared import storage
from shared.checks import correspondence
from shared.checks.base import Checks, name_of, some, types_of
from shared.contracts.datasets import Dataset
from shared.contracts.jobs import BatchPredictBody
from shared.contracts.models import ModelVersion
from shared.contracts.transfer import MAP_COLUMNS
from shared.errors import InvalidInput


def batch_predict(checks: Checks, body: BatchPredictBody) -> str:
    model = checks.model(body.model, "model")
    for uri, pointer in ((body.input.uri, "/input/uri"), (body.output.uri, "/output/uri")):
        if uri is not None:
            _bucket(checks, uri, pointer)
    if body.output.decision and model and not _decides(model):
        checks.wrong("/output/decision", "only linear, SVM and network classifiers have decision scores")
    if body.input.dataset is not None:
        dataset = checks.dataset(body.input.dataset, "/input/dataset")
        if dataset:
            _scorable(checks, body, dataset, model)
    elif model:  # of objects the worker finds out what they have
        correspondence.columns(checks, body.column_map, None, body.column_map, _inputs(model))
    return name_of(body.model)


def _decides(model: ModelVersion) -> bool:
    """By the version's record; of what it does not tell the plan of the job finds out."""
    composed = model.estimator.get("strategy") in ("blend", "stack")
    trees = model.estimator.get("kind") in ("random_forest", "gradient_boosting")
    return model.task == "classification" and not composed and not trees


def _bucket(checks: Checks, uri: str, pointer: str) -> None:
    try:
        storage.allowed_bucket(uri, checks.services.settings.s3_allowed_buckets, pointer=pointer)
    except InvalidInput as error:
        checks.adopt(error)


def _scorable(checks: Checks, body: BatchPredictBody, dataset: Dataset, model: ModelVersion | None) -> None:
    names = types_of(dataset)
    if body.id_column is not None and body.id_column not in names:
        checks.wrong("/id_column", f"the dataset has no column {body.id_column}; it has {some(names)}")
    if model:
        wanted = _inputs(model)
        found = correspondence.columns(checks, body.column_map, None, names, wanted)
        if missing := [name for name in wanted if name not in found]:
            sentence = f"the dataset lacks columns the model needs: {some(missing)}"
            checks.wrong("/input/dataset", f"{sentence}. {MAP_COLUMNS}")


def _inputs(model: ModelVersion) -> list[str]:
    return [item["name"] for item in model.schema_["inputs"]]
