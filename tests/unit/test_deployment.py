"""docker-compose.yml, Dockerfile and deploy/example.env keep what they promise, as far as their text shows it.

No container is started here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import alive
from shared.config import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / "deploy" / "example.env").read_text()

PROJECT: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}

SECRETS = {
    "REDIS_PASSWORD",
    "GRAFT_SIGNING_KEY",
    "GRAFT_API_KEYS",
    "GRAFT_S3_ACCESS_KEY_ID",
    "GRAFT_S3_SECRET_ACCESS_KEY",
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:?[-?+])?([^}]*)\}")
#: `${NAME}` with its operator, all over the file.
USED = [(name, operator) for name, operator, _ in VARIABLE.findall(COMPOSE)]
#: `NAME=value` of the example.
OFFERED = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))

each_service = pytest.mark.parametrize("name", SERVICES)


def is_one_shot(service: dict[str, Any]) -> bool:
    return service["restart"] == "no"


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration.removesuffix("s"))


def test_the_services_are_those_of_the_design() -> None:
    assert set(SERVICES) == {"redis", "minio", "bucket", "api", "worker", "test"}
    assert [name for name, service in SERVICES.items() if service.get("profiles")] == ["test"]


def test_every_secret_is_required_and_has_no_default() -> None:
    assert {name for name, _ in USED} >= SECRETS
    assert {(name, operator) for name, operator in USED if name in SECRETS} == {(n, ":?") for n in SECRETS}


@each_service
def test_whatever_looks_like_a_secret_comes_from_outside(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|KEY|AUTH|ROOT_USER|REDIS_URL", variable):
            assert [n for n, operator, _ in VARIABLE.findall(value) if n in SECRETS and operator == ":?"], (
                variable
            )


@each_service
def test_no_secret_is_in_a_command_line(name: str) -> None:
    texts = [SERVICES[name].get("command", []), SERVICES[name].get("healthcheck", {})]
    assert {variable for variable, _, _ in VARIABLE.findall(str(texts))} <= {"WORKER_CONCURRENCY"}


@each_service
def test_a_service_has_a_health_check_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if is_one_shot(service):
        assert "healthcheck" not in service
    else:
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@each_service
def test_no_service_runs_as_root(name: str) -> None:
    user = SERVICES[name]["user"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a fixed uid and gid, neither of them root's"


def test_an_image_of_ours_runs_as_the_same_user_without_compose() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    users = {
        stage.splitlines()[0].split(" AS ")[1]: re.findall(r"^USER (\S+)", stage, re.MULTILINE)
        for stage in stages
    }
    for service in SERVICES.values():
        if "build" in service:
            assert users[service["build"]["target"]] == [service["user"]]


@each_service
def test_a_service_may_write_to_its_volumes_only_and_gain_no_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(service)


@each_service
def test_every_mount_is_a_named_volume(name: str) -> None:
    sources = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    assert set(sources) <= set(PROJECT["volumes"])


def test_only_the_api_is_published_and_only_to_this_machine() -> None:
    assert {name: s["ports"] for name, s in SERVICES.items() if "ports" in s} == {
        "api": ["${API_ADDRESS:-127.0.0.1}:${API_PORT:-8000}:8000"]
    }
    assert OFFERED["API_ADDRESS"] == "127.0.0.1"


@each_service
def test_graft_knows_every_variable_that_it_is_given(name: str) -> None:
    read = {f"GRAFT_{field.upper()}" for field in Settings.model_fields}
    read |= set(re.findall(r'"(GRAFT_\w+)"', (ROOT / "api" / "gunicorn_conf.py").read_text()))
    given = {variable for variable in SERVICES[name].get("environment", {}) if variable.startswith("GRAFT_")}
    assert given <= read
    assert set(re.findall(r"\b(GRAFT_\w+)=", DOCKERFILE)) <= read


@pytest.mark.parametrize("name", ["api", "worker"])
def test_graft_is_given_every_setting_that_it_cannot_do_without(name: str) -> None:
    needed = {"REDIS_URL", "SIGNING_KEY", "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}
    assert {f"GRAFT_{setting}" for setting in needed} <= set(SERVICES[name]["environment"])


def test_links_lead_to_an_address_that_clients_can_reach() -> None:
    assert ("GRAFT_S3_PUBLIC_ENDPOINT_URL", ":?") in USED
    assert "GRAFT_S3_PUBLIC_ENDPOINT_URL" in SERVICES["api"]["environment"]


def test_the_worker_may_drain_before_it_is_killed() -> None:
    worker = SERVICES["worker"]
    assert not {"GRAFT_DRAIN_SECONDS", "GRAFT_STOP_GRACE_SECONDS"} & set(worker["environment"])
    draining = DEFAULTS["drain_seconds"] + DEFAULTS["stop_grace_seconds"]
    assert seconds(worker["stop_grace_period"]) >= draining + 5, "docs/operations.md says why"


def test_the_api_may_end_its_requests_before_it_is_killed() -> None:
    configuration = (ROOT / "api" / "gunicorn_conf.py").read_text()
    found = re.search(r"^graceful_timeout = (\d+)$", configuration, re.MULTILINE)
    assert found
    assert seconds(SERVICES["api"]["stop_grace_period"]) > int(found[1])


def test_a_worker_reports_often_enough_for_its_health_check() -> None:
    assert SERVICES["worker"]["healthcheck"]["test"][1:] == ["python", "-m", "shared.alive", "--registered"]
    assert 2 * DEFAULTS["upkeep_seconds"] < alive.WITHIN_SECONDS


@pytest.mark.parametrize("name", ["bucket", "api"])
def test_python_inside_the_file_is_python(name: str) -> None:
    commands = [SERVICES[name].get("command", []), SERVICES[name].get("healthcheck", {}).get("test", [])]
    programs = [command[-1] for command in commands if "-c" in command]
    assert programs
    for program in programs:
        compile(program, f"docker-compose.yml: {name}", "exec")


def test_redis_loses_at_most_a_second_and_evicts_nothing() -> None:
    lines = SERVICES["redis"]["command"][-1].splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(lines)
    assert "requirepass $$REDISCLI_AUTH" in lines


def test_the_suite_gets_what_the_tests_read() -> None:
    read = set(re.findall(r'"(TEST_S3_\w+)"', (ROOT / "tests" / "conftest.py").read_text()))
    assert set(SERVICES["test"]["environment"]) == read


def test_the_example_lists_every_variable_and_no_secret() -> None:
    assert set(OFFERED) == {name for name, _ in USED}
    required = {name for name, operator in USED if operator == ":?"}
    assert {name for name, value in OFFERED.items() if not value} >= required


def test_defaults_agree_with_the_example() -> None:
    defaults = {name: default for name, operator, default in VARIABLE.findall(COMPOSE) if operator == ":-"}
    assert {name: OFFERED[name] for name in defaults} == defaults


def test_an_env_file_gets_into_no_image() -> None:
    assert {".env", "**/.env", "**/*.env"} <= set((ROOT / ".dockerignore").read_text().split())
