"""The promises of the job store, checked after every step of random histories on a real Redis.

A state machine submits, claims, finishes, gives back, cancels and rescues jobs, loses and forges wake-ups, and
lets attempts stall and write too late. Nothing in it waits: leases and delays are long, and rules move deadlines.

    I1   a terminal state never changes                    I6   the quota counts the live jobs
    I2   one effect per job, and only if it succeeded      I8   when faults stop, every job ends
    I3   a stale token leaves every key as it was          I9   an accepted job is found
    I4   a job is where its state says, and only there     I11  the event log holds legal transitions only
    I5   attempts only grow, up to `max_attempts`          I12  what ended jobs used is what their project used

`_Seen` is what Redis holds, `_Expected` the model beside it. HYPOTHESIS_PROFILE=soak runs for longer.
tests/integration/test_occurrence_invariants.py adds schedules, and I10. tests/integration/test_mutants.py shows that
the machines notice when a guard is missing.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from graft.stack import RunningServer
from shared import datasets, jobs, keys, schedules, shards
from shared import services as composition
from shared.config import Settings
from shared.database import Database
from shared.datasets import used
from shared.errors import Conflict, InvalidInput, LostLease, NotFound, TooMany
from shared.job_records import Lease, NewJob, NewVersion
from shared.jobs import JobStore
from shared.queue import PRIORITIES, queue_name, wake_up
from shared.services import Services
from shared.states import LIVE, TERMINAL, TRANSITIONS, JobState
from tests.support.schedules import a_dataset
from worker.upkeep import dispatcher, rescuer, scheduler

PROJECTS = ("blue", "red")
DATASETS = tuple(f"ds_{number:026}" for number in range(2))
MODEL = "churn"
MOST_LIVE_JOBS = 3
MOST_INTERRUPTIONS = 1
FOREVER_SECONDS = 10 * 3600.0  # no lease or delay of a history ends by itself
OVERDUE_SECONDS = 3600.0

AT_LENGTH = run_settings(suppress_health_check=list(HealthCheck))
PROFILES = {
    "ci": run_settings(AT_LENGTH, max_examples=400, stateful_step_count=30, derandomize=True, database=None),
    "soak": run_settings(AT_LENGTH, max_examples=5_000, stateful_step_count=100),
}
PROFILE = PROFILES.get(os.environ.get("HYPOTHESIS_PROFILE", ""), PROFILES["ci"])

PROGRESS = {"phase": "fitting", "completed": 1, "total": 2, "unit": "epochs"}

indexes = st.integers(min_value=0, max_value=99)
projects = st.sampled_from(PROJECTS)
priorities = st.sampled_from(("normal", "normal", "high", "low"))
terminal_states = st.sampled_from(sorted(TERMINAL))
late_acts = st.sampled_from(("renew", "note", "finish", "finish with a version", "release"))


@dataclass(frozen=True)
class World:
    """The product under test: its stores on a real Redis, and a way to have a claim sent again."""

    services: Services
    tokens: Tokens
    rescue: Callable[[Services], None]
    work_off: Callable[[Services], None]


class Tokens:
    """Makes the tokens of leases: always new ones, unless a call is to be repeated to the letter."""

    def __init__(self) -> None:
        self.again: str | None = None

    def __call__(self) -> str:
        return self.again or secrets.token_hex(16)


def world_on(
    redis_server: RunningServer,
    *,
    scripts: Callable[[Database], Database] = lambda database: database,
    module: Callable[[ModuleType], Any] = lambda module: module,
) -> World:
    """Leases end when a rule says so, and a project reaches its quota soon. Mutants replace scripts and modules."""
    settings = Settings.model_validate(
        {
            "redis_url": redis_server.settings["GRAFT_REDIS_URL"],
            "signing_key": "0" * 32,
            "lease_seconds": FOREVER_SECONDS,
            "rewake_seconds": OVERDUE_SECONDS,
            "max_live_jobs": MOST_LIVE_JOBS,
            "max_interruptions": MOST_INTERRUPTIONS,
        }
    )
    services, tokens = composition.build(settings), Tokens()
    database = scripts(services.database)
    store = module(jobs).JobStore(
        database,
        lease_seconds=settings.lease_seconds,
        max_live_jobs=settings.max_live_jobs,
        max_interruptions=settings.max_interruptions,
        idempotency_seconds=settings.idempotency_seconds,
        new_token=tokens,
    )
    services = replace(
        services,
        jobs=store,
        shards=module(shards).ShardStore(database, lease_seconds=settings.lease_seconds),
        datasets=module(datasets).DatasetStore(database),
        schedules=module(schedules).ScheduleStore(database, max_schedules=10, idempotency_seconds=60),
    )
    return World(services, tokens, module(rescuer).run, module(scheduler).work_off)


@pytest.mark.timeout(24 * 3600 if PROFILE is PROFILES["soak"] else 900)
def test_every_promise_holds_after_every_step_of_any_history(redis_server: RunningServer) -> None:
    world = world_on(redis_server)
    run_state_machine_as_test(lambda: JobHistory(world), settings=PROFILE)


# What Redis holds


@dataclass(frozen=True)
class _Seen:
    """Every job, and every place that names one. A job is named by its member, `project/id`."""

    hashes: dict[str, dict[str, str]]
    events: dict[str, list[dict[str, str]]]
    states: dict[tuple[str, str], list[str]]  # (project, state) → members in that index
    lines: dict[tuple[str, str], list[str]]  # (priority, project) → members that are ready, oldest first
    turns: dict[str, list[str]]  # priority → projects with ready jobs, by whose turn it is
    delayed: list[str]
    leases: dict[str, float]
    users: dict[tuple[str, str], set[str]]  # (project, dataset) → members
    versions: dict[str, list[dict[str, str]]]
    wake_ups: dict[str, int]

    def places(self, member: str) -> list[str]:
        """Where a job waits or runs: `ready <priority>`, `delayed`, `leases`."""
        ready = [f"ready {priority}" for (priority, _), line in self.lines.items() if member in line]
        return ready + ["delayed"] * (member in self.delayed) + ["leases"] * (member in self.leases)


def look(redis: Database) -> _Seen:
    first = _ask(
        redis,
        {
            "delayed": ("zrange", keys.DELAYED, 0, -1),
            "leases": ("zrange", keys.LEASES, 0, -1, False, True),
            **{("jobs", project): ("zrange", keys.jobs(project), 0, -1) for project in PROJECTS},
            **{
                ("state", project, state): ("zrange", keys.jobs_by(project, "status", state), 0, -1)
                for project in PROJECTS
                for state in JobState
            },
            **{
                ("line", priority, project): ("zrange", keys.ready_of(priority, project), 0, -1)
                for priority in PRIORITIES
                for project in PROJECTS
            },
            **{("turns", priority): ("zrange", keys.ready(priority), 0, -1) for priority in PRIORITIES},
            **{("wake_ups", priority): ("llen", queue_name(priority)) for priority in PRIORITIES},
            **{
                ("users", project, dataset): ("smembers", keys.dataset_users(project, dataset))
                for project in PROJECTS
                for dataset in DATASETS
            },
            **{
                ("versions", project): ("zrange", keys.model_versions(project, MODEL), 0, -1)
                for project in PROJECTS
            },
        },
    )
    known = [(project, job_id) for project in PROJECTS for job_id in first["jobs", project]]
    second = _ask(
        redis,
        {
            **{("hash", *job): ("hgetall", keys.job(*job)) for job in known},
            **{("events", *job): ("xrange", keys.job_events(*job)) for job in known},
            **{
                ("version", project, number): ("hgetall", keys.model_version(project, MODEL, int(number)))
                for project in PROJECTS
                for number in first["versions", project]
            },
        },
    )

    def members(project: str, ids: Iterable[str]) -> list[str]:
        return [keys.member(project, job_id) for job_id in ids]

    return _Seen(
        hashes={keys.member(*job): second["hash", *job] for job in known},
        events={keys.member(*job): [fields for _, fields in second["events", *job]] for job in known},
        states={
            (project, state): members(project, first["state", project, state])
            for project in PROJECTS
            for state in JobState
        },
        lines={
            (priority, project): members(project, first["line", priority, project])
            for priority in PRIORITIES
            for project in PROJECTS
        },
        turns={priority: first["turns", priority] for priority in PRIORITIES},
        delayed=first["delayed"],
        leases=dict(first["leases"]),
        users={
            (project, dataset): set(members(project, first["users", project, dataset]))
            for project in PROJECTS
            for dataset in DATASETS
        },
        versions={
            project: [second["version", project, number] for number in first["versions", project]]
            for project in PROJECTS
        },
        wake_ups={priority: first["wake_ups", priority] for priority in PRIORITIES},
    )


def everything(redis: Database) -> dict[str, bytes]:
    """Every key of Redis with its content, byte for byte, but for the answers to calls, which go after a minute."""
    names = sorted(name for name in redis.scan_iter(count=1000) if not name.startswith(keys.call("")))
    dumps = _ask(redis, {name: ("dump", name) for name in names})
    return {name: dumps[name] for name in names}


def _ask(redis: Database, questions: dict[Any, tuple[Any, ...]]) -> dict[Any, Any]:
    """The answer to each command, in one round trip."""
    with redis.pipeline() as pipe:
        for command, *arguments in questions.values():
            getattr(pipe, command)(*arguments)
        return dict(zip(questions, pipe.execute(), strict=True))


# What must hold of it, whatever happened


def check(seen: _Seen) -> None:
    """The invariants that Redis alone can show."""
    for member, record in seen.hashes.items():
        _check_places(seen, member, record)
        _check_effects(seen, member, record)
        _check_events(seen.events[member], JobState(record["status"]))
        assert 0 <= int(record["attempt"]) <= int(record["max_attempts"]), "I5"
    _check_sums(seen)


def _check_places(seen: _Seen, member: str, record: dict[str, str]) -> None:
    project, status = record["project"], JobState(record["status"])
    assert [state for state in JobState if member in seen.states[project, state]] == [status], "I4: indexes"
    places = seen.places(member)
    if status is JobState.QUEUED:
        assert places in ([f"ready {record['priority']}"], ["delayed"]), "I4: a queued job"
    else:
        assert places == (["leases"] if status is JobState.RUNNING else []), f"I4: a {status} job"
    assert ("token" in record) == (status is JobState.RUNNING), "I4: token"
    for dataset in DATASETS:
        names_it = keys.dataset_users(project, dataset) in record["uses"].split()
        assert (member in seen.users[project, dataset]) == (names_it and status in LIVE), "uses"


def _check_effects(seen: _Seen, member: str, record: dict[str, str]) -> None:
    made = [version for version in seen.versions[record["project"]] if version["job"] == member]
    assert [version["version"] for version in made] == [
        record[name] for name in record if name == "model_version"
    ], "I2"
    assert not made or record["status"] == JobState.SUCCEEDED, "I2: an effect of a job that did not succeed"


def _check_events(events: list[dict[str, str]], status: JobState) -> None:
    assert [(event["event"], event["state"]) for event in events[:1]] == [("submitted", "queued")], "I11"
    moves = {"submitted", "claimed", "requeued", *TERMINAL}
    for before, after in itertools.pairwise(events):
        source, target = JobState(before["state"]), JobState(after["state"])
        if after["event"] in moves:
            assert target in TRANSITIONS[source], f"I11: {source} → {target}"
        else:
            assert source == target, f"I11: {after['event']} moves {source} to {target}"
            assert source in LIVE, f"I11: {after['event']} in {source}"
        assert int(before["attempt"]) <= int(after["attempt"]), "I5: the log counts back"
    assert events[-1]["state"] == status, "I11: the log does not end in the job's state"


def _check_sums(seen: _Seen) -> None:
    for project in PROJECTS:
        live = sum(
            record["project"] == project and record["status"] in LIVE for record in seen.hashes.values()
        )
        assert sum(len(seen.states[project, state]) for state in LIVE) == live <= MOST_LIVE_JOBS, "I6"
    for priority in PRIORITIES:
        waiting = {project for project in PROJECTS if seen.lines[priority, project]}
        assert set(seen.turns[priority]) == waiting, "I4: projects with ready jobs"
    named = {
        *(
            member
            for group in (seen.states, seen.lines, seen.users)
            for held in group.values()
            for member in held
        ),
        *seen.delayed,
        *seen.leases,
    }
    assert named <= set(seen.hashes), "an index names a job that does not exist"


def check_usage(redis: Database, project: str, jobs: Iterable[dict[str, str]]) -> None:
    """What its days say is what its ended jobs say."""
    days = [redis.hgetall(key) for key in redis.scan_iter(f"graft:p:{project}:usage:*", count=1000)]
    counted: Counter[str] = Counter()
    for day in days:
        for name, value in day.items():
            what, *of = name.split(":")
            if what == "ended":  # by ten minutes of the day, for the dashboard
                name = f"ended:{of[1]}"
            counted[name] += int(value) if name != "peak_rss_bytes" else 0
    expected: Counter[str] = Counter()
    peak = 0
    for record in jobs:
        if record["status"] in TERMINAL:
            used = json.loads(record.get("usage", "{}"))
            expected[f"jobs:{record['type']}:{record['status']}"] += 1
            expected[f"ended:{record['status']}"] += 1
            expected["wall_ms"] += round(1000 * used.get("wall_seconds", 0))
            expected["cpu_ms"] += round(1000 * used.get("cpu_seconds", 0))
            expected["rows_scored"] += int(record.get("rows_scored", 0)) - int(record.get("rows_at_split", 0))
            peak = max(peak, used.get("peak_rss_bytes", 0))
    assert +counted == +expected, "I12"
    assert max((int(day["peak_rss_bytes"]) for day in days), default=0) == peak, "I12"


# The model

_Place = tuple[bool, int]
"""Whether a project has had a turn, and when; else when it came."""


@dataclass
class _Expected:
    """What is known of one job without asking Redis."""

    member: str
    priority: str
    max_attempts: int
    dataset: str | None
    status: JobState = JobState.QUEUED
    attempt: int = 0
    interruptions: int = 0
    charged: bool = True  # the next claim counts as an attempt
    asked_to_stop: bool = False
    version: int = 0
    lease: Lease | None = None
    deadline: float | None = None  # of a lease or a delay that has run out; None: it is far away
    finished_by: Lease | None = None
    last_call: Callable[[], int] | None = None  # with which its own attempt finished it
    record: dict[str, str] = field(default_factory=dict)  # its hash after the step before

    @property
    def project(self) -> str:
        return keys.split_member(self.member)[0]

    @property
    def id(self) -> str:
        return keys.split_member(self.member)[1]


class JobHistory(RuleBasedStateMachine):
    """Random steps of clients, workers, upkeep and bad luck."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.services, self.tokens, self.rescue = world.services, world.tokens, world.rescue
        self.store: JobStore = self.services.jobs
        self.redis = self.services.database
        self.redis.flushdb()
        self.jobs: dict[str, _Expected] = {}
        self.lines: dict[tuple[str, str], list[str]] = {(p, q): [] for p in PRIORITIES for q in PROJECTS}
        self.turns: dict[str, dict[str, _Place]] = {p: {} for p in PRIORITIES}  # of projects, next one first
        self.served: dict[tuple[str, str], int] = {}  # (priority, project) → when it last had a turn
        self.clock = itertools.count()
        self.overdue: set[str] = set()  # members that have been ready for long
        self.delayed: set[str] = set()
        self.wake_ups = dict.fromkeys(PRIORITIES, 0)
        self.datasets: set[tuple[str, str]] = set()
        self.replies: dict[tuple[str, str], tuple[str, str]] = {}  # (project, key) → (body, job id)
        self.versions = dict.fromkeys(PROJECTS, 0)
        self.stale: list[Lease] = []
        self.past = 0.0  # deadlines that have run out, in the order in which they did

    @initialize(priority=priorities, attempts=st.integers(1, 3))
    def begin(self, priority: str, attempts: int) -> None:
        for project in PROJECTS:
            self.a_dataset_comes_or_goes(project, DATASETS[0], comes=True)
            self._submit(project, priority, attempts, DATASETS[0], None)

    # Clients

    @rule(
        project=projects,
        priority=priorities,
        max_attempts=st.integers(1, 3),
        dataset=st.none() | st.sampled_from(DATASETS),
        times=st.integers(1, 3),
    )
    def submit(self, project: str, priority: str, max_attempts: int, dataset: str | None, times: int) -> None:
        for _ in range(times):
            self._submit(project, priority, max_attempts, dataset, None)

    @rule(
        project=projects,
        priority=priorities,
        dataset=st.none() | st.sampled_from(DATASETS),
        key=st.sampled_from(("key 1", "key 2")),
        body=st.sampled_from(("body", "body", "another body")),
    )
    def submit_with_a_key(
        self, project: str, priority: str, dataset: str | None, key: str, body: str
    ) -> None:
        self._submit(project, priority, 3, dataset, (key, body))

    def _submit(
        self,
        project: str,
        priority: str,
        max_attempts: int,
        dataset: str | None,
        idempotency: tuple[str, str] | None,
    ) -> None:
        new = NewJob(
            project=project,
            type="train",
            spec={"seed": 1},
            priority=priority,
            max_attempts=max_attempts,
            model=MODEL,
            uses=[used(project, dataset, "/dataset")] if dataset else [],
        )
        call = partial(self.store.submit, new, idempotency=idempotency)
        seen = self.replies.get((project, idempotency[0])) if idempotency else None
        if seen and idempotency:
            if seen[0] == idempotency[1]:
                again, replayed = self._unchanged(call)
                assert (again.id, replayed) == (seen[1], True)
            else:
                self._refused(InvalidInput, call)
        elif sum(job.project == project for job in self._live()) >= MOST_LIVE_JOBS:
            self._refused(TooMany, call)
        elif dataset and (project, dataset) not in self.datasets:
            self._refused(InvalidInput, call)
        else:
            accepted, replayed = call()
            assert not replayed
            assert accepted == self.store.get(project, accepted.id)
            job = _Expected(keys.member(project, accepted.id), priority, max_attempts, dataset)
            assert job.member not in self.jobs
            self.jobs[job.member] = job
            if idempotency:
                self.replies[project, idempotency[0]] = (idempotency[1], accepted.id)
            self._make_ready(job)

    @precondition(lambda self: self.jobs)
    @rule(index=indexes, heard=st.booleans())
    def cancel(self, index: int, heard: bool) -> None:
        self._cancel(self._one(self.jobs.values(), index), heard=heard)

    @precondition(lambda self: self.delayed)
    @rule(index=indexes)
    def cancel_while_it_waits_for_its_retry(self, index: int) -> None:
        self._cancel(self.jobs[self._one(sorted(self.delayed), index)])

    @precondition(lambda self: self._running(lambda job: job.asked_to_stop))
    @rule(index=indexes)
    def cancel_again(self, index: int) -> None:
        self._cancel(self._one(self._running(lambda job: job.asked_to_stop), index))

    def _cancel(self, job: _Expected, *, heard: bool = False) -> None:
        call = partial(self.store.cancel, job.project, job.id)
        if job.status in TERMINAL:
            self._refused(Conflict, call)
        elif job.asked_to_stop:
            assert self._unchanged(call) is False
        else:
            assert call() is True
            job.asked_to_stop = True
            if job.status is JobState.QUEUED:
                self._leave_the_queue(job)
                job.status = JobState.CANCELLED
            elif heard:
                assert self.store.renew(job.lease) is True, "the attempt is not told"
                job.deadline = None

    @precondition(lambda self: self._live())
    @rule(index=indexes)
    def cancel_a_job_of_another_project(self, index: int) -> None:
        job = self._one(self._live(), index)
        other = PROJECTS[1 - PROJECTS.index(job.project)]
        self._refused(NotFound, lambda: self.store.cancel(other, job.id))

    @rule(project=projects, dataset=st.sampled_from(DATASETS), comes=st.booleans())
    def a_dataset_comes_or_goes(self, project: str, dataset: str, comes: bool) -> None:
        call = partial(self.services.datasets.delete, project, dataset)
        if comes:
            a_dataset(self.services, dataset, project)
            self.datasets.add((project, dataset))
        elif (project, dataset) not in self.datasets:
            self._refused(NotFound, call)
        elif self._is_named(project, dataset):
            self._refused(Conflict, call)
        else:
            call()
            self.datasets.discard((project, dataset))

    def _is_named(self, project: str, dataset: str) -> bool:
        """By something that keeps it."""
        return any((job.project, job.dataset) == (project, dataset) for job in self._live())

    # Workers

    @precondition(lambda self: any(self.turns.values()))
    @rule(index=indexes, workers=st.integers(1, 3))
    def claim(self, index: int, workers: int) -> None:
        priority = self._one([p for p in PRIORITIES if self.turns[p]], index)
        for _ in range(workers):
            self._follow_a_wake_up(priority)

    @rule(priority=st.sampled_from(PRIORITIES))
    def claim_without_a_wake_up(self, priority: str) -> None:
        self._claim(priority)

    @precondition(lambda self: self._running())
    @rule(index=indexes)
    def claim_again_because_the_answer_was_lost(self, index: int) -> None:
        job = self._one(self._running(), index)
        self.tokens.again = job.lease.token
        claimed = self._unchanged(lambda: self.store.claim(job.priority, "worker"))
        self.tokens.again = None
        assert claimed is not None
        assert claimed[0] == job.lease

    @precondition(lambda self: self._running())
    @rule(index=indexes, progress=st.booleans())
    def renew(self, index: int, progress: bool) -> None:
        job = self._one(self._running(), index)
        changes = {"progress": PROGRESS} if progress else {}
        assert self.store.renew(job.lease, **changes) is job.asked_to_stop
        job.deadline = None

    @precondition(lambda self: self._running())
    @rule(index=indexes)
    def note_a_checkpoint(self, index: int) -> None:
        self.store.note(self._one(self._running(), index).lease, "checkpoint", checkpoint={"epoch": 1})

    @precondition(lambda self: self._running())
    @rule(index=indexes, state=terminal_states, version=st.booleans())
    def finish(self, index: int, state: JobState, version: bool) -> None:
        self._finish(
            self._one(self._running(), index), state, version=version and state is JobState.SUCCEEDED
        )

    @precondition(lambda self: self._finished())
    @rule(index=indexes)
    def finish_again_because_the_answer_was_lost(self, index: int) -> None:
        job = self._one(self._finished(), index)
        assert self._unchanged(job.last_call) == job.version

    @precondition(lambda self: self._running(lambda job: job.attempt < job.max_attempts))
    @rule(index=indexes, delayed=st.sampled_from((True, True, False)))
    def give_back_for_a_retry(self, index: int, delayed: bool) -> None:
        job = self._one(self._running(lambda job: job.attempt < job.max_attempts), index)
        self._release(job, delay_seconds=FOREVER_SECONDS if delayed else 0.0)

    @precondition(lambda self: self._running())
    @rule(index=indexes)
    def give_back_because_the_worker_stops(self, index: int) -> None:
        self._release(self._one(self._running(), index), charged=False)

    # Upkeep and time

    @precondition(lambda self: self._running(lambda job: job.deadline is None))
    @rule(index=indexes)
    def a_lease_runs_out(self, index: int) -> None:
        self._run_out(self._one(self._running(lambda job: job.deadline is None), index))

    @precondition(lambda self: any(self.jobs[member].deadline is None for member in self.delayed))
    @rule(index=indexes)
    def a_retry_becomes_due(self, index: int) -> None:
        waiting = [member for member in sorted(self.delayed) if self.jobs[member].deadline is None]
        self._become_due(self.jobs[self._one(waiting, index)])

    @rule()
    def rescue_round(self) -> None:
        self._expect_rescue()
        self.rescue(self.services)

    @rule(long_after=st.booleans())
    def dispatch_round(self, long_after: bool) -> None:
        if long_after:
            self._let_turns_become_overdue()
        due = [member for member in self.delayed if self.jobs[member].deadline is not None]
        for member in sorted(due, key=lambda member: self.jobs[member].deadline or 0.0):
            self.delayed.discard(member)
            self._make_ready(self.jobs[member])
        for priority in PRIORITIES:
            if not self.wake_ups[priority] and self._next_is_overdue(priority):
                self.wake_ups[priority] += 1
        dispatcher.run(self.services)

    # Bad luck

    @rule(priority=priorities, what=st.sampled_from(("lost", "doubled", "forged")))
    def wake_ups_go_astray(self, priority: str, what: str) -> None:
        name = queue_name(priority)
        if what == "lost":
            self.redis.delete(name)
            self.wake_ups[priority] = 0
        else:
            more = self.redis.lrange(name, 0, 0) if what == "doubled" else ["junk", wake_up("graft.other")]
            for message in more:
                self.redis.lpush(name, message)
            self.wake_ups[priority] += len(more)

    @precondition(lambda self: any(job.status is not JobState.QUEUED for job in self.jobs.values()))
    @rule(index=indexes, priority=st.sampled_from(PRIORITIES))
    def a_job_that_is_not_queued_stands_in_line(self, index: int, priority: str) -> None:
        job = self._one([job for job in self.jobs.values() if job.status is not JobState.QUEUED], index)
        before = everything(self.redis)
        self.redis.zadd(keys.ready_of(priority, job.project), {job.id: 0})
        self.redis.zadd(keys.ready(priority), {job.project: -(2**53)})
        turns = self.turns[priority]
        if turns.pop(job.project, None) is not None:
            self._line_up(priority, job.project)
        if self.turns[priority]:
            self._claim(priority)
        else:
            assert self.store.claim(priority, "worker") is None
            assert everything(self.redis) == before

    @precondition(lambda self: any(job.status is not JobState.RUNNING for job in self.jobs.values()))
    @rule(index=indexes)
    def a_job_that_is_not_running_stands_among_the_leases(self, index: int) -> None:
        job = self._one([job for job in self.jobs.values() if job.status is not JobState.RUNNING], index)
        self.rescue_round()
        before = everything(self.redis)
        self.redis.zadd(keys.LEASES, {job.member: 0})
        self.rescue(self.services)
        assert everything(self.redis) == before

    @precondition(lambda self: self._running(lambda job: job.deadline is None))
    @rule(index=indexes, by=st.sampled_from(("release", "finish")))
    def a_rescuer_asks_for_a_job_whose_lease_still_runs(self, index: int, by: str) -> None:
        job = self._one(self._running(lambda job: job.deadline is None), index)
        if by == "release":
            self._refused(
                LostLease, lambda: self.store.release(job.lease, job.priority, reason="", expired_only=True)
            )
        else:
            self._refused(LostLease, lambda: self.store.finish(job.lease, JobState.FAILED, expired_only=True))

    @precondition(lambda self: self._running())
    @rule(index=indexes, by=st.sampled_from(("a renewal", "the end of the job", "another rescuer")))
    def a_rescuer_is_overtaken(self, index: int, by: str) -> None:
        """Between its look at the leases and its act, every job that it found has moved on."""
        self._run_out(self._one(self._running(), index))
        before: dict[str, bytes] = {}

        def overtake() -> None:
            if by == "another rescuer":
                self.rescue_round()
            for job in self._running(lambda job: job.deadline is not None):
                if by == "a renewal":
                    self.store.renew(job.lease)
                    job.deadline = None
                else:
                    self._finish(job, JobState.SUCCEEDED, version=True)
            before.update(everything(self.redis))

        self.rescue(replace(self.services, jobs=_Overtaken(self.store, overtake)))
        assert everything(self.redis) == before, "I3"

    @precondition(lambda self: self._running())
    @rule(index=indexes, act=late_acts, reclaimed=st.booleans())
    def an_attempt_stalls_is_taken_over_and_then_writes(self, index: int, act: str, reclaimed: bool) -> None:
        job = self._one(self._running(), index)
        lease = job.lease
        self._run_out(job)
        self.rescue_round()
        while reclaimed and job.status is JobState.QUEUED:
            self._claim(job.priority)
        self._write_late(lease, act)

    @precondition(lambda self: self.stale)
    @rule(index=indexes, act=late_acts)
    def an_attempt_of_long_ago_writes(self, index: int, act: str) -> None:
        self._write_late(self._one(self.stale, index), act)

    @precondition(lambda self: self.jobs)
    @rule(index=indexes, act=late_acts, token=st.sampled_from(("", "0" * 32)))
    def somebody_writes_with_a_token_that_was_never_given(self, index: int, act: str, token: str) -> None:
        job = self._one(self.jobs.values(), index)
        self._refused(LostLease, self._late_call(Lease(job.project, job.id, token), act))

    # Checks

    @invariant()
    def promises_hold(self) -> None:
        seen = look(self.redis)
        check(seen)
        for project in PROJECTS:
            ours = [record for record in seen.hashes.values() if record["project"] == project]
            check_usage(self.redis, project, ours)
        assert set(seen.hashes) == set(self.jobs), "I9"
        for member, job in self.jobs.items():
            self._check_history(job, seen.hashes[member])
            self._check_model(job, seen.hashes[member])
            if job.status is JobState.RUNNING:
                assert (seen.leases[member] > self.past) == (job.deadline is None), "the lease's deadline"
        assert seen.lines == self.lines
        assert seen.turns == {priority: list(turns) for priority, turns in self.turns.items()}
        assert set(seen.delayed) == self.delayed
        assert seen.wake_ups == self.wake_ups
        assert {project: len(made) for project, made in seen.versions.items()} == self.versions, "I2"

    @staticmethod
    def _check_history(job: _Expected, record: dict[str, str]) -> None:
        before, job.record = job.record, record
        if before and record != before:
            assert before["status"] not in TERMINAL, "I1"
            assert int(before["attempt"]) <= int(record["attempt"]), "I5"
            assert int(before["revision"]) < int(record["revision"]), "who polls does not see the change"

    @staticmethod
    def _check_model(job: _Expected, record: dict[str, str]) -> None:
        assert record["status"] == job.status
        assert (int(record["attempt"]), int(record["interruptions"])) == (job.attempt, job.interruptions), (
            "I5"
        )
        assert ("cancel_requested_at" in record) == job.asked_to_stop
        assert int(record.get("model_version", 0)) == job.version, "I2"
        assert record.get("token") == (job.lease and job.lease.token)

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:  # else a step has failed already
            self._let_faults_stop()

    def _let_faults_stop(self) -> None:
        """I8: upkeep and a worker that follows wake-ups end every job, in one round."""
        for job in self._running():
            self._run_out(job)
        for member in self.delayed:
            self._become_due(self.jobs[member])
        self.rescue_round()
        self.dispatch_round(long_after=True)
        for priority in PRIORITIES:
            while self.wake_ups[priority]:
                if job := self._follow_a_wake_up(priority):
                    self._finish(job, JobState.SUCCEEDED, version=True)
        self.promises_hold()
        assert not self._live(), "I8"

    # Steps, and what they do to the model

    def _claim(self, priority: str) -> _Expected | None:
        turns = self.turns[priority]
        if not turns:
            assert self._unchanged(lambda: self.store.claim(priority, "worker")) is None
            return None
        claimed = self.store.claim(priority, "worker")
        assert claimed is not None, "a ready job is not found"
        lease, record = claimed
        project = next(iter(turns))
        line = self.lines[priority, project]
        job = self.jobs[line.pop(0)]
        del turns[project]
        self.served[priority, project] = next(self.clock)
        self.overdue.discard(job.member)
        if line:
            self._line_up(priority, project)
        if turns and not self.wake_ups[priority]:
            self.wake_ups[priority] = 1
        assert keys.member(lease.project, lease.job_id) == job.member, "it was another job's turn"
        assert record["token"] == lease.token
        job.status, job.lease, job.deadline = JobState.RUNNING, lease, None
        job.attempt += job.charged
        job.charged = True
        return job

    def _follow_a_wake_up(self, priority: str) -> _Expected | None:
        woken = bool(self.redis.rpop(queue_name(priority)))
        assert woken == bool(self.wake_ups[priority]), "a wake-up is missing"
        self.wake_ups[priority] -= woken
        return self._claim(priority)

    def _finish(self, job: _Expected, state: JobState, *, version: bool = False) -> None:
        made = NewVersion(MODEL, None, None, {"name": MODEL, "job": job.member}) if version else None
        used = {"wall_seconds": 1.25, "cpu_seconds": 0.5, "peak_rss_bytes": 1000 + job.attempt}
        call = partial(self.store.finish, job.lease, state, version=made, result={"metrics": {}}, usage=used)
        number = call()
        if version:
            self.versions[job.project] += 1
            job.version = self.versions[job.project]
        assert number == job.version
        self._ended(job, state)
        job.last_call = call

    def _release(self, job: _Expected, *, delay_seconds: float = 0.0, charged: bool = True) -> None:
        call = partial(
            self.store.release,
            job.lease,
            job.priority,
            reason="retry" if charged else "drain",
            delay_seconds=delay_seconds,
            charged=charged,
        )
        if job.asked_to_stop:
            assert self._unchanged(call) == "cancel"
            self._finish(job, JobState.CANCELLED)
            return
        interrupted = not charged
        charged = charged or job.interruptions >= MOST_INTERRUPTIONS
        if interrupted and charged and job.attempt >= job.max_attempts:
            assert self._unchanged(call) == "spent"
            self._finish(job, JobState.FAILED)
            return
        assert call() == "done"
        job.interruptions += interrupted
        self._requeued(job, delayed=delay_seconds > 0, charged=charged)

    def _expect_rescue(self) -> None:
        lost = self._running(lambda job: job.deadline is not None)
        for job in sorted(lost, key=lambda job: job.deadline or 0.0):
            if job.asked_to_stop:
                self._ended(job, JobState.CANCELLED)
            elif job.attempt < job.max_attempts:
                self._requeued(job)
            else:
                self._ended(job, JobState.FAILED)

    def _requeued(self, job: _Expected, *, delayed: bool = False, charged: bool = True) -> None:
        self._lose_the_lease(job)
        job.status, job.charged = JobState.QUEUED, charged
        if delayed:
            self.delayed.add(job.member)
        else:
            self._make_ready(job)

    def _ended(self, job: _Expected, state: JobState) -> None:
        job.finished_by = job.lease
        self._lose_the_lease(job)
        job.status = state

    def _lose_the_lease(self, job: _Expected) -> None:
        self.stale.append(job.lease)
        job.lease = job.deadline = None

    def _make_ready(self, job: _Expected) -> None:
        job.deadline = None
        self.lines[job.priority, job.project].append(job.member)
        self._line_up(job.priority, job.project)
        self.wake_ups[job.priority] += 1

    def _line_up(self, priority: str, project: str) -> None:
        """Whoever never had a turn comes first, in the order of coming; then whose last one is longest ago."""
        turns, last = self.turns[priority], self.served.get((priority, project))
        turns.setdefault(project, (last is not None, next(self.clock) if last is None else last))
        self.turns[priority] = dict(sorted(turns.items(), key=lambda item: item[1]))

    def _leave_the_queue(self, job: _Expected) -> None:
        self.overdue.discard(job.member)
        line = self.lines[job.priority, job.project]
        if job.member in line:
            line.remove(job.member)
            if not line:
                del self.turns[job.priority][job.project]
        self.delayed.discard(job.member)

    def _run_out(self, job: _Expected) -> None:
        self._move_into_the_past(keys.LEASES, job)

    def _become_due(self, job: _Expected) -> None:
        self._move_into_the_past(keys.DELAYED, job)

    def _move_into_the_past(self, deadlines: str, job: _Expected) -> None:
        self.past += 1
        job.deadline = self.past
        self.redis.zadd(deadlines, {job.member: self.past}, xx=True)

    def _let_turns_become_overdue(self) -> None:
        for (priority, project), line in self.lines.items():
            for member in line:
                _, job_id = keys.split_member(member)
                self.redis.zincrby(keys.ready_of(priority, project), -2e6 * OVERDUE_SECONDS, job_id)
                self.overdue.add(member)

    def _next_is_overdue(self, priority: str) -> bool:
        project = next(iter(self.turns[priority]), None)
        return project is not None and self.lines[priority, project][0] in self.overdue

    # Writes that must come to nothing

    def _write_late(self, lease: Lease, act: str) -> None:
        call = self._late_call(lease, act)
        job = self.jobs[keys.member(lease.project, lease.job_id)]
        if act.startswith("finish") and job.finished_by == lease:
            # To finish what this very token has finished is answered, and changes nothing either.
            assert self._unchanged(call) == job.version
        else:
            self._refused(LostLease, call)

    def _late_call(self, lease: Lease, act: str) -> Callable[[], object]:
        version = NewVersion(MODEL, "late", {"late": "yes"}, {"name": MODEL, "job": "late"})
        calls: dict[str, Callable[[], object]] = {
            "renew": partial(self.store.renew, lease, progress={"phase": "late"}, logs=[{"message": "late"}]),
            "note": partial(self.store.note, lease, "checkpoint", checkpoint={"late": True}),
            "finish": partial(self.store.finish, lease, JobState.FAILED, error={"code": "late"}),
            "finish with a version": partial(
                self.store.finish, lease, JobState.SUCCEEDED, version=version, result={"late": True}
            ),
            "release": partial(self.store.release, lease, "normal", reason="late"),
        }
        return calls[act]

    def _refused(self, error: type[Exception], call: Callable[[], object]) -> None:
        def refused() -> bool:
            try:
                call()
            except error:
                return True
            return False

        assert self._unchanged(refused), f"it did not raise {error.__name__}"

    def _unchanged(self, call: Callable[[], Any]) -> Any:
        """The answer of a call that must leave every key as it was, byte for byte."""
        before = everything(self.redis)
        answer = call()
        assert everything(self.redis) == before, "I3: it left a trace"
        return answer

    # Who takes part in a step

    def _live(self) -> list[_Expected]:
        return [job for job in self.jobs.values() if job.status in LIVE]

    def _running(self, such: Callable[[_Expected], bool] = lambda job: True) -> list[_Expected]:
        return [job for job in self.jobs.values() if job.status is JobState.RUNNING and such(job)]

    def _finished(self) -> list[_Expected]:
        return [job for job in self.jobs.values() if job.last_call]

    @staticmethod
    def _one(candidates: Iterable[Any], index: int) -> Any:
        among = list(candidates)
        return among[index % len(among)]


class _Overtaken:
    """A job store in which something happens right after the rescuer has looked."""

    def __init__(self, store: JobStore, between: Callable[[], None]) -> None:
        self._store = store
        self._between = between

    def expired(self) -> Iterator[tuple[Lease, dict[str, str]]]:
        found = self._store.expired()
        self._between()
        return iter(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
