"""Named places at which a test can have a process die: before and after every step that changes a server.

    <script>.before, <script>.after     each Lua script: submit, claim, renew, note, finish, release, decide, …
    put.before, put.after               each object that is uploaded
    delete.before, delete.after         each object that is deleted
    delivery.sent                       each attempt at a webhook, between the receiver's answer and its record
    rescue.before, rescue.after         each job that a rescuer takes from a lost attempt

With `GRAFT_FAILPOINTS` naming a folder, a file in it with a point's name arms that point. Whoever reaches it first
takes the file away and is killed on the spot, as by a power cut. Without the variable nothing is looked at.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_folder = Path(os.environ["GRAFT_FAILPOINTS"]) if os.environ.get("GRAFT_FAILPOINTS") else None


def reach(name: str) -> None:
    """Say that this point is reached. Does not return if it is armed."""
    if _folder is None:
        return
    try:
        (_folder / name).unlink()  # succeeds in one process only
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
