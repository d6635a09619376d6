"""The manifests of deploy/kubernetes/ keep what they promise, as far as their text shows it. No cluster is asked."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from shared import queue
from shared.config import SECRET_VARIABLES, Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
#: (file, kind, name) → the object.
OBJECTS: dict[tuple[str, str, str], dict[str, Any]] = {
    (path.name, found["kind"], found["metadata"]["name"]): found
    for path in FILES
    for found in yaml.safe_load_all(path.read_text())
}
KEDA = {key: found for key, found in OBJECTS.items() if found["apiVersion"].startswith("keda.sh/")}
DEPLOYMENTS = {name: found for (_, kind, name), found in OBJECTS.items() if kind == "Deployment"}
WORKERS = ("worker", "courier")
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
READ = {f"GRAFT_{field.upper()}" for field in Settings.model_fields} | {
    "GRAFT_API_PROCESSES",
    "GRAFT_API_THREADS",
    "GRAFT_BIND",
}

each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


def one(kind: str, name: str) -> dict[str, Any]:
    (found,) = (found for key, found in OBJECTS.items() if key[1:] == (kind, name))
    return found


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    assert isinstance(found, dict)
    return found


def probes(name: str) -> dict[str, dict[str, Any]]:
    return {key: value for key, value in container(name).items() if key.endswith("Probe")}


def option(name: str, flag: str) -> str:
    command: list[str] = container(name)["command"]
    return command[command.index(flag) + 1]


def given(name: str) -> dict[str, str]:
    """Every variable of its environment."""
    found = {}
    for source in container(name)["envFrom"]:
        if reference := source.get("configMapRef"):
            found |= one("ConfigMap", reference["name"])["data"]
        else:
            found |= one("Secret", source["secretRef"]["name"])["stringData"]
    return found | {entry["name"]: entry["value"] for entry in container(name).get("env", [])}


@pytest.mark.parametrize("key", sorted(OBJECTS.keys() - KEDA.keys()), ids="/".join)
def test_every_object_is_what_kubernetes_expects_to_the_letter(key: tuple[str, str, str]) -> None:
    kubernetes_validate.validate(OBJECTS[key], kubernetes_validate.latest_version(), strict=True)


def test_the_check_would_see_a_misspelt_field() -> None:
    wrong = yaml.safe_load((FOLDER / "base" / "worker.yaml").read_text())
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_every_file_belongs_to_a_kustomization_but_for_the_secrets() -> None:
    listed = {
        (path.parent / resource).resolve()
        for path in FOLDER.rglob("kustomization.yaml")
        for resource in yaml.safe_load(path.read_text())["resources"]
    }
    assert {path for path in FILES if path not in listed} == {FOLDER / "base" / "secrets.example.yaml"}
    assert all(path.exists() for path in listed)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, though no cluster")
@pytest.mark.parametrize("folder", ["base", "keda"])
def test_kustomize_makes_whole_objects_of_them(folder: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / folder)], capture_output=True, text=True, timeout=60, check=True
    )
    made = {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(done.stdout)}
    for found in made.values():
        if not found["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    assert ("replicas" in made["Deployment", "worker"]["spec"]) == (folder == "base")
    for name in DEPLOYMENTS:
        template = made["Deployment", name]["spec"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "graft", (
            "a network policy selects it"
        )
        assert template["spec"]["containers"][0]["image"] == "registry.example.com/graft:0.1.0"


def test_the_image_is_of_this_release() -> None:
    (image,) = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["images"]
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert image["newTag"] == version[1]
    assert {container(name)["image"] for name in DEPLOYMENTS} == {image["name"]}


@each_deployment
def test_a_pod_has_what_the_restricted_standard_asks_for_and_can_write_to_its_volumes_only(name: str) -> None:
    spec, security = pod(name), container(name)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert (
        f"USER {spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}\n" in dockerfile
    )
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(list(volume) == ["name", "emptyDir"] for volume in spec["volumes"])
    assert {mount["mountPath"] for mount in container(name)["volumeMounts"]} == {"/var/lib/graft", "/tmp"}


@each_deployment
def test_no_pod_has_a_token_for_kubernetes(name: str) -> None:
    assert pod(name)["automountServiceAccountToken"] is False
    assert one("ServiceAccount", pod(name)["serviceAccountName"])["automountServiceAccountToken"] is False


@each_deployment
def test_a_pod_says_what_it_needs_and_what_it_may_have(name: str) -> None:
    resources = container(name)["resources"]
    assert {"cpu", "memory", "ephemeral-storage"} <= set(resources["requests"])
    assert {"memory", "ephemeral-storage"} <= set(resources["limits"])


@each_deployment
def test_selectors_find_the_pods(name: str) -> None:
    spec = DEPLOYMENTS[name]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    for constraint in pod(name)["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels


@each_deployment
def test_graft_knows_every_variable_and_gets_every_one_that_it_needs(name: str) -> None:
    variables = given(name)
    assert set(variables) <= READ
    needed = {"REDIS_URL", "SIGNING_KEY", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}
    assert {f"GRAFT_{setting}" for setting in needed} <= set(variables)
    values = {key.removeprefix("GRAFT_").lower(): value for key, value in variables.items()}
    Settings.model_validate(
        {key: text.replace("REPLACE_ME", "x" * 32) for key, text in values.items() if key in DEFAULTS}
    )


def test_secrets_are_in_secrets_only_and_have_no_value_in_the_repository() -> None:
    for (file, kind, _), found in OBJECTS.items():
        if kind == "ConfigMap":
            assert not set(found["data"]) & set(SECRET_VARIABLES)
        if kind == "Secret":
            assert file == "secrets.example.yaml"
            assert all("REPLACE_ME" in value for value in found["stringData"].values())
    for name in DEPLOYMENTS:
        assert not {entry["name"] for entry in container(name).get("env", [])} & set(SECRET_VARIABLES)


def test_the_keys_of_users_are_the_apis_alone() -> None:
    assert [name for name in DEPLOYMENTS if "GRAFT_API_KEYS" in given(name)] == ["api"]
    users = {name: re.match(r"redis://([\w-]+):", given(name)["GRAFT_REDIS_URL"]) for name in DEPLOYMENTS}
    assert {name: user and user[1] for name, user in users.items()} == {
        "api": "graft-api",
        "worker": "graft-worker",
        "courier": "graft-worker",
    }


def test_a_pod_of_the_api_is_asked_about_its_servers_at_its_start_only() -> None:
    paths = {probe: found["httpGet"]["path"] for probe, found in probes("api").items()}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/healthz", "livenessProbe": "/healthz"}
    routes = (ROOT / "api" / "health.py").read_text()
    assert all(f'@blueprint.get("{path}")' in routes for path in paths.values())
    (port,) = container("api")["ports"]
    assert {found["httpGet"]["port"] for found in probes("api").values()} == {port["name"]}
    assert f"GRAFT_BIND=0.0.0.0:{port['containerPort']}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_started_again_if_it_hangs_and_not_if_redis_is_away(name: str) -> None:
    assert {probe: found["exec"]["command"][1:] for probe, found in probes(name).items()} == {
        "startupProbe": ["-m", "shared.alive", "--registered"],
        "livenessProbe": ["-m", "shared.alive"],
    }


def test_a_worker_may_drain_before_it_is_killed() -> None:
    draining = float(given("worker")["GRAFT_DRAIN_SECONDS"]) + DEFAULTS["stop_grace_seconds"]
    assert pod("worker")["terminationGracePeriodSeconds"] >= draining + 5, "docs/operations.md says why"
    assert "lifecycle" not in container("worker"), "SIGTERM drains"


def test_the_api_may_end_its_requests_before_it_is_killed() -> None:
    *_, seconds = container("api")["lifecycle"]["preStop"]["exec"]["command"]
    configuration = (ROOT / "api" / "gunicorn_conf.py").read_text()
    graceful = re.search(r"^graceful_timeout = (\d+)$", configuration, re.MULTILINE)
    assert graceful
    assert pod("api")["terminationGracePeriodSeconds"] > int(seconds) + int(graceful[1])


def test_every_queue_is_served() -> None:
    assert {name: option(name, "--queues") for name in WORKERS} == {
        "worker": "high,normal,low",
        "courier": "webhooks",
    }
    served = ",".join(option(name, "--queues") for name in WORKERS).split(",")
    assert sorted(map(queue.queue_name, served)) == sorted(queue.QUEUES)


def test_the_way_from_the_ingress_to_the_pods_is_whole() -> None:
    (rule,) = one("Ingress", "api")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    (service_port,) = one("Service", path["backend"]["service"]["name"])["spec"]["ports"]
    assert path["backend"]["service"]["port"]["name"] == service_port["name"]
    assert service_port["targetPort"] == container("api")["ports"][0]["name"]
    (tls,) = one("Ingress", "api")["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    selector = one("Service", "api")["spec"]["selector"]
    assert selector.items() <= DEPLOYMENTS["api"]["spec"]["template"]["metadata"]["labels"].items()


def test_an_event_stream_outlives_no_time_limit_of_the_ingress() -> None:
    limits = {
        name: int(value.removesuffix("s"))
        for name, value in one("Ingress", "api")["metadata"]["annotations"].items()
        if "timeout" in name
    }
    assert limits
    assert min(limits.values()) > DEFAULTS["stream_seconds"]


def test_only_couriers_may_call_the_internet() -> None:
    assert one("NetworkPolicy", "nothing-else")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    outside = [
        found["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for (_, kind, _), found in OBJECTS.items()
        if kind == "NetworkPolicy"
        for rule in found["spec"].get("egress", [])
        if any("ipBlock" in peer for peer in rule["to"])
    ]
    assert outside == ["graft-courier"]


def test_workers_follow_what_waits_and_what_runs() -> None:
    spec = one("ScaledObject", "worker")["spec"]
    assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert spec["minReplicaCount"] >= 1, "without a worker nobody does the upkeep"
    modifiers = spec["advanced"]["scalingModifiers"]
    triggers = {trigger["name"]: trigger for trigger in spec["triggers"]}
    assert set(modifiers["formula"].split(" + ")) == set(triggers)
    assert modifiers["target"] == option("worker", "--concurrency")
    for trigger in triggers.values():
        assert trigger["type"] == "metrics-api"
        assert trigger["metadata"]["url"] == "http://api.graft.svc/metrics"
        (secret,) = one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"][
            "secretTargetRef"
        ]
        assert secret["key"] in one("Secret", secret["name"])["stringData"]
