"""The data directory: one instance at a time, its secrets, and the ports that it remembers.

D/lock              held while an instance runs; names its pid
D/credentials.json  made up once, 0600
D/api-key           likewise, where GRAFT_API_KEYS is not set
D/ports.json        where Redis and the store listened last
D/run.json          the processes of the present instance (see `leftovers`)
D/redis, D/minio, D/rclone, D/logs, D/tmp
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.stack import ports, private
from graft.stack.errors import Refused


@contextmanager
def hold(directory: Path) -> Iterator[Path]:
    """Make the directory and hold its lock; yields its absolute path.

    The kernel drops the lock with the process, however that ends, so there is no stale one.
    """
    directory = directory.absolute()
    try:
        private.make_directory(directory)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Refused(f"cannot use {directory} as data directory: {error.strerror}") from error
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = lock.read().strip() or "unknown"
            raise Refused(f"{directory} is in use by another instance (pid {pid})") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield directory


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What the servers of one data directory ask of their clients."""

    redis_password: str = field(default_factory=_token, repr=False)
    s3_access_key_id: str = field(default_factory=lambda: secrets.token_hex(10), repr=False)
    s3_secret_access_key: str = field(default_factory=_token, repr=False)
    signing_key: str = field(default_factory=_token, repr=False)


def credentials(directory: Path) -> Credentials:
    """The directory's own, made up at its first use."""
    path = directory / "credentials.json"
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = json.loads(path.read_text())
            return _kept(path, Credentials(**known), known)
        except (ValueError, TypeError) as error:
            # Not made up anew: models signed with the lost key would be refused one by one.
            raise Refused(f"{path} cannot be read ({error}); restore it or use another --data-dir") from None
    return _kept(path, Credentials(), known)


def _kept(path: Path, present: Credentials, known: dict[str, str]) -> Credentials:
    if asdict(present) != known:
        private.write(path, json.dumps(asdict(present), indent=2) + "\n")
    return present


def api_key(directory: Path) -> str:
    """The key that lets its holder do everything in the project `default`, made up at its first use."""
    path = directory / "api-key"
    if not path.exists():
        private.write(path, f"graft-{secrets.token_hex(4)}.{_token()}\n")
    return path.read_text().strip()


def choose_ports(directory: Path, host: str, names: Iterable[str], *, avoid: int) -> dict[str, int]:
    """A free port for each name: the one of last time if it still is, so that open consoles keep working."""
    path = directory / "ports.json"
    try:
        remembered: dict[str, int] = json.loads(path.read_text())
    except (OSError, ValueError):
        remembered = {}
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = ports.choose(host, remembered.get(name), avoid={avoid, *chosen.values()})
    private.write(path, json.dumps(remembered | chosen) + "\n")
    return chosen
