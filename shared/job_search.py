"""Jobs by what is written in them: ids, model, data, metadata, error. Text by text, for people; programs filter.

One call looks at a few thousand jobs at most, so that nobody's search holds Redis up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared import keys
from shared.contracts.jobs import Job
from shared.database import Database
from shared.job_records import to_job

MOST_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """`next`: where to go on, if there are more jobs to look at."""

    jobs: list[Job]
    next: str | None


class JobSearch:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._search = database.script("search_jobs")

    def find(
        self, project: str, text: str, filters: Mapping[str, str], *, limit: int, after: str | None = None
    ) -> Found:
        """Newest first: up to `limit` jobs older than `after` in which the text occurs and that match the filters."""
        name, value = next(iter(filters.items()), ("", ""))
        cursor, records = self._search(
            keys=[keys.jobs_by(project, name, value) if name else keys.jobs(project)],
            args=[
                text.lower(),
                after or "",
                limit,
                MOST_LOOKED_AT,
                keys.job(project, "%s"),
                *(part for pair in filters.items() for part in pair),
            ],
        )
        jobs = [to_job(dict(zip(flat[::2], flat[1::2], strict=True))) for flat in records]
        return Found(jobs, cursor or None)
