"""Attempts at a large batch: plan and split it, score one shard of it, close it.

Every part has a lease of its own, so a lost worker costs what it was busy with and no more. Whoever ends the last
shard is handed the job to close it; if that fails, the job is claimed again like any other and closed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from shared import keys, logs
from shared.errors import NotFound, Temporary
from shared.job_records import Lease, decode
from shared.services import Services
from shared.shards import NewShard
from shared.states import JobState
from worker import checkpoints, closing, inputs, publishing
from worker.attempt import FINISH_PATIENCE_SECONDS, Attempt
from worker.handlers.base import Assignment
from worker.handlers.batch_output import allowed_errors, too_many_errors
from worker.handlers.batch_plan import SHARD_ROWS
from worker.keeper import Interrupted
from worker.recovery import Finished

log = logs.get(__name__)


class BatchAttempt(Attempt):
    """At a batch: scored in one go if it is small, else planned and split."""

    def _compute(self, workdir: Path) -> Finished | None:
        if self._moving(self._is_small):
            return super()._compute(workdir)
        assignment, found = self._moving(
            lambda: inputs.outline(self._services, self._job, workdir, self._keeper.check)
        )
        plan = self._supervise(replace(assignment, type="batch_plan"))
        outlined = assignment.tables["dataset"]
        self._job["table"] = {"format": outlined.format, "sha256": outlined.sha256, **plan["result"]}
        shards = [
            [{"file": asdict(found[number]), "piece": piece} for number, piece in shard]
            for shard in plan["shards"]
        ]
        if len(shards) > 1:
            return self._split(assignment, shards, workdir)
        whole = self._moving(
            lambda: inputs.shard(self._services, self._job, shards[0], workdir, self._keeper.check)
        )
        return self._publish(self._supervise(whole))

    def _is_small(self) -> bool:
        spec = self._job["spec"]
        if not spec["input"].get("dataset"):
            return False  # nobody knows before it is looked at
        dataset = self._services.datasets.get(self._lease.project, spec["input"]["dataset"])
        return bool(dataset.rows <= (spec["shard_rows"] or SHARD_ROWS))

    def _split(
        self, assignment: Assignment, shards: Sequence[Sequence[Mapping[str, Any]]], workdir: Path
    ) -> Finished | None:
        fingerprint = checkpoints.fingerprint(assignment)
        scored = self._scored_before(fingerprint)
        new = [NewShard(pieces, scored.get(number)) for number, pieces in enumerate(shards)]
        table = self._job["table"]
        answer = self._patiently(
            lambda: self._services.shards.split(
                self._lease,
                self._job["priority"],
                new,
                table=table,
                fingerprint=fingerprint,
                failed_allowed=allowed_errors(self._job["spec"], table["rows"]),
                usage=self._usage,
                warnings=self._warnings,
            ),
            FINISH_PATIENCE_SECONDS,
        )
        if answer == "cancel":
            raise Interrupted("cancel")
        log.info("job_split", shards=len(new), scored_before=len(scored))
        if answer == "complete":
            return closing.close(self._services, self._lease, self._job, workdir, self._moving)
        return None

    def _scored_before(self, fingerprint: str) -> Mapping[int, Mapping[str, Any]]:
        """What the job that this one retries had scored of the same shards, by their numbers."""
        parent = self._job.get("parent")
        if not parent:
            return {}
        project = self._lease.project
        try:
            if self._services.jobs.record(project, parent).get("fingerprint") != fingerprint:
                return {}
        except NotFound:
            return {}
        records = self._services.shards.records(project, parent)
        return {
            number: record["result"]
            for number, record in enumerate(records)
            if record["status"] == JobState.SUCCEEDED
        }


class ShardAttempt(Attempt):
    """At one shard. `closing` is a lease on the job afterwards, if this was its last shard."""

    closing: Lease | None = None

    def _compute(self, workdir: Path) -> Finished:
        assignment = self._moving(
            lambda: inputs.shard(self._services, self._job, self._job["pieces"], workdir, self._keeper.check)
        )
        outcome = self._supervise(replace(assignment, part=self._number))
        staged = publishing.stage(self._services, self._lease, outcome, self._moving)
        counts = outcome["counts"]
        result = {**outcome["result"], **staged, "counts": counts}
        return Finished(result, counts=counts, usage=self._usage, warnings=tuple(self._warnings))

    @property
    def _number(self) -> int:
        parts = keys.split_shard(self._lease.job_id)
        return parts[1] if parts else 0

    def _on_report(self, kind: str, content: Any) -> None:
        if kind != "progress":
            super()._on_report(kind, content)
        elif content["phase"] == "scoring":
            self._keeper.note(rows_scored=content["completed"])

    def _keep_line(self, **line: Any) -> None:
        super()._keep_line(**{**line, "fields": {**line["fields"], "shard": self._number}})

    def _finish(self, state: JobState, **changes: Any) -> int:
        """Into the shard's record, and through it into the job's."""
        self._keeper.flush()
        counts, result = changes.pop("counts", None) or {}, changes.get("result") or {}
        rows = self._job["table"]["rows"]
        too_many = too_many_errors(self._job["spec"], rows, result.get("latest_bad_row", ""))
        job_error = {
            "code": too_many.code,
            "message": too_many.message,
            "retryable": too_many.retryable,
        }
        changes.pop("version", None)

        def act() -> Lease | None:
            return self._services.shards.finish(
                self._lease,
                state,
                self._job["priority"],
                self._job["worker"],
                rows=counts.get("total", 0),
                failed_rows=counts.get("failed", 0),
                job_error=job_error,
                usage=self._usage,
                warnings=self._warnings or None,
                **changes,
            )

        self.closing = self._patiently(act, FINISH_PATIENCE_SECONDS)
        return 0


class ClosingAttempt(Attempt):
    """At a job whose shards are all scored: what they made becomes its output."""

    def _compute(self, workdir: Path) -> Finished:
        return closing.close(self._services, self._lease, self._job, workdir, self._moving)

    def _commit(self, finished: Finished) -> None:
        staged = closing.staged_keys(self._services, self._lease)
        super()._commit(finished)
        for key in staged:
            try:
                self._services.objects.delete(key)
            except Temporary as error:
                log.warning("staged_object_left_behind", key=key, reason=error.message)


def attempt_at(
    services: Services, lease: Lease, record: Mapping[str, str]
) -> tuple[type[Attempt], dict[str, Any]]:
    """The kind of attempt that a claimed record asks for, and the job's fields as the attempt wants them."""
    found = decode(record)
    if shard := keys.split_shard(lease.job_id):
        job = decode(services.jobs.record(lease.project, shard[0]))
        return ShardAttempt, {**found, "type": job["type"], "spec": job["spec"], "table": job["table"]}
    if "shards" in found:
        return ClosingAttempt, found
    return (BatchAttempt if found["type"] == "batch_predict" else Attempt), found
