"""Graft: asynchronous jobs for machine learning, with transfer learning at its heart.

    import graft

    with graft.Client() as client:
        job = client.train("churn.csv", target="churned", name="churn").wait(progress=True)
        print(job.result["metrics"])

The client is imported when it is first asked for: `graft up` does not pay for it. See `graft.client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graft.client import (
        BadSettings,
        BadSignature,
        BadSource,
        Client,
        Conflict,
        ConnectionBroken,
        Forbidden,
        GraftError,
        InvalidInput,
        Job,
        JobCancelled,
        JobFailed,
        JobUnsuccessful,
        Model,
        ModelVersion,
        NoConnection,
        NotFound,
        NotGraft,
        PreconditionFailed,
        Refused,
        Schedule,
        ServerFailed,
        TimedOut,
        TooLarge,
        TooMany,
        Unauthenticated,
        Unavailable,
        Unreachable,
        WaitedTooLong,
    )

__all__ = [
    "BadSettings",
    "BadSignature",
    "BadSource",
    "Client",
    "Conflict",
    "ConnectionBroken",
    "Forbidden",
    "GraftError",
    "InvalidInput",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobUnsuccessful",
    "Model",
    "ModelVersion",
    "NoConnection",
    "NotFound",
    "NotGraft",
    "PreconditionFailed",
    "Refused",
    "Schedule",
    "ServerFailed",
    "TimedOut",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "WaitedTooLong",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from graft import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
