"""One module for each type of job: `run(assignment, context)` does the work of one attempt."""

from __future__ import annotations

from typing import Final

from worker.handlers import batch_predict, fine_tune, train
from worker.handlers.base import Handler

HANDLERS: Final[dict[str, Handler]] = {
    "train": train.run,
    "fine_tune": fine_tune.run,
    "batch_predict": batch_predict.run,
}
