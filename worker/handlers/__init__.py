"""One module for each type of job, and one for planning a batch: `run(assignment, context)` does an attempt's work."""

from __future__ import annotations

from typing import Final

from worker.handlers.base import Handler
from worker.handlers.batch_plan import run as batch_plan
from worker.handlers.batch_predict import run as batch_predict
from worker.handlers.evaluate import run as evaluate
from worker.handlers.fine_tune import run as fine_tune
from worker.handlers.rank_sources import run as rank_sources
from worker.handlers.shift_report import run as shift_report
from worker.handlers.train import run as train

HANDLERS: Final[dict[str, Handler]] = {
    "train": train,
    "fine_tune": fine_tune,
    "batch_plan": batch_plan,
    "batch_predict": batch_predict,
    "evaluate": evaluate,
    "shift_report": shift_report,
    "rank_sources": rank_sources,
}
