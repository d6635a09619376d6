"""What of our own environment a server of someone else's making may see."""

from __future__ import annotations

import os

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")


def plain() -> dict[str, str]:
    """What any program needs to run: no GRAFT_* secrets, and no RCLONE_* or MINIO_* to change the server."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}
