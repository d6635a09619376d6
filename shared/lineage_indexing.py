"""Indexes the past: jobs and versions from before lineage had indexes, once for each project.

What is written is what `submit.lua` and `finish.lua` write today, and may be written again. A job that is forgotten in
the meantime leaves its id in an index; lineage passes over an id without a job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from shared import keys
from shared.database import Database

_AT_ONCE = 500


def index_past(database: Database, project: str) -> int:
    """Make up for what no script has indexed. Returns how many jobs were read: none if it was done before."""
    if database.exists(keys.lineage_indexed(project)):
        return 0
    count = 0
    for job_ids in _batches(database, project):
        _index(database, project, job_ids)
        count += len(job_ids)
    database.set(keys.lineage_indexed(project), "1")
    return count


def _batches(database: Database, project: str) -> Iterator[list[str]]:
    cursor = None
    while cursor != 0:
        cursor, found = database.zscan(keys.jobs(project), cursor or 0, count=_AT_ONCE)
        yield [job_id for job_id, _ in found]


def _index(database: Database, project: str, job_ids: list[str]) -> None:
    if not job_ids:
        return
    with database.pipeline() as pipe:
        for job_id in job_ids:
            pipe.hmget(keys.job(project, job_id), "uses", "model", "model_version")
        jobs = pipe.execute()
    made = [(name, int(number)) for _, name, number in jobs if number is not None]
    with database.pipeline() as pipe:
        for name, number in made:
            pipe.hmget(keys.model_version(project, name, number), "parent", "created_at")
        versions = pipe.execute() if made else []
    with database.pipeline() as pipe:
        for job_id, (uses, _, _) in zip(job_ids, jobs, strict=True):
            for users in filter(lambda key: keys.used(project, key), (uses or "").split()):
                pipe.zadd(keys.ever(users), {job_id: 0})
        for (name, number), (told, created) in zip(made, versions, strict=True):
            if parent := json.loads(told or "null"):
                children = keys.version_children(project, parent["name"], int(parent["version"]))
                pipe.zadd(children, {f"{name}:{number}": int(created)})
        pipe.execute()
