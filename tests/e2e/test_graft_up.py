"""`graft up` as a user has it: one command, and the processes, files and exit codes that it promises."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
import psutil
import pytest
import redis
from botocore.config import Config

from graft.stack import start_object_store, start_redis

NAMES = ["redis", "object-store", "worker", "api"]
START_SECONDS = 120
GRACE_SECONDS = 10  # of the API


class Instance:
    """A running `graft up`, what it has printed, and the processes below it."""

    def __init__(self, directory: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.directory = directory
        self._out = directory.parent / f"{directory.name}.out"
        self._from = self._out.stat().st_size if self._out.exists() else 0
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                up(directory, *options),
                env=clean_environment() | (env or {}),
                stdout=out,
                stderr=out,
                preexec_fn=hang_up_ends,
            )

    def ready(self) -> Instance:
        self.wait_for("graft: ready at ")
        return self

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.output.count(text) >= times or self.process.poll() is not None, START_SECONDS)
        assert self.output.count(text) >= times, self.output

    @property
    def output(self) -> str:
        return self._out.read_bytes()[self._from :].decode()

    @property
    def url(self) -> str:
        return self.after("graft: ready at ")

    def after(self, start: str) -> str:
        """The rest of the last line that starts so."""
        return [line.removeprefix(start) for line in self.output.splitlines() if line.startswith(start)][-1]

    def pid(self, name: str) -> int:
        """Of a server, as the line about its last start says."""
        return int(self.after(f"graft: {name} runs as pid ").split(",")[0])

    def processes(self) -> list[psutil.Process]:
        """The servers and all that they have started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Every stop, in any test, is a clean one and leaves no process."""
        processes = self.processes()
        self.process.send_signal(signal_number)
        assert self.process.wait(60) == 0, self.output
        assert not [process for process in processes if runs(process)]
        assert "Logging error" not in (self.directory / "logs" / "api.log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def up(directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "graft", "up", "--data-dir", str(directory), "--port", "0", *options]


def hang_up_ends() -> None:
    """As in a terminal, also when the suite itself runs under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}


def eventually(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def redis_client(directory: Path) -> redis.Redis:
    password = json.loads((directory / "credentials.json").read_text())["redis_password"]
    return redis.Redis(port=json.loads((directory / "ports.json").read_text())["redis"], password=password)


def s3_client(directory: Path):
    credentials = json.loads((directory / "credentials.json").read_text())
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{json.loads((directory / 'ports.json').read_text())['object-store']}",
        aws_access_key_id=credentials["s3_access_key_id"],
        aws_secret_access_key=credentials["s3_secret_access_key"],
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required"),
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Starts instances; whatever a failed test leaves of them is ended."""
    instances: list[Instance] = []

    def start(
        *options: str, directory: Path = tmp_path / "data", env: dict[str, str] | None = None
    ) -> Instance:
        instances.append(Instance(directory, *options, env=env))
        return instances[-1]

    yield start
    for instance in instances:
        if instance.process.poll() is None:
            instance.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for the tests that only look at it."""
    instance = Instance(tmp_path_factory.mktemp("up") / "data").ready()
    yield instance
    instance.stop()


def test_it_is_ready_when_it_says_so(shared: Instance) -> None:
    assert httpx.get(f"{shared.url}/readyz").status_code == 200


def test_the_printed_api_key_is_good_and_no_other(shared: Instance) -> None:
    key = shared.after("graft: API key ")
    assert (shared.directory / "api-key").read_text().strip() == key
    answers = [
        httpx.get(f"{shared.url}/v1/jobs", headers={"Authorization": f"Bearer {given}"}).status_code
        for given in (key, key[:-1] + ("A" if key[-1] != "A" else "B"))
    ]
    assert answers == [200, 401]


def test_no_secret_is_in_any_argv(shared: Instance) -> None:
    secrets = [*json.loads((shared.directory / "credentials.json").read_text()).values()]
    secrets.append((shared.directory / "api-key").read_text().strip())
    processes = [psutil.Process(shared.process.pid), *shared.processes()]
    argv = " ".join(word for process in processes for word in process.cmdline())
    assert all(name in argv for name in ("gunicorn", "worker", "--data-dir"))  # we look at the right ones
    assert not [secret for secret in secrets if secret in argv]


def test_files_with_secrets_are_their_owners_alone(shared: Instance) -> None:
    files = [shared.directory / name for name in ("credentials.json", "api-key", "redis/redis.conf")]
    files += (shared.directory / "logs").iterdir()
    assert len(files) == 3 + len(NAMES)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(shared.directory.stat().st_mode) == 0o700


def test_nothing_listens_beyond_loopback(shared: Instance) -> None:
    listening = [
        connection.laddr.ip
        for process in shared.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_a_second_instance_on_the_directory_is_refused_and_told_the_pid(shared: Instance) -> None:
    second = subprocess.run(
        up(shared.directory), env=clean_environment(), capture_output=True, text=True, check=False, timeout=30
    )
    assert second.returncode == 2
    assert f"pid {shared.process.pid}" in second.stderr
    assert httpx.get(f"{shared.url}/readyz").status_code == 200


def test_a_port_in_use_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = subprocess.run(
            [*up(tmp_path / "data"), "--port", str(port)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert refused.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in refused.stderr
    assert not (tmp_path / "data" / "logs").exists()


@pytest.mark.parametrize(
    ("options", "env", "message"),
    [
        (["--host", "0.0.0.0"], {}, "set GRAFT_API_KEYS"),
        ([], {"GRAFT_LEASE_SECONDS": "soon"}, "GRAFT_LEASE_SECONDS"),
        ([], {"GRAFT_S3_ENDPOINT_URL": "http://127.0.0.1:9"}, "GRAFT_S3_ACCESS_KEY_ID"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_started(
    tmp_path: Path, options: list[str], env: dict[str, str], message: str
) -> None:
    refused = subprocess.run(
        up(tmp_path / "data", *options),
        env=clean_environment() | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not (tmp_path / "data" / "logs").exists()


def test_sigterm_stops_everything_and_tidies_up(start: Callable[..., Instance]) -> None:
    instance = start().ready()
    assert len(instance.processes()) >= len(NAMES)
    instance.stop(signal.SIGTERM)
    assert not (instance.directory / "run.json").exists()


def test_a_stop_during_the_start_leaves_no_process(start: Callable[..., Instance]) -> None:
    instance = start()
    instance.wait_for("graft: api runs as pid ")
    instance.stop()
    assert "ready at" not in instance.output


def test_a_second_ctrl_c_hurries(start: Callable[..., Instance]) -> None:
    instance = start().ready()
    with unfinished_upload(instance):  # the API would give it all its grace
        instance.process.send_signal(signal.SIGINT)
        instance.wait_for("graft: stopping")
        began = time.monotonic()
        instance.stop(signal.SIGINT)
        assert time.monotonic() - began < GRACE_SECONDS / 2


@contextmanager
def unfinished_upload(instance: Instance) -> Iterator[None]:
    """A request that a thread of the API is busy with for as long as the block lasts."""
    address = ("127.0.0.1", int(instance.url.rsplit(":", 1)[1]))
    head = (
        "POST /v1/datasets?name=slow HTTP/1.1",
        "Host: graft",
        f"Authorization: Bearer {instance.after('graft: API key ')}",
        "Content-Type: text/csv",
        "Content-Length: 1000",
        "Expect: 100-continue",  # the answer to this says that the request is being read
    )
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall("\r\n".join((*head, "", "")).encode())
        assert b"100 Continue" in connection.recv(100)
        yield


def test_after_a_kill_the_next_one_finds_its_data_and_nothing_in_the_way(
    start: Callable[..., Instance],
) -> None:
    first = start().ready()
    before, key = first.processes(), first.after("graft: API key ")
    redis_client(first.directory).set("survives", "yes")
    s3_client(first.directory).put_object(Bucket="graft", Key="survives/too", Body=b"yes")
    first.kill()

    second = start("--port", first.url.rsplit(":", 1)[1]).ready()
    assert not [process for process in before if runs(process)]
    assert (second.url, second.after("graft: API key ")) == (first.url, key)
    assert redis_client(second.directory).get("survives") == b"yes"
    stored = s3_client(second.directory).get_object(Bucket="graft", Key="survives/too")
    assert stored["Body"].read() == b"yes"

    if sys.platform == "linux":  # where the servers end without a next one, too
        processes = second.processes()
        second.kill()
        eventually(lambda: not [process for process in processes if runs(process)])


def test_each_server_that_dies_is_started_again(start: Callable[..., Instance]) -> None:
    instance = start().ready()
    redis_client(instance.directory).set("survives", "yes")
    for name in NAMES:
        pid = instance.pid(name)
        os.kill(pid, signal.SIGKILL)
        instance.wait_for(f"graft: {name} ended with SIGKILL; starting it again in 0.5 s")
        instance.wait_for(f"graft: {name} runs as pid ", times=2)
        eventually(lambda: ready_again(instance.url))
        assert instance.pid(name) != pid
    assert redis_client(instance.directory).get("survives") == b"yes"
    instance.stop()


def ready_again(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_server_that_cannot_start_is_quoted_and_everything_stopped(
    start: Callable[..., Instance], tmp_path: Path
) -> None:
    directory = tmp_path / "data"
    (directory / "redis" / "appendonlydir").mkdir(parents=True)
    (directory / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("this is no manifest\n")
    instance = start()
    assert instance.process.wait(START_SECONDS) == 1
    assert "graft: error: redis ended with exit code 1" in instance.output
    assert "manifest" in instance.output  # Redis's own words
    assert "ready at" not in instance.output
    assert not (directory / "run.json").exists()


def test_given_api_keys_are_used_and_not_printed(start: Callable[..., Instance]) -> None:
    instance = start(env={"GRAFT_API_KEYS": "mine-0123456789abcdef0123456789abcdef"}).ready()
    headers = {"Authorization": "Bearer mine-0123456789abcdef0123456789abcdef"}
    assert httpx.get(f"{instance.url}/v1/jobs", headers=headers).status_code == 200
    assert "mine-" not in instance.output
    assert not (instance.directory / "api-key").exists()
    instance.stop(signal.SIGINT)


def test_servers_that_the_environment_names_are_used_and_left_running(
    start: Callable[..., Instance], tmp_path: Path
) -> None:
    with start_redis(tmp_path / "theirs") as database, start_object_store(tmp_path / "theirs") as store:
        instance = start(env={**database.settings, **store.settings, "GRAFT_S3_BUCKET": "another"}).ready()
        argv = " ".join(word for process in instance.processes() for word in process.cmdline())
        assert "gunicorn" in argv
        assert not [name for name in ("valkey", "redis-server", "rclone", "minio") if name in argv]
        instance.stop(signal.SIGHUP)
        assert database.why_not_ready() is None
        assert store.why_not_ready() is None
        assert not (instance.directory / "redis").exists()
