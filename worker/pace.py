"""Turns what a child reports into progress with a percentage and an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class Pace:
    """Of one attempt; a new phase begins anew."""

    def __init__(self) -> None:
        self._phase = ""
        self._since = 0.0
        self._first = 0

    def measured(self, report: Mapping[str, Any]) -> dict[str, Any]:
        now, completed, total = time.monotonic(), report["completed"], report["total"]
        if report["phase"] != self._phase:
            self._phase, self._since, self._first = report["phase"], now, completed
        progress = {"percent": None, "eta_seconds": None, **report}
        if total:
            progress["percent"] = round(100.0 * completed / total, 1)
            if completed > self._first:
                rate = (completed - self._first) / max(now - self._since, 1e-3)
                progress["eta_seconds"] = round((total - completed) / rate)
        return progress
