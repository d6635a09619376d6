"""Makes due retries ready, and makes up for wake-ups that were lost."""

from __future__ import annotations

from shared import logs
from shared.services import Services

log = logs.get(__name__)


def run(services: Services) -> None:
    moved, pushed = services.jobs.dispatch(rewake_seconds=services.settings.rewake_seconds)
    if moved or pushed:
        log.info("dispatched", retries=moved, wake_ups=pushed)
