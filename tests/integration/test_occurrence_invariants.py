"""The histories of `test_job_invariants`, with schedules: an occurrence is decided once and has at most one job.

    I10  every nominal time up to the next one has been decided, in order and once; a decision that is not to wait never
         changes; a submitted occurrence has one job, which no other has, and any other has none

Schedules come, change, pause and go; time passes, in steps and leaps and an hour back; workers look at what is due, are
overtaken between look and act, and do not hear that a job has been accepted. Quota, datasets and the ends of jobs are
those of the histories that this one goes on from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from graft.stack import RunningServer
from shared import keys, scheduled_jobs
from shared.contracts.schedules import Occurrence, ScheduleBody
from shared.errors import Conflict, InvalidInput, Temporary, TooMany
from shared.schedule_records import Decision, Standing
from tests.integration.test_job_invariants import (
    DATASETS,
    MODEL,
    PROFILE,
    PROFILES,
    PROJECTS,
    JobHistory,
    World,
    _Expected,
    everything,
    indexes,
    projects,
    world_on,
)
from tests.support.schedules import DAY, HOUR, MINUTE, at, train_daily

MOST_SCHEDULES = 2
CRONS = ("0 * * * *", "0 */6 * * *", "30 2 * * *")
DECIDED = ("submitted", "skipped", "failed")


@pytest.mark.timeout(24 * 3600 if PROFILE is PROFILES["soak"] else 900)
def test_an_occurrence_is_decided_once_in_any_history(redis_server: RunningServer) -> None:
    world = world_on(redis_server)
    run_state_machine_as_test(lambda: OccurrenceHistory(world), settings=PROFILE)


class OccurrenceHistory(JobHistory):
    """Adds schedules and the workers that look at them."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.work_off = world.work_off
        self.schedules = self.services.schedules
        self.now = at("2026-03-27T12:07")
        self.schedules.now_ms = lambda: self.now
        self.known: dict[str, tuple[str, int]] = {}  # schedule id → project, what was next for it at first
        self.retimed: set[str] = (
            set()
        )  # whose timetable has been changed: their times need not follow one another
        self.final: dict[tuple[str, str], Occurrence] = {}  # decisions that must not change any more
        self.seen_jobs: set[str] = set()

    # Clients

    @precondition(lambda self: len(self.known) < MOST_SCHEDULES)
    @rule(
        project=projects,
        cron=st.sampled_from(CRONS),
        overlap=st.sampled_from(("skip", "queue", "allow")),
        catch_up=st.sampled_from(("none", "latest", "all", "all")),
    )
    def a_schedule_comes(self, project: str, cron: str, overlap: str, catch_up: str) -> None:
        job = dict(train_daily().job, dataset=DATASETS[0], model={"name": MODEL})
        body = train_daily(cron=cron, overlap=overlap, catch_up=catch_up, catch_up_limit=3, job=job)
        create = partial(self.schedules.create, project, body)
        if (project, DATASETS[0]) not in self.datasets:
            self._refused(InvalidInput, create)
            return
        made, _ = create()
        assert made.next_ms is not None
        assert made.next_ms > self.now
        self.known[made.id] = (project, made.next_ms)

    @precondition(lambda self: self.known)
    @rule(
        index=indexes,
        change=st.sampled_from(("pause", "resume", "cron", "overlap")),
        cron=st.sampled_from(CRONS),
    )
    def a_schedule_is_changed(self, index: int, change: str, cron: str) -> None:
        self._change(self._schedule(index), change, cron)

    @precondition(lambda self: self.known)
    @rule(index=indexes, step=st.sampled_from((HOUR, 6 * HOUR)))
    def a_change_is_overtaken_by_a_worker(self, index: int, step: int) -> None:
        standing = self._schedule(index)
        self.now += step
        self._change(standing, "overlap", "", between=self.a_worker_looks_at_what_is_due)

    @precondition(lambda self: self.known)
    @rule(index=indexes)
    def a_timetable_is_changed_when_the_clock_has_been_set_back(self, index: int) -> None:
        standing = self._schedule(index)
        self.now += 6 * HOUR
        self.a_worker_looks_at_what_is_due()
        self.now -= HOUR
        for cron in ("30 2 * * *", "0 * * * *"):
            self._change(standing, "cron", cron)

    @precondition(lambda self: self.known)
    @rule(index=indexes)
    def a_schedule_goes(self, index: int) -> None:
        self._delete(self._schedule(index))

    @precondition(lambda self: self.known)
    @rule(index=indexes)
    def a_schedule_is_run_by_hand(self, index: int) -> None:
        standing = self._schedule(index)
        decision = Decision(nominal_ms=self.now + 1, how="manual", status="submitted", at_ms=self.now)
        call = self.schedules.call(standing, decision)
        new = scheduled_jobs.job_at(self.services, standing, self.now, request_id=None)
        taken = any(_ms(item.scheduled_for) == self.now + 1 for item in self._occurrences(standing))
        try:
            self.store.submit(new, occurrence=call)
        except TooMany:
            assert not taken
        except Conflict:
            assert taken
        else:
            assert not taken
        self._take_over_new_jobs()

    # Time and workers

    @rule(step=st.sampled_from((MINUTE, 20 * MINUTE, HOUR, HOUR, 6 * HOUR, DAY, 3 * DAY, -HOUR)))
    def time_passes(self, step: int) -> None:
        self.now += step

    @rule()
    def a_worker_looks_at_what_is_due(self) -> None:
        self.work_off(self.services)
        self._take_over_new_jobs()

    @precondition(lambda self: self.known)
    @rule(step=st.sampled_from((HOUR, 6 * HOUR, DAY)), index=indexes,
          by=st.sampled_from(("another worker", "a change", "a pause", "its end")))  # fmt: skip
    def a_worker_is_overtaken(self, step: int, index: int, by: str) -> None:
        """Between its look at a schedule and its act, somebody else has decided, changed or deleted it."""
        self.now += step
        chosen = self._schedule(index)
        before: dict[str, bytes] = {}

        def overtake() -> None:
            if before:
                return
            if by == "another worker":
                self.work_off(self.services)
                self.work_off(self.services)
            for standing in [chosen] if by != "another worker" else []:
                if by == "its end":
                    self._delete(standing)
                else:
                    self._change(standing, "pause" if by == "a pause" else "overlap", "")
            before.update(everything(self.redis))

        only = _Overtaken(self.schedules, chosen, overtake)
        self.work_off(replace(self.services, schedules=only))
        after = everything(self.redis)
        for state in (before, after):
            state.pop(keys.SCHEDULES, None)  # when to look again is nobody's decision
        assert not before or after == before, "I10: who was too late has changed something"
        self._take_over_new_jobs()

    @rule(step=st.sampled_from((HOUR, 6 * HOUR)))
    def a_worker_does_not_hear_that_the_job_was_accepted(self, step: int) -> None:
        self.now += step
        self.work_off(replace(self.services, jobs=_Deaf(self.store)))
        self._take_over_new_jobs()

    # Checks

    @invariant()
    def occurrences_are_decided_once(self) -> None:
        named: dict[str, int] = {}
        for schedule_id, (project, _) in self.known.items():
            standing = self.schedules.get(project, schedule_id)
            found = self._occurrences(standing)
            self._check_times(standing, found)
            self._check_places(standing, found)
            for item in found:
                self._check_decision(standing, item, named)
        for member, job in self.jobs.items():
            schedule_id = job.record.get("schedule") or self.redis.hget(
                keys.job(job.project, job.id), "schedule"
            )
            if schedule_id in self.known:
                assert named.get(job.id) == 1, f"I10: {member} is of {named.get(job.id)} occurrences"

    def _check_times(self, standing: Standing, found: list[Occurrence]) -> None:
        """None is left out: the times that have been decided, and the next one, follow one another."""
        spans = [
            (_ms(item.scheduled_for), _ms(item.through or item.scheduled_for))
            for item in found
            if not item.manual
        ]
        assert standing.next_ms is not None
        times = [*spans, (standing.next_ms, standing.next_ms)]
        assert all(after[0] > before[1] for before, after in itertools.pairwise(times)), "I10: out of order"
        if standing.id not in self.retimed:
            assert times[0][0] == self.known[standing.id][1], "I10: the first is missing"
            for before, after in itertools.pairwise(times):
                assert standing.timetable.after(before[1]) == after[0], "I10: one was left out"

    def _check_places(self, standing: Standing, found: list[Occurrence]) -> None:
        """It waits where waiting ones stand, it is looked at in time, and its live jobs are known."""
        waiting = [_ms(item.scheduled_for) for item in found if item.status == "waiting"]
        assert [item.nominal_ms for item in self.schedules.waiting(standing)] == waiting
        look = self.redis.zscore(keys.SCHEDULES, keys.member(standing.project, standing.id))
        assert look is not None, "nobody looks at it"
        assert look <= (standing.due_ms or 0)
        live = {job.id for job in self._live() if self._is_of(job, standing)}
        assert self.redis.smembers(keys.schedule_users(standing.project, standing.id)) == live

    def _check_decision(self, standing: Standing, item: Occurrence, named: dict[str, int]) -> None:
        place = (standing.id, item.scheduled_for.isoformat())
        if place in self.final:
            assert item == self.final[place], "I10: a decision has changed"
        if item.status in DECIDED:
            self.final[place] = item
        assert (item.job is not None) == (item.status == "submitted"), "I10"
        if item.job:
            named[item.job] = named.get(item.job, 0) + 1
            assert named[item.job] == 1, "I10: two occurrences with one job"
            assert keys.member(standing.project, item.job) in self.jobs, "I10: a job that does not exist"

    def _is_named(self, project: str, dataset: str) -> bool:
        named = dataset == DATASETS[0] and any(owner == project for owner, _ in self.known.values())
        return named or super()._is_named(project, dataset)

    def _let_faults_stop(self) -> None:
        """I8: what waits gets its job, and all that is due has been decided."""
        for project in PROJECTS:
            self.a_dataset_comes_or_goes(project, DATASETS[0], comes=True)
        for _ in range(200):
            super()._let_faults_stop()
            self.a_worker_looks_at_what_is_due()
            self.occurrences_are_decided_once()
            standings = [self.schedules.get(project, name) for name, (project, _) in self.known.items()]
            if not self._live() and not any(self.schedules.waiting(standing) for standing in standings):
                break
            self.now += 2_000
        for standing in standings:
            assert (standing.next_ms or 0) > self.now, "I8: one is overdue"
            assert not self.schedules.waiting(standing), "I8: one waits for ever"

    # What happened

    def _take_over_new_jobs(self) -> None:
        """The model learns of the jobs that occurrences got, after a look at whether they might."""
        for project in self.redis.zrange(keys.ready("normal"), 0, -1):  # by whose turn it is
            for job_id in self.redis.zrange(keys.ready_of("normal", project), 0, -1):
                member = keys.member(project, job_id)
                if member in self.jobs:
                    continue
                record = self.redis.hgetall(keys.job(project, job_id))
                assert record["schedule"], "I10: a job that nobody has asked for"
                assert (project, DATASETS[0]) in self.datasets
                self.jobs[member] = _Expected(member, "normal", 3, DATASETS[0])
                self._make_ready(self.jobs[member])
        for schedule_id, (project, _) in self.known.items():
            standing = self.schedules.get(project, schedule_id)
            by_itself = {item.job for item in self._occurrences(standing) if item.job and not item.manual}
            live = [job for job in self._live() if self._is_of(job, standing)]
            fresh = [job.id for job in live if job.id in by_itself - self.seen_jobs]
            if standing.body.overlap != "allow" and fresh:
                assert len(live) == 1, "two jobs of a schedule overlap"
            self.seen_jobs |= by_itself

    def _change(
        self, standing: Standing, change: str, cron: str, *, between: Callable[[], None] = lambda: None
    ) -> None:
        """`between` happens between the look at the schedule and the change."""

        def changed(seen: Standing) -> ScheduleBody:
            between()
            update: dict[str, Any] = {
                "pause": {"paused": True},
                "resume": {"paused": False},
                "cron": {"cron": cron},
                "overlap": {
                    "overlap": {"skip": "queue", "queue": "allow", "allow": "skip"}[seen.body.overlap]
                },
            }[change]
            return seen.body.model_copy(update=update)

        self.schedules.update(standing.project, standing.id, changed)
        if change in {"cron", "resume"}:
            self.retimed.add(standing.id)

    def _delete(self, standing: Standing) -> None:
        self.schedules.delete(standing.project, standing.id)
        del self.known[standing.id]
        left = set(self.redis.scan_iter(f"*{standing.id}*"))
        assert left <= {keys.jobs_by(standing.project, "schedule", standing.id)}

    def _schedule(self, index: int) -> Standing:
        schedule_id = self._one(self.known, index)
        return self.schedules.get(self.known[schedule_id][0], schedule_id)

    def _occurrences(self, standing: Standing) -> list[Occurrence]:
        found, more = self.schedules.occurrences(standing.project, standing.id, limit=1_000)
        assert not more
        return [item for _, item in found][::-1]

    def _is_of(self, job: _Expected, standing: Standing) -> bool:
        return self.redis.hget(keys.job(job.project, job.id), "schedule") == standing.id


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


class _Overtaken:
    """A schedule store in which something happens right after a worker has looked at one schedule, its only one."""

    def __init__(self, store: Any, chosen: Standing, between: Callable[[], None]) -> None:
        self._store = store
        self._chosen = chosen
        self._between = between

    def due(self, now_ms: int) -> list[tuple[str, str]]:
        chosen = (self._chosen.project, self._chosen.id)
        return [found for found in self._store.due(now_ms) if found == chosen]

    def get(self, project: str, schedule_id: str) -> Standing:
        found: Standing = self._store.get(project, schedule_id)
        self._between()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Deaf:
    """A job store that accepts jobs, and whose answers are lost."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def submit(self, *args: Any, **changes: Any) -> None:
        self._store.submit(*args, **changes)
        raise Temporary("the answer was lost", code="redis_unavailable")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
