"""What the job of a schedule names, and so keeps from being deleted: datasets, models, versions.

A version is named by its number. `churn` and `churn@champion` name the model, whichever version they stand for at the
time: an alias keeps its version by itself. So does the model that a job makes versions of, which need not be there yet.
A reference with a template in it names nothing until its time has come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared import keys
from shared.contracts.base import NAME_PATTERN, ULID_PATTERN
from shared.contracts.job_fields import MODEL_REF_PATTERN

_DATASET = re.compile(f"ds_{ULID_PATTERN}")


@dataclass(frozen=True, slots=True)
class Named:
    """A record that a job template names. `pointer` is where, below `/job`."""

    record: str
    pointer: str
    must_exist: bool = True

    @property
    def pair(self) -> tuple[str, str]:
        """For `put_schedule.lua`."""
        return self.record if self.must_exist else "", keys.naming_schedules(self.record)


def named(project: str, job: Mapping[str, Any]) -> list[Named]:
    """Everything that the job's template names, each once."""
    found = [*_datasets(project, job), *_models(project, job)]
    return list({item.record: item for item in reversed(found)}.values())


def _datasets(project: str, job: Mapping[str, Any]) -> Iterator[Named]:
    batch = job.get("input")
    places = {
        "/dataset": job.get("dataset"),
        "/source": job.get("source"),
        "/input/dataset": batch.get("dataset") if isinstance(batch, dict) else None,
    }
    for pointer, value in places.items():
        if isinstance(value, str) and _DATASET.fullmatch(value):
            yield Named(keys.dataset(project, value), f"/job{pointer}")


def _models(project: str, job: Mapping[str, Any]) -> Iterator[Named]:
    candidates, target = job.get("candidates"), job.get("model")
    places = {"/base_model": job.get("base_model"), "/model": target}
    if isinstance(candidates, list):
        places |= {f"/candidates/{place}": value for place, value in enumerate(candidates)}
    for pointer, value in places.items():
        if isinstance(value, str) and re.fullmatch(MODEL_REF_PATTERN, value):
            name, _, number = value.partition("@")[0].partition(":")
            if number:
                yield Named(keys.model_version(project, name, int(number)), f"/job{pointer}")
            yield Named(keys.model(project, name), f"/job{pointer}")
    made = target.get("name") if isinstance(target, dict) else None
    if isinstance(made, str) and re.fullmatch(NAME_PATTERN, made):
        yield Named(keys.model(project, made), "/job/model/name", must_exist=False)
