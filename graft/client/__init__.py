"""Graft's client. Needs httpx, pydantic and rich; pandas, pyarrow and scikit-learn only where they are used.

    Client ─┬─ datasets, uploads        tables: from a path, bytes, a DataFrame, a pyarrow Table
            ├─ train, fine_tune, batch_predict, evaluate, shift_report, rank_sources ──▶ Job
            ├─ jobs                     Job: wait, cancel, retry, events, logs, result, report, outputs
            ├─ models                   Model, ModelVersion: predict, aliases, compare, lineage, export, drift, load
            ├─ schedules, webhooks, keys
            └─ usage, healthy, ready, metrics

What the API answers comes as the server's own contracts (`shared.contracts`); fields that this version does not know
are left out.
"""

from graft.client.aliases import Alias
from graft.client.client import Client
from graft.client.errors import (
    BadSettings,
    BadSignature,
    BadSource,
    Conflict,
    ConnectionBroken,
    Forbidden,
    GraftError,
    InvalidInput,
    JobCancelled,
    JobFailed,
    JobUnsuccessful,
    NoConnection,
    NotFound,
    NotGraft,
    PreconditionFailed,
    Refused,
    ServerFailed,
    TimedOut,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unreachable,
    WaitedTooLong,
)
from graft.client.job import Job
from graft.client.model import Model
from graft.client.model_version import ModelVersion
from graft.client.outputs import Outputs
from graft.client.schedules import Schedule

__all__ = [
    "Alias",
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
    "Outputs",
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
