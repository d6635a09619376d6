"""One job, as it was when it was looked at last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from graft.client import errors
from graft.client.patience import Patience
from graft.client.watching import watch
from shared.contracts import jobs as contracts
from shared.contracts.jobs import JobError, JobEvent, JobLogLine, JobProgress, JobType, Progress, Usage
from shared.states import TERMINAL, JobState

if TYPE_CHECKING:
    from rich.console import Console

    from graft.client.jobs import Jobs
    from graft.client.outputs import Outputs

HOLD_SECONDS = 20.0
"""How long the server is asked to hold an answer."""


class Job:
    """`record` is all that the API tells of it; `refresh()` looks again."""

    def __init__(self, jobs: Jobs, record: contracts.Job) -> None:
        self._jobs = jobs
        self.record = record

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.type} {self.status}>"

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def type(self) -> JobType:
        return self.record.type

    @property
    def status(self) -> JobState:
        return self.record.status

    @property
    def created_at(self) -> datetime:
        return self.record.created_at

    @property
    def has_ended(self) -> bool:
        return self.record.status in TERMINAL

    @property
    def progress(self) -> Progress | None:
        return self.record.progress

    @property
    def error(self) -> JobError | None:
        """Why it failed."""
        return self.record.error

    @property
    def warnings(self) -> list[str]:
        return self.record.warnings

    @property
    def usage(self) -> Usage | None:
        return self.record.usage

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it: of `model`, `metrics`, `report`, `output` what its type has; None until it has succeeded."""
        return self.record.result

    @property
    def report(self) -> dict[str, Any] | None:
        """Of a fine-tune, whether it helped and why (docs/report.md); of an evaluation and its like, their findings."""
        found: dict[str, Any] | None = (self.record.result or {}).get("report")
        return found

    @property
    def model(self) -> str | None:
        """The version that it made, as `name:3`."""
        made = (self.record.result or {}).get("model")
        return f"{made['name']}:{made['version']}" if made else None

    @property
    def outputs(self) -> Outputs:
        """Of a batch: `to_pandas()`, `to_arrow()`, `download(path)`. Raises Conflict until it has succeeded."""
        return self._jobs.outputs(self.id)

    def to_dict(self) -> dict[str, Any]:
        """As the API's JSON."""
        return self.record.model_dump(mode="json", by_alias=True)

    def refresh(self, *, wait: float = 0) -> Job:
        """Look again; with `wait`, when it has ended, or after so many seconds (30 at most). The same object."""
        self.record = self._jobs.get(self.id, wait=wait).record
        return self

    def hold(self, seconds: float) -> None:
        """Look again when it has ended, or after so many seconds."""
        begun = time.monotonic()
        self.refresh(wait=seconds)
        if not self.has_ended:
            # Below a second there is nothing to hold, and a server for which too many wait answers at once.
            spent = time.monotonic() - begun
            time.sleep(max(0.0, min(1.0, seconds) - spent))

    def wait(
        self, *, progress: bool | Console = False, timeout: float | None = None, check: bool = True
    ) -> Job:
        """Wait for its end. The same object.

        progress: show a live line with phase, rate and remaining time, in a terminal or a notebook; on that console,
        if one is given. timeout: seconds, after which WaitedTooLong is raised; the job goes on. check: raise JobFailed
        or JobCancelled if it has not succeeded. While the API is away it waits on, for two minutes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        patience = Patience(self)
        if progress:
            watch(self, self._jobs, patience, deadline, None if progress is True else progress)
        while not self.has_ended:
            left = HOLD_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise errors.WaitedTooLong(
                    f"{self.id} has not ended within {timeout:g} s; it is {self.status}",
                    "it goes on; wait again, or cancel it",
                    job=self,
                )
            patience.hold(min(left, HOLD_SECONDS))
        if check:
            self.raise_for_status()
        return self

    def raise_for_status(self) -> Job:
        """Raises JobFailed or JobCancelled; not of one that has succeeded or goes on."""
        if self.status is JobState.FAILED:
            error = self.error
            code, message = (error.code, error.message) if error else ("", "no reason is known")
            retryable = error is not None and error.retryable
            raise errors.JobFailed(
                f"{self.id} failed: {message} ({code})",
                f"job.logs() tells more{'; job.retry() submits it again' if retryable else ''}",
                job=self,
                code=code,
                retryable=retryable,
            )
        if self.status is JobState.CANCELLED:
            raise errors.JobCancelled(f"{self.id} was cancelled", "job.retry() submits it again", job=self)
        return self

    def cancel(self) -> Job:
        """Ask it to stop: a queued one now, a running one soon. The same object. Raises Conflict if it has ended."""
        self.record = self._jobs.cancel(self.id).record
        return self

    def retry(self) -> Job:
        """Submit it again, as a new job. Raises Conflict unless it failed or was cancelled."""
        return self._jobs.retry(self.id)

    @overload
    def events(self, *, follow: Literal[False] = False) -> Iterator[JobEvent]: ...

    @overload
    def events(self, *, follow: Literal[True]) -> Iterator[JobEvent | JobProgress]: ...

    def events(self, *, follow: bool = False) -> Iterator[Any]:
        """What happened to it, oldest first. follow: go on until it has ended, progress included."""
        return self._jobs.events(self.id, follow=True) if follow else self._jobs.events(self.id)

    def logs(self) -> Iterator[JobLogLine]:
        """What its attempts logged, oldest first."""
        return self._jobs.logs(self.id)
