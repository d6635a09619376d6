"""What must hold after every fault, read from Redis and the store: I1-I7 and I9-I11 of docs/reliability.md."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from shared import keys, storage
from shared.services import Services
from shared.states import TERMINAL, TRANSITIONS, JobState

PROJECT = "default"

#: The state that each event leads to.
STEPS = {
    "submitted": JobState.QUEUED,
    "claimed": JobState.RUNNING,
    "requeued": JobState.QUEUED,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}


#: Events that leave the state as it is.
NOTES = {
    "cancel_requested",
    "checkpoint",
    "resumed",
    "recovered",
    "warning",
    "split",
    "shard_requeued",
    "shard_failed",
    "closing",
}


@dataclass(frozen=True)
class _Found:
    record: dict[str, str]
    events: list[dict[str, str]]


def check_invariants(services: Services, acknowledged: Collection[str], *, all_ended: bool = True) -> None:
    """Fails with everything that is wrong. `acknowledged`: jobs that were answered with 202."""
    wrong: list[str] = []
    jobs = _jobs(services)
    wrong += [f"I9 {job_id} was acknowledged and is gone" for job_id in set(acknowledged) - set(jobs)]
    effects = _effects(services, wrong)
    indexes = _indexes(services)
    for job_id, job in jobs.items():
        for problem in (
            *_log(job),
            *_state(job_id, job, indexes),
            *_effect(job, effects[job_id]),
            *_output(services, job),
        ):
            wrong.append(f"{problem}: {job_id} is {job.record['status']}, {_told(job)}")
    wrong += _counters(services, jobs)
    wrong += _occurrences(services, jobs)
    if all_ended:
        wrong += [f"I8 {job_id} has not ended" for job_id, job in jobs.items() if not _ended(job)]
        wrong += _leftovers(services)
    assert not wrong, "\n".join(wrong)


def _jobs(services: Services) -> dict[str, _Found]:
    found = {}
    for job_id in services.database.zrange(keys.jobs(PROJECT), 0, -1):
        events = services.database.xrange(keys.job_events(PROJECT, job_id))
        found[job_id] = _Found(services.database.hgetall(keys.job(PROJECT, job_id)), [e for _, e in events])
    return found


def _log(job: _Found) -> list[str]:
    """I1, I5 and I11: the events are a legal walk that ends where the job is."""
    wrong, state, attempt = [], None, 0
    for event in job.events:
        if int(event["attempt"]) < attempt:
            wrong.append("I5 attempt went back")
        attempt = int(event["attempt"])
        if event["event"] in NOTES:
            if event["state"] != state:
                wrong.append(f"I11 {event['event']} in the state {event['state']}")
            continue
        target = STEPS.get(event["event"])
        if target is None or target != event["state"]:
            wrong.append(f"I11 unknown event {event}")
        elif (state is None) != (event["event"] == "submitted") or (
            state is not None and target not in TRANSITIONS[state]
        ):
            wrong.append(f"I11 {state} to {target} is not legal")
        state = target
    if state != job.record.get("status"):
        wrong.append("I1 the log ends in another state")
    if attempt > int(job.record.get("max_attempts", 0)) or int(job.record.get("attempt", -1)) != attempt:
        wrong.append("I5 attempts do not add up")
    return wrong


def _state(job_id: str, job: _Found, indexes: dict[str, set[str]]) -> list[str]:
    """I4: exactly the index of its state; and only a running job has a lease and a token."""
    status = job.record["status"]
    wrong = [
        f"I4 wrong in the index {name}"
        for name, ids in indexes.items()
        if (job_id in ids) != (name == status)
    ]
    scoring = status == "running" and "shards" in job.record  # its shards hold the leases
    if (status == "running") != ("token" in job.record) and not scoring:
        wrong.append("I4 token and state disagree")
    return wrong


def _effects(services: Services, wrong: list[str]) -> Counter[str]:
    """I7 and the counting for I2: every version's object is there, whole and signed."""
    made: Counter[str] = Counter()
    for name in services.database.zrange(keys.models(PROJECT), 0, -1):
        numbers = services.database.zrange(keys.model_versions(PROJECT, name), 0, -1)
        latest = services.database.hget(keys.model(PROJECT, name), "latest_version")
        if [int(number) for number in numbers] != list(range(1, int(latest) + 1)):
            wrong.append(f"I7 {name} has the versions {numbers}, the latest is {latest}")
        for number in map(int, numbers):
            artifact = services.models.artifact(PROJECT, name, number)
            made[artifact.job_id] += 1
            try:
                content = services.objects.get_bytes(artifact.key)
                services.signer.verify(artifact.signed, artifact.signature, content)
            except Exception as error:
                wrong.append(f"I7 {name}:{number} cannot be used: {error}")
    return made


def _effect(job: _Found, versions: int) -> list[str]:
    """I2: one version if a job that makes models succeeded, none otherwise."""
    succeeded = job.record["status"] == "succeeded"
    expected = int(succeeded and job.record["type"] in ("train", "fine_tune"))
    return [] if versions == expected else [f"I2 {versions} versions instead of {expected}"]


def _output(services: Services, job: _Found) -> list[str]:
    """I2 of a batch that succeeded: its folder holds what its manifest says, and the rows add up."""
    output = json.loads(job.record.get("result", "{}")).get("output")
    if job.record["status"] != "succeeded" or not output:
        return []
    bucket, prefix = storage.split_uri(output["uri"])
    there = {item.key.removeprefix(prefix): item.bytes for item in services.objects.at(bucket).list(prefix)}
    files = {file["name"]: file["bytes"] for file in [*output["files"], *filter(None, [output["errors"]])]}
    wrong = [] if there.keys() - {"_manifest.json", "finished.json"} == files.keys() else ["I2 other files"]
    wrong += [f"I2 {name} is not whole" for name, size in files.items() if there.get(name) != size]
    counts = json.loads(job.record["counts"])
    rows = sum(file["rows"] for file in output["files"])
    if (rows, counts["total"]) != (counts["succeeded"], counts["succeeded"] + counts["failed"]):
        wrong.append(f"I2 rows do not add up: {rows} in files, {counts}")
    return wrong


def _counters(services: Services, jobs: dict[str, _Found]) -> list[str]:
    """I6: what the quota counts are the live jobs."""
    live = sum(not _ended(job) for job in jobs.values())
    counted = sum(
        services.database.zcard(keys.jobs_by(PROJECT, "status", state))
        for state in JobState
        if state not in TERMINAL
    )
    return [] if live == counted else [f"I6 the quota counts {counted} live jobs, there are {live}"]


def _occurrences(services: Services, jobs: dict[str, _Found]) -> list[str]:
    """I10: an occurrence has one job if it was submitted, else none; and every job of a schedule is an occurrence's."""
    wrong, named = [], Counter[str]()
    for schedule_id in services.database.zrange(keys.schedules(PROJECT), 0, -1):
        for _, occurrence in services.schedules.occurrences(PROJECT, schedule_id, limit=1_000)[0]:
            named.update([occurrence.job] if occurrence.job else [])
            if (occurrence.status == "submitted") != (occurrence.job in jobs):
                wrong.append(f"I10 {schedule_id} at {occurrence.scheduled_for}: {occurrence}")
        scheduled = [job_id for job_id, job in jobs.items() if job.record.get("schedule") == schedule_id]
        wrong += [
            f"I10 {job_id} is of {named[job_id]} occurrences" for job_id in scheduled if named[job_id] != 1
        ]
    return wrong


def _leftovers(services: Services) -> list[str]:
    """When every job has ended nobody holds, waits for or uses anything."""
    redis = services.database
    kept: dict[str, Any] = {key: redis.zcard(key) for key in (keys.LEASES, keys.DELAYED)}
    open_shards = [
        key for state in ("queued", "running", "pending") for key in redis.scan_iter(f"*:shards:{state}")
    ]
    kept |= {key: redis.zcard(key) for key in open_shards}
    kept |= {key: redis.zcard(key) for key in redis.scan_iter("graft:ready:*")}
    kept |= {key: redis.scard(key) for key in redis.scan_iter("graft:p:*:users")}
    kept |= {key: redis.hlen(key) for key in redis.scan_iter("unacked")}  # kombu's; we acknowledge nothing
    return [f"{key} still holds {count}" for key, count in kept.items() if count]


def _indexes(services: Services) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for state in JobState:
        found[state.value] = set(services.database.zrange(keys.jobs_by(PROJECT, "status", state), 0, -1))
    return found


def _ended(job: _Found) -> bool:
    return job.record["status"] in TERMINAL


def _told(job: _Found) -> str:
    return " → ".join(f"{event['event']}({event['attempt']} {event['reason']})" for event in job.events)
