"""Gives the occurrences of schedules their jobs when their time has come.

Every worker does this. Whether an occurrence gets its job, and that it gets no second one, is decided by the script
that accepts the job; whoever comes too late finds it decided and leaves it.

    submitted   the job has been accepted, in the same step
    waiting     it overlaps (`overlap: queue`, or it is caught up), or the job cannot be accepted at the moment
    skipped     it overlaps, was missed, fell into a pause, or there is no input (`missing_input: skip`)
    failed      the job is refused: what it names is gone, or it could not be accepted for an hour
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from shared import logs, scheduled_jobs
from shared.contracts.base import from_ms, rfc3339
from shared.contracts.schedules import OccurrenceStatus
from shared.errors import Conflict, GraftError, NotFound, Temporary, TooMany
from shared.schedule_records import Decision, How, Standing
from shared.services import Services
from worker.upkeep.backlog import Due, backlog

log = logs.get(__name__)

GIVE_UP_MS = 3600_000
"""How long an occurrence waits for what is only away for a while: room in the quota, the object store."""
MOST_WAITING = 1_000
"""Occurrences of a schedule that wait at a time."""

_OVERLAP = "overlap"
_busy = threading.Lock()


def run(services: Services) -> None:
    """Work off what is due in a thread of its own: the store may take long, and the other chores do not wait."""
    if services.schedules.due(services.schedules.now_ms()) and not _busy.locked():
        threading.Thread(target=_work_off_quietly, args=(services,), name="scheduler", daemon=True).start()


def work_off(services: Services) -> None:
    """Decide every occurrence whose time has come. Raises Temporary."""
    due = services.schedules.due(services.schedules.now_ms())
    random.shuffle(due)  # several workers begin at different ends
    for project, schedule_id in due:
        now = services.schedules.now_ms()
        try:
            _Round(services, services.schedules.get(project, schedule_id), now).work_off()
        except NotFound:
            log.info("schedule_gone", schedule=schedule_id)
        services.schedules.look_again(project, schedule_id)


def _work_off_quietly(services: Services) -> None:
    if not _busy.acquire(blocking=False):
        return
    try:
        work_off(services)
    except Temporary as error:
        log.warning("schedules_postponed", reason=error.message)
    except Exception:
        log.exception("scheduler_failed")
    finally:
        _busy.release()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try at one occurrence."""

    nominal_ms: int
    how: How
    may_wait: bool
    """If it overlaps it waits, else it is skipped."""
    code: str | None = None
    """What it has been waiting for, and since when."""
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    """One look at one schedule."""

    services: Services
    standing: Standing
    now_ms: int

    def work_off(self) -> None:
        """First those that wait, then what has become due; up to one that others have to be done before."""
        body, waiting = self.standing.body, self.services.schedules.waiting(self.standing)
        for item in waiting:
            may_wait = body.overlap == "queue" or item.code == _OVERLAP
            attempt = _Attempt(item.nominal_ms, "waiting", may_wait, item.code, item.since_ms)
            if body.paused:
                self._decide(attempt, "skipped", "paused", "the schedule was paused")
            elif not self._try(attempt):
                break
        for place, due in enumerate(backlog(self.standing, self.now_ms)):
            if not self._begin(due, room=len(waiting) + place < MOST_WAITING):
                break

    def _begin(self, due: Due, *, room: bool) -> bool:
        may_wait = (self.standing.body.overlap == "queue" or due.caught_up) and room
        attempt = _Attempt(due.nominal_ms, "next", may_wait)
        if due.code is None:
            return self._try(attempt)
        return self._decide(attempt, "skipped", due.code, due.reason, through_ms=due.through_ms)

    def _try(self, attempt: _Attempt) -> bool:
        """Submit the occurrence's job, or write down why not. Whether the next one's turn has come."""
        try:
            return self._submit(attempt)
        except Conflict as error:
            if error.code != "occurrence_overlaps":
                return False  # another worker was faster, or the schedule has been changed
            return self._overlaps(attempt)
        except (TooMany, Temporary) as error:
            return self._postpone(attempt, error)
        except GraftError as error:
            return self._decide(attempt, "failed", error.code, _sentence(error))
        except Exception:
            log.exception("occurrence_crashed", schedule=self.standing.id)
            return self._decide(
                attempt, "failed", "internal_error", "a defect of Graft's; the worker's log has it"
            )

    def _submit(self, attempt: _Attempt) -> bool:
        services, standing = self.services, self.standing
        new = scheduled_jobs.job_at(services, standing, attempt.nominal_ms, request_id=None)
        if standing.body.missing_input == "skip" and (reason := scheduled_jobs.missing_input(services, new)):
            return self._decide(attempt, "skipped", "missing_input", reason)
        decision = Decision(
            nominal_ms=attempt.nominal_ms,
            how=attempt.how,
            status="submitted",
            at_ms=self.now_ms,
            alone=standing.body.overlap != "allow",
        )
        job, _ = services.jobs.submit(new, occurrence=services.schedules.call(standing, decision))
        log.info("occurrence_submitted", **self._named(attempt), job_id=job.id)
        return True

    def _overlaps(self, attempt: _Attempt) -> bool:
        if not attempt.may_wait:
            return self._decide(
                attempt, "skipped", _OVERLAP, "a job of the schedule had not ended at its time"
            )
        if attempt.how == "waiting" and attempt.code == _OVERLAP:
            return False
        return self._decide(attempt, "waiting", _OVERLAP, "jobs of the schedule have to end before")

    def _postpone(self, attempt: _Attempt, error: TooMany | Temporary) -> bool:
        if attempt.code in {None, _OVERLAP}:
            self._decide(attempt, "waiting", error.code, error.message)
        elif self.now_ms - (attempt.since_ms or 0) > GIVE_UP_MS:
            return self._decide(attempt, "failed", error.code, error.message)
        return attempt.how == "next"

    def _decide(
        self,
        attempt: _Attempt,
        status: OccurrenceStatus,
        code: str,
        reason: str | None,
        *,
        through_ms: int | None = None,
    ) -> bool:
        """Whether it was this worker that decided it."""
        decision = Decision(
            nominal_ms=attempt.nominal_ms,
            how=attempt.how,
            status=status,
            at_ms=self.now_ms,
            through_ms=through_ms,
            code=code,
            reason=reason,
        )
        decided = self.services.schedules.decide(self.standing, decision)
        if decided:
            log.info(f"occurrence_{status}", **self._named(attempt), code=code, reason=reason)
        return decided

    def _named(self, attempt: _Attempt) -> dict[str, str]:
        return {"schedule": self.standing.id, "scheduled_for": rfc3339(from_ms(attempt.nominal_ms))}


def _sentence(error: GraftError) -> str:
    """What is wrong, with the fields that it is about."""
    fields = [f"{field.pointer}: {field.detail}" for field in error.errors]
    return "; ".join(fields) or error.message
