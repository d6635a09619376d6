"""`graft keys`, as it is typed, against a running stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.e2e.conftest import KEYS, OPERATORS_KEY, RunningStack

KEY = re.compile(r"graft_[0-9A-HJKMNP-TV-Z]{26}\.[A-Za-z0-9_-]{43}")
PROJECT = "by-command"


def graft_keys(
    stack: RunningStack, *arguments: str, key: str | None = OPERATORS_KEY, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    env |= {"GRAFT_URL": url or stack.url, "NO_COLOR": "1", "COLUMNS": "200"}
    env |= {"GRAFT_API_KEY": key} if key is not None else {}
    command = [sys.executable, "-m", "graft", "keys", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def created(stack: RunningStack, *arguments: str) -> dict[str, str]:
    done = graft_keys(stack, "create", "--project", PROJECT, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    made: dict[str, str] = json.loads(done.stdout)
    return made


def status(stack: RunningStack, key: str) -> int:
    return httpx.get(f"{stack.url}/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_made_key_is_all_that_standard_output_has_and_it_works(stack: RunningStack) -> None:
    done = graft_keys(
        stack, "create", "--project", PROJECT, "--scope", "read,submit", "--scope", "admin", "--name", "mine"
    )
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert KEY.fullmatch(key)
    assert status(stack, key) == 200
    assert key.partition(".")[2] not in done.stderr
    assert f"read submit admin in {PROJECT}" in done.stderr


def test_keys_are_listed_without_secrets(stack: RunningStack) -> None:
    made = created(stack, "--scope", "read", "--name", "listed\x1b[2J".replace("\x1b", ""))
    shown = graft_keys(stack, "ls", "--project", PROJECT)
    assert shown.returncode == 0, shown.stderr
    (line,) = (line for line in shown.stdout.splitlines() if made["id"] in line)
    assert "read" in line.split()
    as_json = graft_keys(stack, "ls", "--project", PROJECT, "--json")
    assert made["id"] in {key["id"] for key in json.loads(as_json.stdout)}
    assert made["key"].partition(".")[2] not in shown.stdout + as_json.stdout
    assert made["id"] not in graft_keys(stack, "ls").stdout, "that is another project's list"


def test_a_key_ends_when_it_was_told_to(stack: RunningStack) -> None:
    before = datetime.now(UTC)
    soon = datetime.fromisoformat(created(stack, "--scope", "read", "--expires", "90d")["expires_at"])
    assert timedelta(days=90) <= soon - before + timedelta(seconds=1) < timedelta(days=90, minutes=1)
    at = created(stack, "--scope", "read", "--expires", "2030-01-01T00:00:00+01:00")["expires_at"]
    assert at == "2029-12-31T23:00:00.000Z"


def test_a_rotated_key_has_another_secret_and_the_old_one_lasts_as_long_as_asked(stack: RunningStack) -> None:
    made = created(stack, "--scope", "read")
    lasting = graft_keys(stack, "rotate", made["id"], "--overlap", "1h")
    assert lasting.returncode == 0, lasting.stderr
    second = lasting.stdout.strip()
    assert KEY.fullmatch(second)
    assert (status(stack, made["key"]), status(stack, second)) == (200, 200)
    third = json.loads(graft_keys(stack, "rotate", made["id"], "--expires", "1d", "--json").stdout)
    assert third["expires_at"]
    assert (status(stack, second), status(stack, third["key"])) == (401, 200)


def test_a_revoked_key_is_no_good_any_more(stack: RunningStack) -> None:
    made = created(stack, "--scope", "read")
    done = graft_keys(stack, "revoke", made["id"])
    assert (done.returncode, done.stdout.strip()) == (0, f"{made['id']} is revoked")
    assert status(stack, made["key"]) == 401
    again = graft_keys(stack, "revoke", made["id"])
    assert again.returncode == 1
    assert "graft keys ls" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "--scope"),
        (("create", "--scope", "write"), "scopes/0"),
        (("create", "--scope", "read", "--expires", "tomorrow"), "--expires"),
        (("create", "--scope", "read", "--expires", "999999999w"), "--expires"),
        (("create", "--scope", "read", "--expires", "2030-01-01T00:00:00"), "offset"),
        (("create", "--scope", "read", "--expires", "2001-01-01T00:00:00Z"), "expires_at"),
        (("create", "--scope", "read", "--project", "No Such Name"), "project"),
        (("rotate", "key_0", "--overlap", "long"), "--overlap"),
        (("revoke",), "ID"),
    ],
)
def test_bad_input_is_two_and_names_what_is_bad(
    stack: RunningStack, arguments: tuple[str, ...], words: str
) -> None:
    done = graft_keys(stack, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_is_one_and_says_what_to_do(stack: RunningStack) -> None:
    unknown = graft_keys(stack, "ls", key="a-key-that-nobody-knows")
    assert (unknown.returncode, "GRAFT_API_KEY" in unknown.stderr) == (1, True)
    assert "a-key-that-nobody-knows" not in unknown.stderr
    reader = created(stack, "--scope", "read")["key"]
    assert "scope admin" in graft_keys(stack, "ls", key=reader).stderr
    foreign = graft_keys(stack, "create", "--project", PROJECT, "--scope", "read", key=KEYS["another"])
    assert (foreign.returncode, "operator's key" in foreign.stderr) == (1, True)
    elsewhere = graft_keys(stack, "revoke", "../jobs")
    assert (elsewhere.returncode, "Traceback" in elsewhere.stderr) == (1, False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_nobody_there_is_three(stack: RunningStack, url: str) -> None:
    done = graft_keys(stack, "ls", url=url)
    assert done.returncode == 3
    assert "GRAFT_URL" in done.stderr


def test_what_is_not_the_api_is_three(stack: RunningStack) -> None:
    done = graft_keys(stack, "ls", url=stack.store.settings["GRAFT_S3_ENDPOINT_URL"])
    assert done.returncode == 3
    assert "GRAFT_URL" in done.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8000", "http://", "http://[", "http://a:b"])
def test_a_url_that_is_none_is_two(stack: RunningStack, url: str) -> None:
    done = graft_keys(stack, "ls", url=url)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("key", [None, "", "with\nlines", "schlüssel"])
def test_a_key_that_is_missing_or_cannot_be_sent_is_two(stack: RunningStack, key: str | None) -> None:
    done = graft_keys(stack, "ls", key=key)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not key or key not in done.stderr
