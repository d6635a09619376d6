"""What every check does: look up what a job names, note that the job uses it, and collect what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import datasets, keys
from shared.contracts.datasets import Dataset
from shared.contracts.models import ModelVersion
from shared.errors import FieldError, InvalidInput, NotFound
from shared.job_records import Uses
from shared.services import Services

_SMALLEST_TRAINING = 2


class Checks:
    """One body's checks.

    errors: all that is wrong so far. uses: what must exist when the job is accepted and stay while it lives.
    spec: the body as it will be kept, with references frozen into versions.
    """

    def __init__(self, services: Services, project: str, spec: dict[str, Any]) -> None:
        self.services = services
        self.project = project
        self.spec = spec
        self.errors: list[FieldError] = []
        self.uses: list[Uses] = []

    def wrong(self, pointer: str, detail: str) -> None:
        self.errors.append(FieldError(pointer, detail))

    def adopt(self, error: InvalidInput) -> None:
        """Take over what another check has found."""
        self.errors.extend(error.errors)

    def webhook(self, url: str) -> None:
        try:
            self.services.webhooks.check(url, "/webhook_url")
        except InvalidInput as error:
            self.adopt(error)

    def dataset(self, dataset_id: str, pointer: str) -> Dataset | None:
        """As it was last seen: whether it is still there is decided when the job is accepted."""
        self.uses.append(datasets.used(self.project, dataset_id, pointer))
        try:
            return self.services.datasets.recall(self.project, dataset_id)
        except NotFound as error:
            self.wrong(pointer, error.message)
            return None

    def model(self, ref: str, field: str) -> ModelVersion | None:
        """The version that the field's reference stands for now; from here on the job means that one."""
        version = self.version(ref, f"/{field}")
        if version:
            self.spec[field] = f"{version.name}:{version.version}"
        return version

    def version(self, ref: str, pointer: str) -> ModelVersion | None:
        try:
            name, number = self.services.models.resolve(self.project, ref)
            found = self.services.models.version(self.project, name, number)
        except NotFound as error:
            self.wrong(pointer, error.message)
            return None
        record, users = keys.model_version, keys.version_users
        self.uses.append(Uses(record(self.project, name, number), users(self.project, name, number), pointer))
        return found

    def target(self, target: str, types: Mapping[str, str], hint: str = "") -> None:
        """hint: what to do if there is no such column."""
        if target not in types:
            told = f"the dataset has no column {target}; it has {some(types)}"
            self.wrong("/target", f"{told}. {hint}" if hint else told)
        elif types[target] in {"date", "datetime"}:
            self.wrong("/target", f"{target} is a {types[target]} column, which cannot be predicted")

    def held_out(self, rows: int, test_fraction: float) -> None:
        training = rows - max(1, round(rows * test_fraction))
        if training < _SMALLEST_TRAINING:
            self.wrong(
                "/evaluation/test_fraction",
                f"of {rows} rows only {max(training, 0)} would be left to train on",
            )


def types_of(dataset: Dataset) -> dict[str, str]:
    """Column name → type."""
    return {column.name: column.type for column in dataset.columns}


def name_of(ref: str) -> str:
    """The name in a model reference."""
    return ref.partition(":")[0].partition("@")[0]


def some(names: Any, most: int = 10) -> str:
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
