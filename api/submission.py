"""What can be checked of a job before it is accepted: that what it names exists and fits together.

What only the rows can show (one class, a column that is all text) fails the job later, with a code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import datasets, keys, storage
from shared.contracts.datasets import Dataset
from shared.contracts.jobs import NEEDS_WEIGHTS, AnyJobBody, BatchPredictBody, FineTuneBody, TrainBody
from shared.contracts.models import ModelVersion
from shared.contracts.specs import TREES, resolve
from shared.errors import FieldError, InvalidInput, NotFound
from shared.jobs import NewJob, Uses
from shared.services import Services

_SMALLEST_TRAINING = 2


def check(
    services: Services, project: str, body: AnyJobBody, *, request_id: str, parent: str | None = None
) -> NewJob:
    """A job that can be accepted. Raises InvalidInput with a pointer for each field that is wrong."""
    limit = services.settings.max_timeout_seconds
    if body.timeout_seconds is not None and body.timeout_seconds > limit:
        raise InvalidInput.at("/timeout_seconds", f"should be at most {limit}")
    checker = _Checker(services, project)
    spec = body.model_dump(mode="json")
    match body:
        case TrainBody():
            model = checker.train(body)
        case FineTuneBody():
            model = checker.fine_tune(body, spec)
        case BatchPredictBody():
            model = checker.batch_predict(body, spec)
    if checker.errors:
        raise InvalidInput(checker.errors[0].detail, errors=checker.errors)
    return NewJob(
        project=project,
        type=body.type,
        spec=spec,
        priority=body.priority,
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        metadata=body.metadata,
        model=model,
        uses=checker.uses,
        request_id=request_id,
        parent=parent,
    )


class _Checker:
    def __init__(self, services: Services, project: str) -> None:
        self._services = services
        self._project = project
        self.errors: list[FieldError] = []
        self.uses: list[Uses] = []

    def train(self, body: TrainBody) -> str:
        dataset = self._dataset(body.dataset, "/dataset")
        self._task(body)
        if dataset:
            types = {column.name: column.type for column in dataset.columns}
            self._target(body.target, types)
            self._features(body, types)
            self._rows(dataset, body.evaluation.test_fraction)
            self._target_type(body, types.get(body.target))
        return body.model.name

    def fine_tune(self, body: FineTuneBody, spec: dict[str, Any]) -> str:
        dataset = self._dataset(body.dataset, "/dataset")
        base = self._model(body.base_model, "/base_model", spec, "base_model")
        if base:
            self._strategy(body, base)
        if dataset:
            types = {column.name: column.type for column in dataset.columns}
            self._target(body.target, types)
            self._rows(dataset, body.evaluation.test_fraction)
            if base and base.task == "regression" and types.get(body.target) in {"string", "boolean"}:
                found = types[body.target]
                self._wrong(
                    "/target", f"{base.name} predicts a number, but {body.target} is a {found} column"
                )
        return body.model.name

    def _strategy(self, body: FineTuneBody, base: ModelVersion) -> None:
        kind = base.estimator.get("kind")
        if kind in TREES and body.strategy in NEEDS_WEIGHTS:
            self._wrong(
                "/strategy", f"{body.strategy} needs weights, and {kind} has none; use auto or scratch"
            )

    def batch_predict(self, body: BatchPredictBody, spec: dict[str, Any]) -> str:
        model = self._model(body.model, "/model", spec, "model")
        for uri, pointer in ((body.input.uri, "/input/uri"), (body.output.uri, "/output/uri")):
            if uri is not None:
                self._bucket(uri, pointer)
        if body.input.dataset is not None:
            dataset = self._dataset(body.input.dataset, "/input/dataset")
            if dataset:
                self._scorable(body, dataset, model)
        return body.model.partition(":")[0].partition("@")[0]

    def _dataset(self, dataset_id: str, pointer: str) -> Dataset | None:
        self.uses.append(datasets.used(self._project, dataset_id, pointer))
        try:
            return self._services.datasets.get(self._project, dataset_id)
        except NotFound as error:
            self._wrong(pointer, error.message)
            return None

    def _model(self, ref: str, pointer: str, spec: dict[str, Any], field: str) -> ModelVersion | None:
        """The version that a reference stands for now; from here on the job means that one."""
        try:
            name, number = self._services.models.resolve(self._project, ref)
            version = self._services.models.version(self._project, name, number)
        except NotFound as error:
            self._wrong(pointer, error.message)
            return None
        spec[field] = f"{name}:{number}"
        record = keys.model_version(self._project, name, number)
        self.uses.append(Uses(record, f"{record}:users", pointer))
        return version

    def _task(self, body: TrainBody) -> None:
        if body.task == "auto":
            return
        try:
            resolve(body.estimator, body.task)
        except ValueError as error:
            self._wrong("/estimator", str(error))

    def _target(self, target: str, types: Mapping[str, str]) -> None:
        if target not in types:
            self._wrong("/target", f"the dataset has no column {target}; it has {_some(types)}")
        elif types[target] in {"date", "datetime"}:
            self._wrong("/target", f"{target} is a {types[target]} column, which cannot be predicted")

    def _target_type(self, body: TrainBody, found: str | None) -> None:
        if found not in {"string", "boolean"}:
            return
        if body.task == "regression":
            self._wrong("/target", f"regression needs numbers, but {body.target} is a {found} column")
        elif body.task == "auto":
            try:
                resolve(body.estimator, "classification")
            except ValueError as error:
                self._wrong("/estimator/kind", f"{body.target} is a {found} column: {error}")

    def _features(self, body: TrainBody, types: Mapping[str, str]) -> None:
        seen: set[str] = set()
        for position, name in enumerate(body.features or []):
            pointer = f"/features/{position}"
            if name not in types:
                self._wrong(pointer, f"the dataset has no column {name}; it has {_some(types)}")
            elif name == body.target:
                self._wrong(pointer, f"{name} is the target")
            elif name in seen:
                self._wrong(pointer, f"{name} is named twice")
            seen.add(name)
        if body.features is None and len(types) < 2 and body.target in types:
            self._wrong("/dataset", "the dataset has no column besides the target")

    def _rows(self, dataset: Dataset, test_fraction: float) -> None:
        training = dataset.rows - max(1, round(dataset.rows * test_fraction))
        if training < _SMALLEST_TRAINING:
            self._wrong(
                "/evaluation/test_fraction",
                f"of {dataset.rows} rows only {max(training, 0)} would be left to train on",
            )

    def _bucket(self, uri: str, pointer: str) -> None:
        try:
            storage.allowed_bucket(uri, self._services.settings.s3_allowed_buckets, pointer=pointer)
        except InvalidInput as error:
            self.errors.extend(error.errors)

    def _scorable(self, body: BatchPredictBody, dataset: Dataset, model: ModelVersion | None) -> None:
        names = {column.name for column in dataset.columns}
        if body.id_column is not None and body.id_column not in names:
            self._wrong("/id_column", f"the dataset has no column {body.id_column}; it has {_some(names)}")
        if model:
            missing = [item["name"] for item in model.schema_["inputs"] if item["name"] not in names]
            if missing:
                self._wrong("/input/dataset", f"the dataset lacks columns the model needs: {_some(missing)}")

    def _wrong(self, pointer: str, detail: str) -> None:
        self.errors.append(FieldError(pointer, detail))


def _some(names: Any, most: int = 10) -> str:
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
