"""Connections to a real Redis that pauses, dies and comes back, and that are broken off in the middle of a call."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from graft.stack import RunningServer, start_redis
from shared import database
from shared.database import Database
from shared.errors import Temporary
from shared.troubles import Trouble
from tests.support.waiting import eventually

SECONDS = 0.2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One of its own: it is paused and killed."""
    with start_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def troubles() -> list[Trouble]:
    return []


@pytest.fixture
def client(server: RunningServer, troubles: list[Trouble]) -> Iterator[Database]:
    with database.connect(server.url, timeout_seconds=SECONDS, on_trouble=troubles.append) as connected:
        connected.flushall()
        yield connected


def idle(client: Database) -> list[Any]:
    return list(client.connection_pool._available_connections)


def test_the_system_keeps_the_timeout_of_a_connection(client: Database) -> None:
    client.ping()
    (connection,) = idle(client)
    assert connection._sock.gettimeout() is None
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        assert connection._sock.getsockopt(socket.SOL_SOCKET, option, 16)[8:] != bytes(8)


def test_a_server_that_does_not_answer_is_waited_for_twice_and_told_as_a_timeout(
    server: RunningServer, client: Database, troubles: list[Trouble]
) -> None:
    client.set("answer", "41")
    server.pause()
    try:
        with pytest.raises(Temporary, match="TimeoutError"):
            client.set("answer", "42")
    finally:
        server.resume()
    assert [(trouble.operation, trouble.kind) for trouble in troubles] == [("set", "TimeoutError")]
    assert eventually(lambda: client.get("answer") == "42"), "it was sent"
    client.set("other", "1")
    assert [client.get("other"), client.get("answer")] == ["1", "42"], "no answer is taken for another's"


def test_a_connection_that_redis_has_closed_costs_no_call(
    server: RunningServer, client: Database, troubles: list[Trouble]
) -> None:
    client.set("answer", "42")
    (before,) = [connection._sock for connection in idle(client)]
    with redis.Redis.from_url(server.url) as other:
        other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert client.get("answer") == "42"
    assert troubles == []
    assert [connection._sock for connection in idle(client)] != [before]


def test_a_server_that_has_died_and_come_back_costs_no_call(
    server: RunningServer, client: Database, troubles: list[Trouble]
) -> None:
    client.set("answer", "42")
    server.kill()
    server.restart()
    assert client.get("answer") == "42"
    assert troubles == []


def test_no_answer_is_left_unread_by_a_call_that_is_broken_off(client: Database) -> None:
    client.mset({"one": "1", "two": "2"})
    (connection,) = idle(client)
    send = connection.send_packed_command

    def interrupted(*args: Any, **options: Any) -> None:
        send(*args, **options)
        raise KeyboardInterrupt

    connection.send_packed_command = interrupted
    with pytest.raises(KeyboardInterrupt):
        client.get("one")
    connection.send_packed_command = send
    assert client.get("two") == "2"
    connection.send_packed_command = interrupted
    with pytest.raises(KeyboardInterrupt), client.pipeline() as pipe:
        pipe.get("one").get("one").execute()
    connection.send_packed_command = send
    assert client.get("two") == "2"
    assert idle(client) == [connection]


def test_threads_share_the_connections_and_none_is_lost(client: Database) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        for turn in range(200):
            value = client.echo(f"{number}.{turn}")
            if value != f"{number}.{turn}":
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(idle(client)) <= 8
    assert not client.connection_pool._in_use_connections


def test_a_forked_process_has_connections_of_its_own(client: Database) -> None:
    client.set("answer", "42")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, f"{client.client_id()} {client.get('answer')}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs, answer = os.read(read, 100).decode().split()
    os.close(read), os.close(write)
    assert (answer, client.get("answer")) == ("42", "42")
    assert int(theirs) != client.client_id()
