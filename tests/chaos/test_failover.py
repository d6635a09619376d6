"""Graft on a Redis behind sentinels, both set up as deploy/redis/ says, the API and the workers each as its own user.

What was replicated before a master died is not lost, what cannot be written is answered 503, and nobody has to start
anything anew.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import redis

from graft.stack import RunningServer, ports, services, start_object_store
from shared import services as composition
from shared.config import Settings
from shared.services import Services
from tests.chaos.invariants import check_invariants
from tests.chaos.rig import TIMES
from tests.e2e import tables
from tests.e2e.test_batch_prediction import fetched
from tests.support.client import ENDED, PARQUET, Graft, train_body
from tests.support.failover import COUNT, HOST, Watched, watched
from tests.support.waiting import eventually

#: Detection takes three seconds here (five in deploy/redis/sentinel.conf), the election and the rest some more.
FAILOVER_SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    redis: Watched
    worker: RunningServer
    graft: Graft
    services: Services
    accepted: list[str]

    def submit(self, body: dict[str, object], seconds: float = FAILOVER_SECONDS) -> str:
        """Until it is accepted; until then it must be a 503 that says when to come again."""
        until = time.monotonic() + seconds
        while (response := self.graft.submit(body)).status_code != 202:
            assert response.status_code == 503, response.text
            assert response.json()["code"] == "redis_unavailable"
            assert int(response.headers["Retry-After"]) > 0
            assert time.monotonic() < until, response.text
            time.sleep(0.2)
        self.accepted.append(response.json()["id"])
        return self.accepted[-1]

    def status(self, job_id: str) -> str:
        """Once it has ended. Also a look may be a 503 meanwhile: it counts against a limit, which is a write."""

        def look() -> str | None:
            response = self.graft.get(f"/v1/jobs/{job_id}", params={"wait": 5})
            assert response.status_code in {200, 503}, response.text
            status = response.json().get("status")
            return str(status) if status in ENDED else None

        return eventually(look, 2 * FAILOVER_SECONDS) or ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("failover")
    with ExitStack() as stack:
        running = stack.enter_context(watched(directory))
        store = stack.enter_context(start_object_store(directory))
        key = secrets.token_hex(8)
        common = {**TIMES, **store.settings, "GRAFT_SIGNING_KEY": secrets.token_hex(16)}
        as_worker = {**common, "GRAFT_REDIS_URL": running.url("graft-worker", "WORKER")}
        as_api = {**common, "GRAFT_REDIS_URL": running.url("graft-api", "API"), "GRAFT_API_KEYS": key}
        worker = RunningServer(services.worker_service(directory / "worker", 2, as_worker, grace_seconds=10))
        api = RunningServer(services.api_service(directory / "api", HOST, ports.choose(HOST), as_api))
        for server in (worker, api):
            stack.enter_context(server)
            server.start()
        for server in (worker, api):
            server.wait_ready()
        graft = stack.enter_context(Graft(api.url, key))
        as_operator = {**common, "GRAFT_REDIS_URL": running.url("operator", "OPERATOR")}
        given = {name.removeprefix("GRAFT_").lower(): value for name, value in as_operator.items()}
        built = composition.build(Settings.model_validate(given))
        stack.callback(built.database.close)
        yield Site(running, worker, graft, built, [])
        logs = "".join(path.read_text(errors="replace") for path in directory.rglob("logs/*.log"))
        assert not [name for name, password in running.passwords.items() if password in logs]


@pytest.fixture(scope="module")
def dataset(site: Site) -> str:
    return site.graft.dataset(tables.digits(slice(0, 600)))


def slow(dataset: str) -> dict[str, object]:
    estimator = {"kind": "neural_network", "epochs": 200, "hidden_layers": [256], "learning_rate": 1e-6}
    return train_body(dataset, "slow", estimator=estimator)


def refuses_writes(running: Watched, port: int) -> bool:
    try:
        with running.operator(port) as master:
            master.set("graft:test:mark", "")
    except redis.ResponseError as error:
        return "NOREPLICAS" in str(error)
    return False


def test_all_that_graft_does_is_allowed_to_its_users(site: Site, dataset: str) -> None:
    graft = site.graft
    site.accepted.append(graft.run(train_body(dataset, "source"))["id"])
    target = graft.dataset(tables.digits(slice(600, 700)))
    tuned = graft.run(
        {
            "type": "fine_tune",
            "base_model": "source",
            "dataset": target,
            "target": "label",
            "model": {"name": "tuned"},
        }
    )
    rows = graft.dataset(tables.digits(slice(0, 1700)).drop_columns(["label"]), kind=PARQUET)
    batch = graft.run(
        {"type": "batch_predict", "model": "tuned", "input": {"dataset": rows}, "shard_rows": 1000}
    )
    assert fetched(graft.output(batch["id"])).num_rows == 1700
    site.accepted.extend([tuned["id"], batch["id"]])
    assert graft.put("/v1/models/tuned/aliases/champion", json={"version": 1}).status_code == 200
    row = tables.digits(slice(0, 1)).drop_columns(["label"]).to_pylist()
    assert graft.post("/v1/models/tuned@champion/predict", json={"rows": row}).status_code == 200
    job = {"type": "batch_predict", "model": "tuned@champion", "input": {"dataset": rows}}
    made = graft.post("/v1/schedules", json={"name": "nightly", "cron": "30 2 * * *", "job": job})
    assert made.status_code == 201, made.text
    ran = graft.post(f"/v1/schedules/{made.json()['id']}/run")
    assert ran.status_code == 202, ran.text
    key = graft.post("/v1/keys", json={"project": "default", "scopes": ["read"]})
    assert key.status_code == 201
    with Graft(str(graft.base_url), key.json()["key"]) as reader:
        assert reader.get("/v1/jobs").status_code == 200
    assert graft.delete(f"/v1/keys/{key.json()['id']}").status_code == 204
    hook = graft.post("/v1/webhooks", json={"url": "https://example.org/hook", "events": ["job.succeeded"]})
    assert hook.status_code == 201, hook.text
    assert graft.delete(f"/v1/webhooks/{hook.json()['id']}").status_code == 204
    cancelled = site.submit(slow(dataset))
    assert graft.post(f"/v1/jobs/{cancelled}/cancel").status_code == 202
    graft.ended(cancelled)
    for path in (
        "/metrics",
        "/v1/usage",
        "/v1/models/tuned/versions/1/lineage",
        f"/v1/jobs/{batch['id']}/events",
    ):
        assert graft.get(path).status_code == 200, path
    assert graft.delete(f"/v1/schedules/{made.json()['id']}").status_code == 204
    denied = [
        (port, entry["username"], entry["object"], entry["context"])
        for port in site.redis.servers
        for entry in site.redis.operator(port).acl_log()
    ]
    assert not denied


@pytest.mark.parametrize(
    ("user", "password", "command"),
    [
        ("graft-api", "API", ("FLUSHALL",)),
        ("graft-api", "API", ("KEYS", "*")),
        ("graft-api", "API", ("CONFIG", "GET", "requirepass")),
        ("graft-api", "API", ("GET", "somebody-elses")),
        ("graft-api", "API", ("BRPOP", "graft.normal", "1")),
        ("graft-worker", "WORKER", ("FLUSHALL",)),
        ("graft-worker", "WORKER", ("ACL", "LIST")),
        ("graft-worker", "WORKER", ("HGETALL", "graft:key:key_1")),
        ("graft-worker", "WORKER", ("EVAL", "return redis.call('HSET', 'graft:key:key_1', 'a', 'b')", "0")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_no_user_may_do_more(site: Site, user: str, password: str, command: tuple[str, ...]) -> None:
    client = site.redis.operator(site.redis.master(), user=user, password=password)
    with client, pytest.raises(redis.ResponseError, match=r"(?i)no permission|ACL failure"):
        client.execute_command(*command)


def test_a_killed_master_loses_no_job_that_was_replicated(site: Site, dataset: str) -> None:
    waiting = [site.submit(train_body(dataset, "quick")) for _ in range(10)]
    running = site.submit(slow(dataset))
    site.redis.replicated()
    epoch, old = site.redis.epoch(), site.redis.master()
    site.redis.servers[old].kill()
    later = site.submit(train_body(dataset, "quick"))
    site.redis.settled(epoch)
    for job_id in (*waiting, running, later):
        assert site.status(job_id) == "succeeded"
    assert site.worker.exit_code() is None
    site.redis.servers[old].start()
    site.redis.settled(epoch, replicas=COUNT - 1)
    check_invariants(site.services, site.accepted)


def test_a_master_that_makes_way_disturbs_no_job(site: Site, dataset: str) -> None:
    running = site.submit(slow(dataset))
    eventually(lambda: site.graft.job(running)["status"] == "running", 60)
    epoch = site.redis.epoch()
    site.redis.fail_over()
    accepted = [site.submit(train_body(dataset, "quick")) for _ in range(20)]
    site.redis.settled(epoch)
    assert [site.status(job_id) for job_id in (running, *accepted)] == ["succeeded"] * 21
    assert site.worker.exit_code() is None, "BRPOP was answered UNBLOCKED"
    site.redis.settled(epoch, replicas=COUNT - 1)
    check_invariants(site.services, site.accepted)


def test_a_master_without_replicas_acknowledges_nothing(site: Site, dataset: str) -> None:
    site.submit(train_body(dataset, "quick"))
    master = site.redis.master()
    others = [server for port, server in site.redis.servers.items() if port != master]
    for server in others:
        server.pause()
    try:
        eventually(lambda: refuses_writes(site.redis, master), 60)
        refused = site.graft.submit(train_body(dataset, "quick"))
        assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
    finally:
        for server in others:
            server.resume()
    assert site.status(site.submit(train_body(dataset, "quick"))) == "succeeded"
    assert site.worker.exit_code() is None


def test_sentinels_that_are_away_are_passed_over(site: Site, dataset: str) -> None:
    first = next(iter(site.redis.sentinels.values()))
    first.kill()
    try:
        epoch, old = site.redis.epoch(), site.redis.master()
        site.redis.servers[old].kill()
        accepted = site.submit(train_body(dataset, "quick"))
        site.redis.settled(epoch)
        assert site.status(accepted) == "succeeded"
        site.redis.servers[old].start()
    finally:
        first.start()
