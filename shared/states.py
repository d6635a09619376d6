"""The states of a job and the only legal moves between them.

                 claim                commit
    submit ──▶ queued ─────▶ running ───────▶ succeeded
                 │  ▲           │ ├──────────▶ failed
                 │  └───────────┘ └──────────▶ cancelled
                 │   release: retry, rescue, drain
                 └─────────────────────────────▶ cancelled

A request to stop a running job is the field `cancel_requested_at`, not a state.
Terminal states never change. Lua scripts are given the permitted source states as arguments.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

TERMINAL = frozenset(state for state, targets in TRANSITIONS.items() if not targets)
LIVE = frozenset(TRANSITIONS) - TERMINAL


def sources(target: JobState) -> tuple[JobState, ...]:
    """The states from which a job may move to `target`."""
    return tuple(state for state, targets in TRANSITIONS.items() if target in targets)
