"""The embedded Redis: an append-only file synced every second, a password, loopback only.

The password stands in a config file that only its owner may read. Every change is in the
append-only file before it is acknowledged, so a killed server loses nothing; a power cut may
take the last second.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import redis

from graft.stack import binaries, environments, ports, private
from graft.stack.servers import Endpoint, RunningServer, Service
from shared import database
from shared.errors import Temporary

HOST = "127.0.0.1"

CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir {directory}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


def start_redis(directory: Path, *, port: int | None = None, password: str | None = None) -> RunningServer:
    """A ready Redis with its data in `directory`/redis; `with` stops it.

    A given port and password are used as they are; else both are made up for this server's lifetime.
    """
    service = redis_service(
        directory.absolute(), port or ports.choose(HOST), password or secrets.token_urlsafe(32)
    )
    server = RunningServer(service)
    server.start()
    try:
        return server.wait_ready()
    except BaseException:
        server.kill()
        raise


def redis_service(directory: Path, port: int, password: str) -> Service:
    """Writes the config file; starts nothing. The password may hold URL-safe characters only."""
    data = private.make_directory(directory / "redis")
    config = data / "redis.conf"
    private.write(
        config, CONFIG.format(host=HOST, port=port, password=password, directory=_quoted(str(data)))
    )
    return Service(
        argv=(str(binaries.redis_server()), str(config)),
        env=environments.plain(),
        cwd=data,
        log=directory / "logs" / "redis.log",
        endpoint=redis_endpoint(f"redis://:{password}@{HOST}:{port}/0"),
    )


def redis_endpoint(url: str) -> Endpoint:
    """Any Redis, ours or someone else's."""
    return Endpoint(
        name="redis",
        url=url,
        settings={"GRAFT_REDIS_URL": url},
        probe=lambda: _why_not_ready(url),
    )


def _why_not_ready(url: str) -> str | None:
    try:
        with database.connect(url) as client:
            client.ping()
    except Temporary as error:
        return error.message
    except redis.RedisError as error:  # it is there, and says no
        return str(error)
    return None


def _quoted(text: str) -> str:
    """As one word of a Redis config file, whatever spaces and quotes it holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
