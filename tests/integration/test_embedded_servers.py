"""The embedded Redis and object store: real servers, protected, durable, and gone when they should be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import psutil
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry

from graft.stack import (
    Refused,
    RunningServer,
    ServerFailed,
    leftovers,
    object_store,
    start_object_store,
    start_redis,
)
from graft.stack.keeping import Keeper

KINDS = ["rclone", *(["minio"] if shutil.which("minio") else [])]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A path with all that a config file or a shell could trip over."""
    return tmp_path / 'data of "us" & #them'


@pytest.fixture
def redis_server(directory: Path) -> Iterator[RunningServer]:
    with start_redis(directory) as server:
        yield server


@pytest.fixture(params=KINDS)
def store(directory: Path, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with start_object_store(directory, kind=request.param) as server:
        yield server


def s3(server: RunningServer, *, secret: str | None = None):
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.settings["GRAFT_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or server.settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def port_of(server: RunningServer) -> int:
    return int(server.url.rsplit(":", 1)[1].split("/")[0])


def eventually(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_redis_refuses_a_client_without_the_password(redis_server: RunningServer) -> None:
    with (
        redis.Redis(port=port_of(redis_server), retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_redis_keeps_an_append_only_file_and_never_evicts(redis_server: RunningServer) -> None:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        set_to = client.config_get("append*", "maxmemory-policy", "bind")
    assert set_to["appendonly"] == "yes"
    assert set_to["appendfsync"] == "everysec"
    assert set_to["maxmemory-policy"] == "noeviction"
    assert set_to["bind"] == "127.0.0.1"


def test_redis_has_every_acknowledged_write_after_a_kill_on_the_same_port(
    redis_server: RunningServer,
) -> None:
    url, first = redis_server.url, redis_server.pid
    with redis.Redis.from_url(url) as client:
        client.set("answer", 42)
        redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.restart()
        assert client.get("answer") == b"42"
    assert (redis_server.url, redis_server.pid != first) == (url, True)


def test_a_paused_redis_answers_again_after_resume(redis_server: RunningServer) -> None:
    with redis.Redis.from_url(redis_server.url, socket_timeout=0.2) as client:
        client.ping()
        redis_server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        redis_server.resume()
        eventually(client.ping)


def test_a_paused_server_can_still_be_stopped(directory: Path) -> None:
    with start_redis(directory) as server:
        server.pause()
    assert server.exit_code() == 0


def test_the_store_makes_its_bucket(store: RunningServer) -> None:
    assert "Contents" not in s3(store).list_objects_v2(Bucket="graft")


def test_a_wrong_secret_gets_403_from_the_store(store: RunningServer) -> None:
    with pytest.raises(ClientError) as refusal:
        s3(store, secret="x" * 43).list_objects_v2(Bucket="graft")
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_object_outlives_a_kill_of_the_store(store: RunningServer) -> None:
    s3(store).put_object(Bucket="graft", Key="p/jobs/1/model", Body=b"weights")
    store.kill()
    store.restart()
    assert s3(store).get_object(Bucket="graft", Key="p/jobs/1/model")["Body"].read() == b"weights"


def test_what_a_killed_rclone_left_of_an_upload_is_removed(directory: Path) -> None:
    with start_object_store(directory, kind="rclone") as store:
        client = s3(store)
        client.put_object(Bucket="graft", Key="p/whole", Body=b"whole")
        upload = client.create_multipart_upload(Bucket="graft", Key="p/half")["UploadId"]
        client.upload_part(Bucket="graft", Key="p/half", UploadId=upload, PartNumber=1, Body=bytes(6 * 2**20))
        store.kill()
    files = directory / "rclone" / "graft" / "p"
    assert len(list(files.iterdir())) == 2
    object_store.remove_unfinished_uploads(directory)
    assert [file.name for file in files.iterdir()] == ["whole"]


def test_no_secret_is_in_any_argv(redis_server: RunningServer, store: RunningServer) -> None:
    secrets = [redis_server.url.split("@")[0].split(":")[-1], store.settings["GRAFT_S3_SECRET_ACCESS_KEY"]]
    argv = " ".join(psutil.Process(redis_server.pid).cmdline() + psutil.Process(store.pid).cmdline())
    assert str(port_of(store)) in argv  # we look at the right processes
    assert not [secret for secret in secrets if secret in argv]


def test_config_and_logs_are_their_owners_alone(redis_server: RunningServer, directory: Path) -> None:
    for file in (directory / "redis" / "redis.conf", redis_server.service.log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_server_that_dies_before_it_is_ready_is_quoted(directory: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(ServerFailed, match="redis ended with exit code 1") as failure,
    ):
        start_redis(directory, port=other.getsockname()[1])
    assert "in use" in failure.value.message


def test_a_directory_begun_with_rclone_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "bin" / "minio"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\nexit 1\n")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert object_store.choose_kind(tmp_path / "new") == "minio"
    (tmp_path / "begun" / "rclone").mkdir(parents=True)
    assert object_store.choose_kind(tmp_path / "begun") == "rclone"


def test_a_directory_begun_with_minio_is_refused_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "minio").mkdir()
    with pytest.raises(Refused, match="MinIO's form"):
        object_store.choose_kind(tmp_path)


SUPERVISOR = """
    import sys, time
    from pathlib import Path
    from graft.stack import leftovers, start_object_store, start_redis

    directory = Path(sys.argv[1])
    servers = [start_redis(directory), start_object_store(directory, kind="rclone")]
    leftovers.record(directory, servers)
    print(*(server.pid for server in servers), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_servers_end_when_their_supervisor_is_killed(directory: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(runs, pids))
        supervisor.kill()
    try:
        eventually(lambda: not any(map(runs, pids)))
    finally:
        leftovers.end(directory)


def test_recorded_leftovers_are_ended(redis_server: RunningServer, directory: Path) -> None:
    leftovers.record(directory, [redis_server])
    assert leftovers.end(directory) == 1
    assert redis_server.exit_code() == 0
    assert leftovers.end(directory) == 0


def test_a_process_that_got_a_leftovers_pid_is_let_live(redis_server: RunningServer, directory: Path) -> None:
    (directory / "run.json").write_text(f'{{"{redis_server.pid}": 1.0}}')
    assert leftovers.end(directory) == 0
    assert redis_server.why_not_ready() is None


PARENT = """
    import subprocess, time

    print(subprocess.Popen(["sleep", "600"], process_group=0).pid, flush=True)
    time.sleep(600)
"""


def test_stopping_ends_what_a_server_has_started(redis_server: RunningServer) -> None:
    """Also a child that has left its parent's process group and is not told to stop."""
    log = redis_server.service.log.with_name("parent.log")
    argv = (sys.executable, "-c", textwrap.dedent(PARENT))
    with RunningServer(replace(redis_server.service, argv=argv, log=log)) as parent:
        parent.start()
        eventually(lambda: log.exists() and log.read_text().endswith("\n"))
        child = int(log.read_text())
        assert os.getpgid(child) == child
    assert parent.exit_code() == -signal.SIGTERM
    assert not runs(child)


def test_a_server_that_keeps_ending_is_started_later_each_time(redis_server: RunningServer) -> None:
    now = 100.0
    said: list[str] = []
    argv = (sys.executable, "-c", "raise SystemExit(3)")
    server = RunningServer(replace(redis_server.service, argv=argv))
    server.start()
    keeper = Keeper(server, said.append, clock=lambda: now)
    for delay in (0.5, 1.0, 2.0):
        eventually(lambda: server.exit_code() is not None)
        assert not keeper.look()
        assert said[-1] == f"redis ended with exit code 3; starting it again in {delay:g} s"
        now += delay - 0.01
        assert not keeper.look()
        now += 0.01
        assert keeper.look()
    server.kill()
