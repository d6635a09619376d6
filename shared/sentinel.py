"""Redis behind sentinels as one address; which of the servers is the master, they are asked with every new connection.

    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/name[/database][?sentinel_password=…]

`name` is what the sentinels call the master. User and password are Redis's; those of the sentinels themselves, if they
have any, are `sentinel_username` and `sentinel_password`. Texts that hold `:/?#[]@,%` are percent-encoded.
docs/deploy.md says what a failover may lose.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
from redis import sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEME: Final = "redis+sentinel"
DEFAULT_PORT: Final = 26379
_SENTINEL_SECONDS = 0.3
"""For each of them: one that is away holds up a new connection for as long."""
_CREDENTIALS = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where to ask for the master, and how to log in."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    credentials: dict[str, str] = field(repr=False)
    """`username` and `password` of Redis, as far as there are any."""
    sentinel_credentials: dict[str, str] = field(repr=False)


def is_sentinel(url: str) -> bool:
    return url.startswith(f"{SCHEME}:")


def parse(url: str) -> SentinelAddress:
    """Raises ValueError, which repeats nothing of the URL: there is a password in it."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.removeprefix("/").partition("/")
    query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    if parts.scheme != SCHEME or not name or not re.fullmatch("[0-9]{0,4}", database) or parts.fragment:
        raise ValueError(f"should look like {SCHEME}://user:password@host:26379,host:26379/name/0")
    if set(query) - set(_CREDENTIALS):
        raise ValueError(f"may be followed by {' and '.join(_CREDENTIALS)} only")
    username, _, password = login.partition(":")
    return SentinelAddress(
        hosts=tuple(_host(host) for host in hosts.split(",")),
        master=unquote(name),
        database=int(database or 0),
        credentials=_present(username=unquote(username), password=unquote(password)),
        sentinel_credentials=_present(
            **{key.removeprefix("sentinel_"): values[0] for key, values in query.items()}
        ),
    )


def pool(address: SentinelAddress, **connection: Any) -> redis.ConnectionPool:
    """Connections to the master, each with those settings. Nothing is sent yet."""
    settings = {**connection, **address.credentials, "db": address.database}
    asked = _Sentinels(list(address.hosts), sentinel_kwargs=_to_sentinels(address))  # type: ignore[no-untyped-call]
    return sentinel.SentinelConnectionPool(address.master, asked, **settings)  # type: ignore[no-untyped-call]


def broker(address: SentinelAddress) -> tuple[str, dict[str, Any]]:
    """The same for Celery: its URL, and kombu's transport options. The URL holds the password, once for each host."""
    login = ":".join(quote(address.credentials.get(name, ""), safe="") for name in ("username", "password"))
    before = f"{login}@" if login != ":" else ""
    urls = [
        f"sentinel://{before}{f'[{host}]' if ':' in host else host}:{port}/{address.database}"
        for host, port in address.hosts
    ]
    return ";".join(urls), {"master_name": address.master, "sentinel_kwargs": _to_sentinels(address)}


class _Sentinels(sentinel.Sentinel):
    """redis-py's, for many threads. It moves the one that answered to the front by swapping two places of its list:
    of two threads that do so together, one could overwrite what the other has moved, and lose a sentinel for ever."""

    def discover_master(self, service_name: str) -> Any:
        mine = copy.copy(self)
        mine.sentinels = list(self.sentinels)
        found = sentinel.Sentinel.discover_master(mine, service_name)  # type: ignore[no-untyped-call]
        self.sentinels = mine.sentinels
        return found


def _to_sentinels(address: SentinelAddress) -> dict[str, Any]:
    return {
        "socket_timeout": _SENTINEL_SECONDS,
        "socket_connect_timeout": _SENTINEL_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # there are others to ask
        **address.sentinel_credentials,
    }


def _host(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    if not found or not 0 < int(found[2] or DEFAULT_PORT) < 65536:
        raise ValueError("should name each sentinel as host or host:port, with commas between them")
    return found[1].strip("[]"), int(found[2] or DEFAULT_PORT)


def _present(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
