"""Three Redis servers, of which one is the master, and three sentinels, all run as deploy/redis/ says."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from graft.stack import Endpoint, RunningServer, Service, binaries, ports
from tests.support.waiting import eventually

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "redis"
HOST = "127.0.0.1"
NAME = "graft"
COUNT = 3
FREE = re.compile(r"REPLACE_ME_(\w+)")


@dataclass(frozen=True)
class Watched:
    """The servers by their ports, and the password of each user by the name that deploy/redis/ has for it."""

    servers: dict[int, RunningServer]
    sentinels: dict[int, RunningServer]
    passwords: dict[str, str] = field(repr=False)

    def url(self, user: str, password: str) -> str:
        """What `GRAFT_REDIS_URL` is for that user."""
        hosts = ",".join(f"{HOST}:{port}" for port in self.sentinels)
        sentinels = self.passwords["SENTINELS"]
        return f"redis+sentinel://{user}:{self.passwords[password]}@{hosts}/{NAME}/0?sentinel_password={sentinels}"

    def master(self) -> int:
        """The port of the one that the sentinels call master."""
        with self._sentinel() as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(NAME)
            return int(port)

    def operator(self, port: int, *, user: str = "operator", password: str = "OPERATOR") -> redis.Redis:
        return redis.Redis(
            HOST,
            port,
            username=user,
            password=self.passwords[password],
            decode_responses=True,
            socket_timeout=5,
        )

    def fail_over(self) -> None:
        """As before maintenance: the master is alive and is told to make way, if it can once a replica has all."""
        with self._sentinel() as sentinel:
            try:
                sentinel.execute_command("SENTINEL", "FAILOVER", NAME, "COORDINATED")
            except redis.ResponseError:  # before Valkey 9
                sentinel.execute_command("SENTINEL", "FAILOVER", NAME)

    def replicated(self) -> None:
        """Everything written so far is on two replicas, too."""
        with self.operator(self.master()) as master:
            master.set("graft:test:mark", secrets.token_hex(4))
            assert master.wait(COUNT - 1, 10_000) == COUNT - 1

    def epoch(self) -> int:
        """The number of the failover that made the master what it is."""
        with self._sentinel() as sentinel:
            return int(sentinel.sentinel_master(NAME)["config-epoch"])

    def settled(self, since: int, replicas: int = 1, seconds: float = 60) -> None:
        """There is a master of a later epoch and it is followed: `min-replicas-to-write` needs one that does.

        Which of the servers it is nobody can say for long: a machine that stands still for seconds makes sentinels
        choose again, also the one before.
        """
        eventually(lambda: self.epoch() > since and self.followers() >= replicas, seconds)

    def followers(self, port: int | None = None) -> int:
        """How many replicas follow this server (the master); -1 while it does not answer or is no master."""
        try:
            with self.operator(port or self.master()) as master:
                role = master.role()
        except redis.RedisError:
            return -1
        return len(role[2]) if role[0] == "master" else -1

    def _sentinel(self) -> redis.Redis:
        alive = next(port for port, server in self.sentinels.items() if server.exit_code() is None)
        return redis.Redis(
            HOST, alive, password=self.passwords["SENTINELS"], decode_responses=True, socket_timeout=5
        )


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    """Running, with every replica in step and every sentinel knowing of all others."""
    texts = {path.name: path.read_text() for path in CONFIGURATION.iterdir()}
    passwords = {name: secrets.token_urlsafe(16) for text in texts.values() for name in FREE.findall(text)}
    texts = {name: FREE.sub(lambda found: passwords[found[1]], text) for name, text in texts.items()}
    chosen: list[int] = []
    while len(chosen) < 2 * COUNT:
        chosen.append(ports.choose(HOST, avoid=chosen))
    first = chosen[0]
    with ExitStack() as stack:
        servers = {}
        for port in chosen[:COUNT]:
            home = directory / f"redis-{port}"
            home.mkdir()
            (home / "users.acl").write_text(texts["users.acl"])
            own = f"port {port}\nbind {HOST}\n" + (f"replicaof {HOST} {first}\n" if port != first else "")
            lines = texts["redis.conf"].replace("dir /data", f"dir {home}")
            (home / "redis.conf").write_text(lines.replace("/etc/redis", str(home)) + own)
            servers[port] = stack.enter_context(_server(home, "redis.conf"))
        sentinels = {}
        for port in chosen[COUNT:]:
            home = directory / f"sentinel-{port}"
            home.mkdir()
            text = (
                texts["sentinel.conf"]
                .replace("dir /data", f"dir {home}")
                .replace("port 26379", f"port {port}")
            )
            text = text.replace("10.0.0.1 6379", f"{HOST} {first}").replace(
                "milliseconds graft 5000", "milliseconds graft 3000"
            )
            (home / "sentinel.conf").write_text(text + f"bind {HOST}\n")
            sentinels[port] = stack.enter_context(_server(home, "sentinel.conf", "--sentinel"))
        running = Watched(servers, sentinels, passwords)
        for server in servers.values():
            server.start()
        eventually(lambda: running.followers(first) == COUNT - 1, 60)
        for server in sentinels.values():
            server.start()
        eventually(lambda: _complete(running), 60)
        yield running


def _complete(running: Watched) -> bool:
    try:
        for port in running.sentinels:
            with redis.Redis(
                HOST, port, password=running.passwords["SENTINELS"], decode_responses=True
            ) as one:
                state = one.sentinel_master(NAME)
                if state["num-other-sentinels"] != COUNT - 1 or state["num-slaves"] != COUNT - 1:
                    return False
    except redis.RedisError:
        return False
    return True


def _server(home: Path, configuration: str, *options: str) -> RunningServer:
    return RunningServer(
        Service(
            argv=(str(binaries.redis_server()), str(home / configuration), *options),
            env=dict(os.environ),
            cwd=home,
            log=home / "server.log",
            endpoint=Endpoint(name=home.name, url=""),
        )
    )
