"""What the job store takes and gives, and how it stands in a hash of Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from shared.contracts.base import from_ms
from shared.contracts.jobs import (
    Counts,
    Job,
    JobError,
    JobEvent,
    JobLinks,
    JobProgress,
    Progress,
    QueuePlace,
    Usage,
)
from shared.errors import GraftError
from shared.states import TERMINAL, JobState

_JSON_FIELDS = (
    "spec",
    "progress",
    "counts",
    "result",
    "error",
    "warnings",
    "usage",
    "metadata",
    "checkpoint",
    "pieces",
    "table",
)


@dataclass(frozen=True, slots=True)
class Uses:
    """A record that must exist when a job is accepted, and stay while it lives.

    `pointer` names it in errors.
    """

    record: str
    users: str
    pointer: str
    is_remembered: bool = True
    """Whether lineage asks which jobs have ever used it."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked request, ready to be accepted."""

    project: str
    type: str
    spec: Mapping[str, Any]
    priority: str = "normal"
    max_attempts: int = 3
    timeout_seconds: int | None = None
    metadata: Mapping[str, Any] | None = None
    webhook_url: str | None = None
    model: str | None = None
    """The name of the model it makes or uses: what `?model=` finds it by."""
    parent: str | None = None
    schedule: str | None = None
    uses: Sequence[Uses] = ()
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class OccurrenceCall:
    """What a script needs to decide a schedule's occurrence in the same step (see `_occurrences.lua`)."""

    keys: Sequence[str]
    args: Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one attempt to write to its job."""

    project: str
    job_id: str
    token: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A model version that comes into being when its job is finished.

    `number` is the one that its signature was made for; None: whichever is next.
    """

    name: str
    description: str | None
    tags: Mapping[str, str] | None
    fields: Mapping[str, Any]
    number: int | None = None


class NumberTaken(GraftError):
    """Another version has come first: sign for the next number. Nothing has changed."""

    default_code = "number_taken"
    status = 409


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands. `ahead`: how many go before it, queue by queue up to its own; none if it is in no line."""

    state: JobState
    revision: str
    ahead: Sequence[int] = ()

    @property
    def tag(self) -> str:
        """Changes with every change of the job and of its place: one that moves up has changed for its client."""
        return f"{self.revision}.{sum(self.ahead)}" if self.ahead else self.revision


@dataclass(frozen=True, slots=True)
class Following:
    """What happened to a job since an earlier look, oldest first, and where the next look goes on."""

    after: str | None = None
    """The newest event that is known."""
    revision: str | None = None
    state: JobState | None = None
    events: Sequence[JobEvent] = ()
    progress: JobProgress | None = None
    """How far it is, if it runs and has changed since."""
    has_more: bool = False
    is_gone: bool = False


_compact = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` would make one for each field


def encode(**fields: Any) -> list[str]:
    """Field, value pairs for a hash. None is left out; what is not a string or number becomes JSON."""
    pairs: list[str] = []
    for name, value in fields.items():
        if value is not None:
            plain = isinstance(value, str | int | float) and not isinstance(value, bool)
            pairs += [name, str(value) if plain else _compact(value)]
    return pairs


def decode(record: Mapping[str, str], names: Iterable[str] = _JSON_FIELDS) -> dict[str, Any]:
    """The JSON fields of a hash, parsed; the others as they are."""
    chosen = frozenset(names)
    return {name: from_json(value) if name in chosen else value for name, value in record.items()}


def to_event(entry_id: str, fields: Mapping[str, str]) -> JobEvent:
    return JobEvent(
        id=entry_id,
        event=fields["event"],
        state=JobState(fields["state"]),
        attempt=int(fields["attempt"]),
        reason=fields["reason"],
        at=from_ms(int(entry_id.partition("-")[0])),
    )


def to_progress(record: Mapping[str, str]) -> JobProgress | None:
    """How far a running job is; None if it runs no more or has not said yet."""
    if record.get("status") != JobState.RUNNING:
        return None
    job = to_job(record)
    if job.progress is None:
        return None
    return JobProgress(attempt=job.attempt, progress=job.progress, counts=job.counts)


def to_job(record: Mapping[str, str], queue: QueuePlace | None = None) -> Job:
    """The public form of a job's hash; `queue` is its place in line."""
    return told(decode(record), queue)


def told(held: Mapping[str, Any], queue: QueuePlace | None = None) -> Job:
    """The same of what `decode` makes of it."""
    job_id, state = held["id"], JobState(held["status"])
    here = f"/v1/jobs/{job_id}"
    result = held.get("result")
    if result is not None and "model_version" in held:
        result = {"model": {"name": held["model"], "version": int(held["model_version"])}, **result}
    return Job(
        id=job_id,
        type=held["type"],
        status=state,
        project=held["project"],
        priority=held["priority"],
        created_at=from_ms(int(held["created_at"])),
        started_at=_time(held, "started_at"),
        finished_at=_time(held, "finished_at"),
        cancel_requested_at=_time(held, "cancel_requested_at"),
        attempt=int(held["attempt"]),
        max_attempts=int(held["max_attempts"]),
        worker=held.get("worker"),
        progress=_parsed(Progress, held.get("progress") or _progress_of_shards(held)),
        counts=_parsed(Counts, held.get("counts")),
        spec=held["spec"],
        result=result if state in TERMINAL else None,
        error=_parsed(JobError, held.get("error")) if state in TERMINAL else None,
        warnings=held.get("warnings", []),
        usage=_parsed(Usage, held.get("usage")),
        metadata=held.get("metadata", {}),
        parent=held.get("parent"),
        schedule=held.get("schedule"),
        queue=queue,
        links=JobLinks(
            self=here,
            events=f"{here}/events",
            logs=f"{here}/logs",
            cancel=f"{here}/cancel",
            output=f"{here}/output" if held["type"] == "batch_predict" else None,
        ),
    )


def _progress_of_shards(held: Mapping[str, Any]) -> dict[str, Any] | None:
    """How far the shards of a running job are together. The pace is the mean since it was split."""
    if "shards" not in held or held["status"] != JobState.RUNNING:
        return None
    total, completed = held["table"]["rows"], int(held["rows_scored"])
    seconds = (int(held["scored_at"]) - int(held["split_at"])) / 1000
    pace = (completed - int(held["rows_at_split"])) / seconds if seconds > 0 else 0.0
    return {
        "phase": "scoring",
        "completed": completed,
        "total": total,
        "unit": "rows",
        "percent": round(100 * completed / total, 1),
        "eta_seconds": round((total - completed) / pace) if pace > 0 else None,
        "details": {"shards": int(held["shards"])},
    }


def _time(held: Mapping[str, Any], name: str) -> Any:
    return from_ms(int(held[name])) if name in held else None


def _parsed(record: Any, value: Any) -> Any:
    return None if value is None else record.model_validate(value)
