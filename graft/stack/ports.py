"""TCP ports: whether one is free, and which to give a server that may have any.

Ports are chosen below every system's ephemeral range. A port inside it could be taken by an
outgoing connection while its server restarts; worse, a client that keeps trying to reach a dead
loopback port in that range may one day connect to itself and hold the port for good.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Container

from graft.stack.errors import Refused

CHOICE = range(15_000, 30_000)
ATTEMPTS = 200


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. An address that is not ours is refused, not "taken"."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # Connections of an earlier server may linger in TIME_WAIT: they do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise Refused(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    return True


def choose(host: str, preferred: int | None = None, *, avoid: Container[int] = ()) -> int:
    """`preferred` if it is free, else a random free port outside `avoid`."""
    if preferred and preferred not in avoid and is_free(host, preferred):
        return preferred
    for port in random.sample(CHOICE, ATTEMPTS):
        if port not in avoid and is_free(host, port):
            return port
    raise Refused(f"found no free port on {host} in {ATTEMPTS} tries")
