"""The process that computes one attempt.

It is forked from a forkserver that has scikit-learn loaded, knows neither Redis nor the store, and talks to its
supervisor in JSON over one pipe: `progress`, `warning`, and at last `outcome` or `error`.
It dies with its supervisor: on Linux the kernel sees to it, elsewhere a thread that watches the pipe.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import threadpoolctl

from shared import compatibility, logs
from shared.contracts.base import rfc3339
from shared.contracts.models import Compatibility
from shared.contracts.tables import Column
from shared.errors import GraftError
from shared.processes import die_with_parent, limit_writable_memory
from shared.tables import Piece
from worker.handlers import HANDLERS
from worker.handlers.base import Assignment, ModelFile, Outcome, TableFiles

log = logs.get(__name__)

_PROGRESS_SECONDS = 0.2
_LINE_CHARACTERS = 2_000
_OWN_FIELDS = frozenset(
    {
        "event",
        "job_id",
        "attempt",
        "request_id",
        "trace_id",
        "span_id",
        "level",
        "timestamp",
        "process",
        "exception",
        "exc_info",
        "stack",
    }
)


def main(
    connection: Connection, lifeline: Connection, assignment: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Run the attempt and report. Never raises; the exit code is 0 if a report was sent."""
    _die_with_supervisor(lifeline)
    if settings["memory_bytes"]:
        limit_writable_memory(settings["memory_bytes"])
    report = Report(connection, Path(assignment["workdir"]), settings["checkpoint_seconds"])
    logs.configure(settings["log_level"], told=report.line, process="child")
    pa.set_cpu_count(settings["threads"])
    logging.captureWarnings(True)
    with (
        logs.bind(
            job_id=assignment["job_id"],
            attempt=assignment["attempt"],
            request_id=settings["request_id"],
            **settings["trace"],
        ),
        threadpoolctl.threadpool_limits(settings["threads"]),
    ):
        try:
            work = unpack(assignment)
            _warn_of_versions(work, report)
            outcome = HANDLERS[work.type](work, report)
            report.outcome(outcome)
        except BaseException as error:
            report.error(error)


class Report:
    """What a handler calls its context: messages to the supervisor, not more often than it can use them."""

    def __init__(self, connection: Connection, workdir: Path, checkpoint_seconds: float) -> None:
        self._connection = connection
        self._workdir = workdir
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpointed = time.monotonic()
        self._last = ("", 0.0)

    def progress(self, phase: str, completed: int, total: int | None, unit: str, **details: float) -> None:
        now = time.monotonic()
        if phase == self._last[0] and completed != total and now - self._last[1] < _PROGRESS_SECONDS:
            return
        if phase != self._last[0]:
            log.info(phase, total=total, unit=unit)
        self._last = (phase, now)
        self._send(
            "progress",
            {"phase": phase, "completed": completed, "total": total, "unit": unit, "details": details},
        )

    def warn(self, message: str) -> None:
        self._send("warning", message)

    def checkpoint(self, write: Callable[[Path], None], completed: int, unit: str) -> None:
        now = time.monotonic()
        if now - self._checkpointed < self._checkpoint_seconds:
            return
        self._checkpointed = now
        folder = self._workdir / f"checkpoint-{completed}"
        folder.mkdir()
        write(folder)
        self._send("checkpoint", {"path": str(folder), "completed": completed, "unit": unit})

    def line(self, level: str, event: Mapping[str, Any]) -> None:
        """Give what this process logs to the job's own log as well. Tracebacks stay in the worker's."""
        if level == "debug":
            return
        fields = {name: value for name, value in event.items() if name not in _OWN_FIELDS}
        message = str(event.get("event", ""))[:_LINE_CHARACTERS]
        self._send(
            "log", {"at": rfc3339(datetime.now(UTC)), "level": level, "message": message, "fields": fields}
        )

    def outcome(self, outcome: Outcome) -> None:
        packed = {**asdict(outcome), "result": outcome.result, "version": outcome.version}
        self._send("outcome", {**packed, "usage": _usage()})

    def error(self, error: BaseException) -> None:
        code, message, retryable = describe(error)
        if code == "internal_error":
            log.error("attempt_crashed", exc_info=error)
        self._send("error", {"code": code, "message": message, "retryable": retryable, "usage": _usage()})

    def _send(self, kind: str, content: Any) -> None:
        self._connection.send_bytes(json.dumps([kind, content], default=_plain).encode())


def describe(error: BaseException) -> tuple[str, str, bool]:
    """What the user is told of an error: code, message, and whether another attempt can help."""
    if isinstance(error, GraftError):
        return error.code, error.message, error.retryable
    if isinstance(error, MemoryError):
        return "out_of_memory", "the job needed more memory than it may have", False
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "disk_full", "the worker's disk is full", True
    return (
        "internal_error",
        f"an error of Graft's own ({type(error).__name__}); the worker's log has it",
        False,
    )


def unpack(packed: Mapping[str, Any]) -> Assignment:
    """An assignment as it was before `inputs.pack` made JSON of it."""
    return Assignment(
        job_id=packed["job_id"],
        type=packed["type"],
        attempt=packed["attempt"],
        spec=packed["spec"],
        workdir=Path(packed["workdir"]),
        tables={
            role: TableFiles(
                format=table["format"],
                paths=tuple(Path(path) for path in table["paths"]),
                columns=tuple(Column.model_validate(column) for column in table["columns"]),
                rows=table["rows"],
                sha256=table["sha256"],
                names=tuple(table["names"]),
                pieces=tuple(Piece.unpack(piece) for piece in table["pieces"]),
            )
            for role, table in packed["tables"].items()
        },
        models={
            ref: ModelFile(**{**model, "path": Path(model["path"])})
            for ref, model in packed["models"].items()
        },
        unusable=packed["unusable"],
        part=packed["part"],
        checkpoint=Path(packed["checkpoint"]) if packed["checkpoint"] else None,
    )


def _warn_of_versions(work: Assignment, report: Report) -> None:
    """Of models that other library versions made; what may not be opened has not come this far."""
    alike: dict[str, tuple[Compatibility, list[str]]] = {}
    for ref, file in work.models.items():
        if held := file.record.get("compatibility"):
            found = Compatibility.model_validate(held)
            alike.setdefault(found.model_dump_json(), (found, []))[1].append(ref)
    for found, refs in alike.values():
        if sentence := compatibility.warning(found, refs):
            report.warn(sentence)


def _usage() -> dict[str, float]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_seconds": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "peak_rss_bytes": max(own.ru_maxrss, children.ru_maxrss) * unit,
    }


def _die_with_supervisor(lifeline: Connection) -> None:
    die_with_parent()

    def watch() -> None:
        try:
            lifeline.recv_bytes()  # nothing is ever sent: it returns when the supervisor is gone
        except (EOFError, OSError):
            os._exit(70)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
