"""What projects keep in the store, in bytes: uploaded datasets, artifacts of model versions, outputs of batches.

The scripts that make and drop the records of these count them in the same step (`keep_bytes`). `counted` adds up the
records themselves; a sweep compares the two, which differ only if records were made before there was a count, or Redis
has lost its newest writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared import keys
from shared.contracts.usage import Stored
from shared.database import Database
from shared.errors import TooLarge

_AT_ONCE = 1_000


class StoredBytes:
    """Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database
        self._correct = database.script("correct_stored")

    def of(self, project: str, *, limit: int = 0) -> Stored:
        """As it is counted."""
        held = self._redis.hgetall(keys.stored(project))
        return Stored(**{kind: int(count) for kind, count in held.items()}, limit=limit or None)

    def expect_room(self, project: str, more_bytes: int, *, limit: int) -> None:
        """Raises TooLarge if so many more are too many now; whether they are in the end is the script's to say."""
        held = self.of(project)
        left = limit - held.datasets - held.artifacts - held.outputs
        if limit and more_bytes > left:
            raise TooLarge(
                f"the project may keep {limit} bytes; {max(left, 0)} are left", code="quota_exceeded"
            )

    def counted(self, project: str) -> Stored:
        """As the records say, one by one."""
        datasets = self._redis.zrange(keys.datasets(project), 0, -1)
        batches = self._redis.zrange(keys.jobs_by(project, "type", "batch_predict"), 0, -1)
        return Stored(
            datasets=self._sum((keys.dataset(project, name) for name in datasets), "stored_bytes"),
            artifacts=self._sum(self._versions(project), "bytes"),
            outputs=self._sum((keys.job(project, job_id) for job_id in batches), "stored_bytes"),
        )

    def mend(self, project: str) -> dict[str, int]:
        """Correct the count if it is wrong and nothing happens meanwhile. Returns by how much it was wrong."""
        before = self.of(project)
        truth = self.counted(project)
        kinds = ("datasets", "artifacts", "outputs")
        seen, right = ([getattr(found, kind) for kind in kinds] for found in (before, truth))
        if seen == right or self.counted(project) != truth:
            return {}
        pairs = [part for kind, *values in zip(kinds, seen, right, strict=True) for part in (kind, *values)]
        if not self._correct(keys=[keys.stored(project)], args=pairs):
            return {}
        return {kind: held - value for kind, held, value in zip(kinds, seen, right, strict=True)}

    def _versions(self, project: str) -> Iterator[str]:
        for name in self._redis.zrange(keys.models(project), 0, -1):
            for number in self._redis.zrange(keys.model_versions(project, name), 0, -1):
                yield keys.model_version(project, name, int(number))

    def _sum(self, records: Iterable[str], field: str) -> int:
        chosen, total = list(records), 0
        for start in range(0, len(chosen), _AT_ONCE):
            with self._redis.pipeline() as pipe:
                for record in chosen[start : start + _AT_ONCE]:
                    pipe.hget(record, field)
                total += sum(int(value or 0) for value in pipe.execute())
        return total
