"""The one Celery task: a wake-up has come, see whether there is a job to run or a webhook to deliver."""

from __future__ import annotations

from typing import Any

from shared import logs, queue
from worker.app import app

log = logs.get(__name__)


@app.task(name=queue.WAKE_TASK, bind=True)  # type: ignore[untyped-decorator]
def wake(task: Any) -> None:
    """Claim the next job of the queue that the wake-up lay in, and run it. Often there is none.

    Of webhooks the courier is told, which delivers them on threads of its own.
    """
    priority = queue.priority_of(task.request.delivery_info.get("routing_key", ""))
    if priority == queue.WEBHOOKS:
        task.app.station.deliver()
        return
    if priority not in queue.PRIORITIES:
        log.warning("wake_up_ignored", queue=priority)
        return
    task.app.station.run_next(priority)
