"""deploy/redis/users.acl allows what the code does: here by its text, in tests/chaos/test_failover.py by doing it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

import pytest

from shared import keys, queue

ROOT = Path(__file__).parents[2]
USERS = {
    line.split()[1]: line.split()[2:]
    for line in (ROOT / "deploy" / "redis" / "users.acl").read_text().splitlines()
}
SCRIPTS = "".join(path.read_text() for path in (ROOT / "shared" / "lua").glob("*.lua"))
LIMITER = "".join(
    (files("limits") / "resources" / "redis" / "lua_scripts" / name).read_text()
    for name in ("acquire_sliding_window.lua", "sliding_window.lua")
)
#: Every key that the table of shared/keys.py names, with something in place of what it leaves open.
KEYS = [
    re.sub(r"<[^>]*>", "x", key).replace("…", "x")
    for key in re.findall(r"^    (graft:\S+)", keys.__doc__ or "", re.MULTILINE)
]
#: What the API alone looks at: with the first two a worker could make itself a key or a session.
APIS_OWN = ("graft:key:", "graft:session:", "graft:rates")

each_of_ours = pytest.mark.parametrize("user", ["graft-api", "graft-worker"])


def commands(user: str) -> set[str]:
    return {rule.removeprefix("+") for rule in USERS[user] if rule.startswith("+")}


def called(text: str) -> set[str]:
    found = re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", text)
    assert found
    return {name.lower() for name in found}


def reaches(user: str, key: str) -> bool:
    return any(fnmatchcase(key, rule.removeprefix("~")) for rule in USERS[user] if rule.startswith("~"))


@each_of_ours
def test_every_command_of_a_script_is_allowed(user: str) -> None:
    assert called(SCRIPTS) <= commands(user)


def test_every_command_of_the_rate_limits_is_allowed_to_the_api() -> None:
    assert called(LIMITER) <= commands("graft-api")


def test_every_key_is_the_apis_and_all_but_its_own_are_the_workers() -> None:
    assert len(KEYS) > 60
    assert [key for key in KEYS if not reaches("graft-api", key)] == []
    assert [key for key in KEYS if not reaches("graft-worker", key)] == [
        key for key in KEYS if key.startswith(APIS_OWN)
    ]
    assert all(reaches(user, name) for user in ("graft-api", "graft-worker") for name in queue.QUEUES)


@each_of_ours
def test_no_user_of_ours_is_given_a_whole_category_or_every_key(user: str) -> None:
    assert not [
        rule for rule in USERS[user] if rule.startswith(("+@", "allcommands", "allkeys", "~*", "&", "nopass"))
    ]


def test_nobody_comes_in_without_a_name_and_a_password() -> None:
    assert USERS["default"] == ["off"]
    for user, rules in USERS.items():
        assert user == "default" or re.fullmatch(r">REPLACE_ME_[A-Z]+", rules[1]), user
