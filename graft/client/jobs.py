"""Jobs: submit, look, list, and what can be asked of each. `graft.client.job` is one job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import httpx

from graft.client import events as streams
from graft.client import pages
from graft.client.job import Job
from graft.client.outputs import Outputs
from graft.client.transport import Transport, new_idempotency_key
from shared.contracts import jobs as contracts
from shared.contracts.jobs import (
    JobEvent,
    JobEventPage,
    JobLogLine,
    JobLogPage,
    JobPage,
    JobProgress,
    JobType,
)
from shared.contracts.outputs import Manifest
from shared.contracts.webhooks import Delivery, DeliveryPage


class Jobs:
    """`client.jobs`."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def __getitem__(self, job: str) -> Job:
        return self.get(job)

    def submit(self, body: Mapping[str, Any], *, idempotency_key: str | None = None, wait: float = 0) -> Job:
        """Submit a job by its body, as `POST /v1/jobs` takes it; `client.train` and the others make it.

        The call may come twice: it has an `Idempotency-Key`, one of its own if none is given. wait: hold the answer
        until the job ends, so many seconds at most (30).
        """
        response = self._api.ask(
            "POST /v1/jobs", json=body, headers=asked(idempotency_key, wait), hold_seconds=wait
        )
        return self._job(response)

    def get(self, job: str, *, wait: float = 0) -> Job:
        """wait: hold the answer until the job ends, so many seconds at most (30). It may come sooner, if many wait."""
        headers = {"Prefer": f"wait={int(wait)}" if wait >= 1 else None}
        response = self._api.ask("GET /v1/jobs/{job_id}", job, headers=headers, hold_seconds=wait)
        return self._job(response)

    def list(
        self,
        *,
        status: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None,
        type: JobType | None = None,
        model: str | None = None,
        schedule: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Iterator[Job]:
        """Newest first; those of a state, a type, a model's name, a schedule. All of them, or the first `limit`."""
        query = {"status": status, "type": type, "model": model, "schedule": schedule}
        found = pages.entries(self._api, JobPage, "GET /v1/jobs", query=query, limit=limit, after=after)
        return (Job(self, record) for record in found)

    def cancel(self, job: str) -> Job:
        """A queued job at once, a running one as soon as its worker hears of it. Raises Conflict if it has ended."""
        return self._job(self._api.ask("POST /v1/jobs/{job_id}/cancel", job, may_come_twice=True))

    def retry(self, job: str, *, idempotency_key: str | None = None, wait: float = 0) -> Job:
        """A failed or cancelled job again, as a new one. Raises Conflict."""
        headers = asked(idempotency_key, wait)
        response = self._api.ask("POST /v1/jobs/{job_id}/retry", job, headers=headers, hold_seconds=wait)
        return self._job(response)

    @overload
    def events(
        self, job: str, *, follow: Literal[False] = False, after: str | None = None, limit: int | None = None
    ) -> Iterator[JobEvent]: ...

    @overload
    def events(
        self, job: str, *, follow: Literal[True], after: str | None = None, limit: None = None
    ) -> Iterator[JobEvent | JobProgress]: ...

    def events(
        self, job: str, *, follow: bool = False, after: str | None = None, limit: int | None = None
    ) -> Iterator[Any]:
        """What happened to it, oldest first, after an event's id if one is given.

        follow: go on until the job has ended, and tell of its progress, too (`JobProgress`).
        """
        told = self.stream(job, after=after, follow=follow, limit=limit)
        return (item for item in told if not isinstance(item, streams.Beat))

    def stream(
        self,
        job: str,
        *,
        follow: bool = True,
        after: str | None = None,
        limit: int | None = None,
        tries: int = streams.TRIES,
    ) -> Iterator[streams.Told]:
        """As `events`, and with the server's heartbeats. tries: how often it connects in a row before it gives up."""
        operation = "GET /v1/jobs/{job_id}/events"
        if not follow:
            return pages.entries(self._api, JobEventPage, operation, job, limit=limit, after=after)
        return streams.follow(self._api, operation, job, after=after, tries=tries)

    def logs(self, job: str, *, limit: int | None = None, after: str | None = None) -> Iterator[JobLogLine]:
        """What its attempts logged, oldest first; the newest 2,000 lines are kept."""
        return pages.entries(
            self._api, JobLogPage, "GET /v1/jobs/{job_id}/logs", job, limit=limit, after=after
        )

    def deliveries(self, job: str) -> Sequence[Delivery]:
        """What was delivered to its `webhook_url`."""
        return self._api.read(DeliveryPage, "GET /v1/jobs/{job_id}/deliveries", job).data

    def output(self, job: str) -> Manifest:
        """The files of a batch, with links that are good for an hour. Raises Conflict until it has succeeded."""
        return self._api.read(Manifest, "GET /v1/jobs/{job_id}/output", job)

    def outputs(self, job: str) -> Outputs:
        """The output of a batch, to read or to download. Raises Conflict until it has succeeded."""
        return Outputs(self._api, self.output(job))

    def _job(self, response: httpx.Response) -> Job:
        return Job(self, self._api.understood(contracts.Job, response))


def asked(idempotency_key: str | None, wait: float) -> dict[str, str | None]:
    return {
        "Idempotency-Key": idempotency_key or new_idempotency_key(),
        "Prefer": f"wait={int(wait)}" if wait >= 1 else None,
    }
