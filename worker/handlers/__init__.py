"""One module for each type of job: `run(assignment, context)` does the work of one attempt."""

from __future__ import annotations

from typing import Final

from worker.handlers.base import Handler
from worker.handlers.batch_predict import run as batch_predict
from worker.handlers.evaluate import run as evaluate
from worker.handlers.fine_tune import run as fine_tune
from worker.handlers.rank_sources import run as rank_sources
from worker.handlers.shift_report import run as shift_report
from worker.handlers.train import run as train

HANDLERS: Final[dict[str, Handler]] = {
    "train": train,
    "fine_tune": fine_tune,
    "batch_predict": batch_predict,
    "evaluate": evaluate,
    "shift_report": shift_report,
    "rank_sources": rank_sources,
}
