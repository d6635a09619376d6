"""What was asked of a model version lately, beside what it was trained on."""

from __future__ import annotations

from typing import Any, Literal

from shared.contracts.base import Record, Time
from shared.contracts.models import VersionRef

DriftStatus = Literal["ok", "watch", "drifted", "too_few"]


class ColumnDrift(Record):
    """One input column; `psi` and rates are null where nothing was asked, or the baseline has no bins of it."""

    name: str
    type: str | None
    status: DriftStatus
    psi: float | None = None
    psi_by_chance: float | None = None
    missing_rate: float | None = None
    baseline_missing_rate: float | None = None
    unseen: int | None = None


class PredictionShare(Record):
    """A label, or a range of amounts."""

    prediction: Any
    share: float
    baseline_share: float


class PredictionDrift(Record):
    """`baseline_of`: the rows whose predictions are compared with, held out or those of the fit."""

    status: DriftStatus
    psi: float
    psi_by_chance: float
    baseline_of: Literal["held_out", "training"]
    shares: list[PredictionShare]


class Drift(Record):
    """`status` is the worst of all columns' and of the predictions'."""

    model: VersionRef
    window: str
    since: Time
    requests: int
    rows: int
    unwatched_rows: int
    baseline_rows: int
    status: DriftStatus
    columns: list[ColumnDrift]
    predictions: PredictionDrift | None
