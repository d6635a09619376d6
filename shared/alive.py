"""`python -m shared.alive [--registered]`: whether the worker on this host lives, for a probe. Exit code 0 or 1.

A worker speaks no HTTP, but tells Redis every two seconds that it lives, from the thread that does the chores. Silence
for half a minute means that this thread hangs, or the process. When Redis cannot be asked nothing is known, and the
answer is yes: to start workers again because Redis is away would cost the work of all of them. `--registered` is for
the start: then only a worker that Redis has heard of counts.

It reads `GRAFT_REDIS_URL` alone. A worker's name ends in its host's, which containers and pods have of their own.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from shared.database import Database, connect
from shared.errors import Temporary
from shared.workers import WorkerStore

WITHIN_SECONDS = 30.0


def alive(database: Database, host: str, *, registered: bool) -> bool:
    """Whether a worker of that host was heard of lately; if Redis is away, whatever `registered` is not."""
    try:
        heard_of = WorkerStore(database).alive(WITHIN_SECONDS)
    except Temporary:
        return not registered
    return any(status.name.endswith(f"@{host}") for status in heard_of)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.alive", description=__doc__)
    parser.add_argument("--registered", action="store_true", help="fail if Redis cannot be asked, too")
    chosen = parser.parse_args()
    database = connect(os.environ["GRAFT_REDIS_URL"])
    sys.exit(not alive(database, socket.gethostname(), registered=chosen.registered))


if __name__ == "__main__":
    main()
