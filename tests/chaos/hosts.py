"""Several hosts on one machine: network namespaces, each with an address of its own, joined by a bridge.

    10.77.0.1  this namespace: Redis, store, API        10.77.0.2, 10.77.0.3, …  hosts with a worker each

Run inside `unshare --user --map-root-user --net`, which needs no root. A host's cable can be pulled.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from graft.stack import RunningServer, ports, services, start_object_store, start_redis
from shared import services as composition
from shared.config import Settings
from shared.services import Services
from tests.chaos.invariants import PROJECT, check_invariants
from tests.chaos.proxy import Proxy
from tests.chaos.rig import GRACE_SECONDS, LEASE_SECONDS, TIMES, Worker
from tests.e2e import tables
from tests.e2e.test_batch_prediction import fetched
from tests.support.client import PARQUET, Graft, Json, train_body
from tests.support.waiting import eventually

HERE = "10.77.0.1"


def set_up_network() -> None:
    """This namespace: a loopback, and a bridge to which hosts are plugged in."""
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "bridge", "type", "bridge")
    _ip("address", "add", f"{HERE}/24", "dev", "bridge")
    _ip("link", "set", "bridge", "up")


class Host:
    """A machine of its own as far as the network is concerned."""

    def __init__(self, number: int, stack: ExitStack) -> None:
        self.address = f"10.77.0.{number + 1}"
        self._cable = f"cable{number}"
        holder = stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdout=subprocess.DEVNULL)
        )
        stack.callback(holder.kill)
        self._inside = (str(shutil.which("nsenter")), "--target", str(holder.pid), "--net", "--")
        _until_apart(holder.pid)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("link", "set", self._cable, "master", "bridge", "up")
        for command in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            subprocess.run([*self._inside, "ip", *command], check=True)

    def worker(self, directory: Path, settings: dict[str, str]) -> Worker:
        service = services.worker_service(directory, 1, {**settings, **TIMES}, grace_seconds=GRACE_SECONDS)
        return Worker(dataclasses.replace(service, argv=(*self._inside, *service.argv)))

    def pull_cable(self) -> None:
        _ip("link", "set", self._cable, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self._cable, "up")


def published(url: str, stack: ExitStack) -> str:
    """A server that listens on the loopback only, to be reached by the other hosts as well."""
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    proxy = stack.enter_context(Proxy(port, host=HERE))
    return url.replace(f"127.0.0.1:{port}", f"{HERE}:{proxy.port}")


def play(directory: Path, rows: int) -> Json:
    """A batch over two hosts, one of which is cut off half-way and comes back. Returns what there is to check."""
    set_up_network()
    with ExitStack() as stack:
        redis = stack.enter_context(start_redis(directory))
        store = stack.enter_context(start_object_store(directory))
        settings = {
            **{name: published(value, stack) for name, value in redis.settings.items()},
            **store.settings,
            "GRAFT_S3_ENDPOINT_URL": published(store.url, stack),
            "GRAFT_SIGNING_KEY": secrets.token_hex(16),
            "GRAFT_API_KEYS": "the-key",
        }
        api = RunningServer(services.api_service(directory, HERE, ports.choose(HERE), {**settings, **TIMES}))
        hosts = [Host(number, stack) for number in (1, 2)]
        workers = [host.worker(directory / host.address, settings) for host in hosts]
        for server in (*workers, api):
            stack.enter_context(server)
            server.start()
        for server in (*workers, api):
            server.wait_ready()
        graft = stack.enter_context(Graft(api.url, "the-key"))
        job_id = graft.submit(_batch(graft, rows)).json()["id"]
        eventually(lambda: _scored(graft, job_id) >= 3_000)
        built = composition.build(_own(settings))
        _cut_off_at_a_shard(hosts[1], workers[1], built, job_id)
        cut_at = time.monotonic()
        eventually(lambda: "shard_requeued" in _events(graft, job_id), 60)
        taken_after = time.monotonic() - cut_at
        time.sleep(LEASE_SECONDS)
        hosts[1].plug_in()
        job = graft.ended(job_id)
        found = [] if job["status"] != "succeeded" else fetched(graft.output(job_id))["number"].to_pylist()
        lines = graft.get(f"/v1/jobs/{job_id}/logs", params={"limit": 100}).json()["data"]
        started = [line["fields"]["worker"] for line in lines if line["message"] == "attempt_started"]
        check_invariants(built, [job_id])
        return {
            "status": job["status"],
            "rows_once_in_order": found == list(range(rows)),
            "workers": len(set(started)),
            "requeued": _events(graft, job_id).count("shard_requeued"),
            "seconds_until_the_shard_was_taken": round(taken_after, 1),
        }


def _own(settings: dict[str, str]) -> Settings:
    return Settings.model_validate({name.removeprefix("GRAFT_").lower(): v for name, v in settings.items()})


def _cut_off_at_a_shard(host: Host, worker: Worker, built: Services, job_id: str) -> None:
    """Pull the cable, but not between two shards: then the worker would have none to lose."""

    def cut() -> bool:
        host.pull_cable()
        shards = built.shards.records(PROJECT, job_id)
        if any(s["status"] == "running" and s["worker"] == worker.known_as for s in shards):
            return True
        host.plug_in()
        return False

    eventually(cut, 60, every=0.2)


def _batch(graft: Graft, rows: int) -> Json:
    digits = tables.digits(slice(0, 1500))
    graft.run(train_body(graft.dataset(digits, kind=PARQUET), "slow-scorer", "svm"))
    repeated = pa.concat_tables([digits.drop_columns(["label"])] * (rows // digits.num_rows + 1)).slice(
        0, rows
    )
    dataset = graft.dataset(repeated.append_column("number", pa.array(range(rows))), kind=PARQUET)
    return {
        "type": "batch_predict",
        "model": "slow-scorer",
        "input": {"dataset": dataset},
        "output": {"columns": "id"},
        "id_column": "number",
        "shard_rows": 1_000,
    }


def _scored(graft: Graft, job_id: str) -> int:
    progress: dict[str, Any] = graft.job(job_id)["progress"] or {}
    return int(progress["completed"]) if progress.get("phase") == "scoring" else 0


def _events(graft: Graft, job_id: str) -> list[str]:
    return [event["event"] for event in graft.get(f"/v1/jobs/{job_id}/events").json()["data"]]


def _until_apart(pid: int) -> None:
    """Until that process is in a namespace of its own."""
    here = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == here:
        pass


def _ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True)


if __name__ == "__main__":
    json.dump(play(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)
