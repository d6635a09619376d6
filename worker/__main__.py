"""`python -m worker [--concurrency N] [--name NAME] [--queues high,normal,low,webhooks]`: one worker process."""

from __future__ import annotations

import argparse
import os
import socket

from shared import queue
from worker.app import app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--concurrency", type=int, default=os.cpu_count() or 1, help="jobs at a time")
    parser.add_argument("--name", default=f"worker-{os.getpid()}@{socket.gethostname()}")
    parser.add_argument(
        "--queues", default=",".join((*queue.PRIORITIES, queue.WEBHOOKS)), help="what to serve, best first"
    )
    chosen = parser.parse_args()
    queues = [queue.queue_name(priority) for priority in chosen.queues.split(",")]
    app.worker_main(
        [
            "worker",
            f"--concurrency={chosen.concurrency}",
            f"--hostname={chosen.name}",
            f"--queues={','.join(queues)}",
            f"--loglevel={app.settings.log_level}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()
