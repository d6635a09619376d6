"""deploy/compose.production.yaml adds TLS, users of Redis and limits, and takes nothing away. Its Redis is started."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from graft.stack import binaries, ports
from shared.config import Settings
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "compose.production.yaml").read_text()
REQUIRED = re.compile(r"(?<!\$)\$\{(\w+):\?")
BASE_FILE = (ROOT / "docker-compose.yml").read_text()


class Loader(yaml.SafeLoader):
    """Knows Compose's `!reset`."""


Loader.add_constructor("!reset", lambda loader, node: None)
PROJECT: dict[str, Any] = yaml.load(TEXT, Loader)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
BASE: dict[str, dict[str, Any]] = yaml.safe_load(BASE_FILE)["services"]
ADDED = sorted(SERVICES.keys() - BASE.keys())


def offered(name: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy" / name).read_text(), re.MULTILINE))


def test_only_the_proxy_is_new_and_it_alone_is_published() -> None:
    assert ADDED == ["caddy"]
    assert SERVICES["api"]["ports"] is None
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["caddy"]
    assert "ports: !reset []" in TEXT


def test_every_service_that_stays_has_a_limit_of_memory() -> None:
    lasting = {name for name, service in {**BASE, **SERVICES}.items() if service.get("restart") != "no"}
    assert lasting == set(SERVICES)
    assert all("memory" in service["deploy"]["resources"]["limits"] for service in SERVICES.values())


def test_the_proxy_is_confined_like_all_others() -> None:
    caddy = SERVICES["caddy"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", caddy["user"])
    assert (caddy["read_only"], caddy["cap_drop"]) == (True, ["ALL"])
    assert caddy["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"caddy:\d+\.\d+\.\d+", caddy["image"])
    assert {"interval", "timeout", "retries", "start_period"} <= set(caddy["healthcheck"])
    published = [int(port.split(":")[1]) for port in caddy["ports"]]
    configuration = (ROOT / "deploy" / "Caddyfile").read_text()
    assert [int(port) for port in re.findall(r"https?_port (\d+)", configuration)] == published
    assert all(port >= 1024 for port in published), "without a capability it may listen on no other"
    assert set(re.findall(r"\{\$(\w+)\}", configuration)) <= set(caddy["environment"])
    assert re.findall(r"reverse_proxy (\S+):", configuration) == ["api", "minio"]


def test_api_and_workers_are_different_users_of_redis() -> None:
    users = {
        name: SERVICES[name]["environment"]["GRAFT_REDIS_URL"].split(":")[1] for name in ("api", "worker")
    }
    assert users == {"api": "//graft-api", "worker": "//graft-worker"}


def test_the_examples_list_every_variable_and_no_secret() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert set(offered("production.example.env")) == used - set(offered("example.env"))
    required = set(REQUIRED.findall(TEXT))
    both = offered("example.env") | offered("production.example.env")
    assert not [name for name in required if both[name]]


def test_graft_knows_every_variable_that_it_is_given() -> None:
    read = {f"GRAFT_{field.upper()}" for field in Settings.model_fields}
    assert set(SERVICES["api"]["environment"]) | set(SERVICES["worker"]["environment"]) <= read


def test_every_file_that_it_mounts_exists() -> None:
    mounted = {config["source"] for service in SERVICES.values() for config in service.get("configs", [])}
    assert mounted == set(PROJECT["configs"])
    assert all((ROOT / config["file"]).is_file() for config in PROJECT["configs"].values())


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_redis_starts_with_its_users_and_no_other(tmp_path: Path) -> None:
    shell, options, script = SERVICES["redis"]["command"]
    passwords = {
        name: secrets.token_urlsafe(16)
        for name in ("REDISCLI_AUTH", "REDIS_API_PASSWORD", "REDIS_WORKER_PASSWORD")
    }
    port = ports.choose("127.0.0.1")
    (tmp_path / "valkey-server").symlink_to(binaries.redis_server())
    script = script.replace("$$", "$").replace("/etc/graft/", f"{ROOT}/deploy/redis/")
    script = script.replace("/run/redis", str(tmp_path)).replace("dir /data", f"dir {tmp_path}\nport {port}")
    env = {**os.environ, **passwords, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    server = subprocess.Popen([shell, options, script], env=env, stdout=subprocess.DEVNULL)
    try:
        users = {
            "operator": "REDISCLI_AUTH",
            "graft-api": "REDIS_API_PASSWORD",
            "graft-worker": "REDIS_WORKER_PASSWORD",
        }
        for user, password in users.items():
            with redis.Redis(
                port=port, username=user, password=passwords[password], decode_responses=True
            ) as client:
                assert eventually(lambda client=client: _answers(client), 30)
        with redis.Redis(
            port=port, username="operator", password=passwords["REDISCLI_AUTH"], decode_responses=True
        ) as client:
            assert set(client.acl_users()) == {"default", *users}
        with redis.Redis(port=port) as anybody, pytest.raises(redis.AuthenticationError):
            anybody.ping()
    finally:
        server.terminate()
        server.wait(30)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
