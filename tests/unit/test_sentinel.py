"""`redis+sentinel://` addresses are read whole or refused, and refusals repeat no password."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared import sentinel
from shared.config import Settings

SECRET = "it-is-secret"


def test_all_parts_are_read() -> None:
    url = f"redis+sentinel://graft-api:{SECRET}%40%2F@one:26380,10.0.0.2,[::1]:26381/my-master/3?sentinel_password=x%20y"
    address = sentinel.parse(url)
    assert address.hosts == (("one", 26380), ("10.0.0.2", 26379), ("::1", 26381))
    assert (address.master, address.database) == ("my-master", 3)
    assert address.credentials == {"username": "graft-api", "password": f"{SECRET}@/"}
    assert address.sentinel_credentials == {"password": "x y"}
    assert SECRET not in repr(address)


def test_what_may_be_left_out_may_be_left_out() -> None:
    address = sentinel.parse("redis+sentinel://one/graft")
    assert (address.hosts, address.master, address.database) == ((("one", 26379),), "graft", 0)
    assert (address.credentials, address.sentinel_credentials) == ({}, {})


def test_celery_gets_the_same() -> None:
    url, options = sentinel.broker(sentinel.parse("redis+sentinel://u:p%40@one:1,[::1]:2/graft/4"))
    assert url == "sentinel://u:p%40@one:1/4;sentinel://u:p%40@[::1]:2/4"
    assert options["master_name"] == "graft"
    assert sentinel.broker(sentinel.parse("redis+sentinel://one/graft"))[0] == "sentinel://one:26379/0"


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "//",
        "//one:26379",
        "//one:26379/",
        "//one:26379//0",
        "//one:26379/graft/x",
        "//one:26379/graft/0/1",
        "//one:0/graft",
        "//one:65536/graft",
        "//one:abc/graft",
        "//one,,two/graft",
        "//one two/graft",
        "///graft",
        "//one/graft#0",
        "//one/graft?password=x",
        "//one/graft?sentinel_password",
    ],
)
def test_anything_else_is_refused_at_the_start_without_its_password(rest: str) -> None:
    url = "redis+sentinel:" + rest.replace("//one", f"//u:{SECRET}@one")
    with pytest.raises(ValidationError) as refused:
        Settings(redis_url=url, signing_key="x" * 32)
    assert SECRET not in str(refused.value)
    assert "redis_url" in str(refused.value)
