"""The whole of Graft on one machine: Redis, object store, worker and API under one supervisor.

`start` brings them up in the order of their needs and returns when the API's /readyz says so;
`tend` starts again what has ended; `stop` ends them in the reverse order, Redis last, so that the
worker can give its jobs back. However the supervisor ends, none of them outlives it for long:
see `die_with_parent` and `leftovers`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from graft.stack import addresses, directory, leftovers, logs, object_store, ports
from graft.stack.errors import Refused
from graft.stack.keeping import Keeper
from graft.stack.plan import Plan, Store, make_plan
from graft.stack.readiness import wait_until_ready
from graft.stack.servers import Endpoint, RunningServer, Service

#: How long a server that someone else runs may take to answer; it should be up already.
OUTSIDE_SECONDS = 10.0


class Stack:
    """Use it as a context manager: leaving it stops every server. One thread, which outlives them."""

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        concurrency: int | None = None,
        stores_only: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        """`port` 0 chooses a free one; `stores_only` leaves out worker and API."""
        self._data_dir = data_dir.absolute()
        self._host = host
        self._port = port
        self._concurrency = concurrency or os.cpu_count() or 1
        self._stores_only = stores_only
        self._say = say
        self._held = ExitStack()
        self._keepers: list[Keeper] = []
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """Addresses and keys; known once the stack has been started."""
        if self._plan is None:
            raise Refused("the stack has not been started")
        return self._plan

    @property
    def servers(self) -> dict[str, RunningServer]:
        """Those that we run, by name: redis, object-store, worker, api."""
        return {keeper.server.name: keeper.server for keeper in self._keepers}

    def start(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Ready on return. Raises Refused before anything was started, or ServerFailed; then `stop` is due."""
        self._prepare()
        self._launch(self.plan.stores, pause)
        if not self._stores_only:
            self._launch((self.plan.worker, self.plan.api), pause)

    def tend(self) -> None:
        """One look at every server, a few times a second: restarts what ended, keeps logs short."""
        started = [keeper.look() for keeper in self._keepers]
        for keeper in self._keepers:
            logs.cap(keeper.server.service.log)
        if any(started):
            self._record()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """In reverse order, each with its grace period until `hurry()`; then the directory is let go."""
        while self._keepers:
            self._keepers[-1].server.stop(hurry)
            self._keepers.pop()
        self._held.close()

    def _prepare(self) -> None:
        if not addresses.is_loopback(self._host) and not os.environ.get("GRAFT_API_KEYS"):
            raise Refused(f"{self._host} can be reached from other machines: set GRAFT_API_KEYS first")
        home = self._held.enter_context(directory.hold(self._data_dir))
        if ended := leftovers.end(home):
            self._say(f"ended {ended} processes of an instance that was killed")
        self._held.callback(leftovers.forget, home)
        if self._port and not ports.is_free(self._host, self._port):
            raise Refused(f"port {self._port} on {self._host} is in use; choose another with --port")
        object_store.remove_unfinished_uploads(home)
        shutil.rmtree(home / "tmp", ignore_errors=True)  # likewise of no use to anyone now
        self._plan = make_plan(
            home,
            host=self._host,
            port=self._port or ports.choose(self._host),
            concurrency=self._concurrency,
        )

    def _launch(self, stores: Sequence[Store], pause: Callable[[float], None]) -> None:
        """Start side by side, and wait until they and all before them are ready."""
        for service in stores:
            if isinstance(service, Service):
                server = RunningServer(service)
                server.start()
                self._keepers.append(Keeper(server, self._say))
        self._record()
        outside = [store for store in stores if isinstance(store, Endpoint)]
        wait_until_ready(outside, OUTSIDE_SECONDS, pause)
        wait_until_ready(list(self.servers.values()), pause=pause)

    def _record(self) -> None:
        try:
            leftovers.record(self._data_dir, self.servers.values())
        except OSError as error:  # a full disk must not take down what still runs
            self._say(f"cannot note the running processes: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
