"""What a project has used."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import Record


class Totals(BaseModel):
    """Of jobs that ended in the time: all that their attempts used, and of `peak_rss_bytes` the largest."""

    jobs: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="How many ended, by type and by state: `{train: {succeeded: 3, failed: 1}}`.",
    )
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0
    rows_scored: int = Field(0, description="Rows that batch predictions have been through.")
    requests: int = Field(0, description="Requests with a good key, also those that were refused.")


class DayUsage(Totals):
    """Of one day, in UTC."""

    date: date


class Stored(Record):
    """Bytes that a project keeps in the store now; `limit` is what it may keep, null for any number."""

    datasets: int = 0
    artifacts: int = 0
    outputs: int = 0
    limit: int | None = None


class UsageReport(Record):
    """From one day to another, both included. Days on which nothing happened are left out."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    project: str
    stored: Stored
    from_: date = Field(alias="from")
    to: date
    total: Totals
    days: list[DayUsage]
