"""The embedded object store: MinIO where it is installed, else rclone's S3 server over a plain folder.

The two keep their data in different forms, so each has a folder of its own below the data
directory, and a directory that was begun with one goes on with that one.
Credentials reach either by its environment. The bucket is made by the readiness probe.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from graft.stack import binaries, environments, ports, private
from graft.stack.errors import Refused
from graft.stack.servers import Endpoint, RunningServer, Service

HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "graft"

Kind = Literal["minio", "rclone"]


def start_object_store(
    directory: Path,
    *,
    port: int | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    bucket: str = BUCKET,
    kind: Kind | None = None,
) -> RunningServer:
    """A ready store with its data in `directory`/<kind> and an empty or earlier `bucket`; `with` stops it.

    What is not given is made up for this server's lifetime; `kind` as `choose_kind` says.
    """
    directory = directory.absolute()
    service = object_store_service(
        directory,
        kind or choose_kind(directory),
        port or ports.choose(HOST),
        access_key_id=access_key_id or secrets.token_hex(10),
        secret_access_key=secret_access_key or secrets.token_urlsafe(32),
        bucket=bucket,
    )
    server = RunningServer(service)
    server.start()
    try:
        return server.wait_ready()
    except BaseException:
        server.kill()
        raise


def choose_kind(directory: Path) -> Kind:
    """The one that the directory was begun with, else MinIO if it is on PATH, else rclone."""
    if (directory / "rclone").exists():
        return "rclone"
    if binaries.minio():
        return "minio"
    if (directory / "minio").exists():
        raise Refused(
            f"{directory} keeps its objects in MinIO's form, and there is no minio on PATH: "
            "put it there, name a store with GRAFT_S3_ENDPOINT_URL, or use another --data-dir"
        )
    return "rclone"


def object_store_service(
    directory: Path, kind: Kind, port: int, *, access_key_id: str, secret_access_key: str, bucket: str
) -> Service:
    """Makes the data folder; starts nothing."""
    data = private.make_directory(directory / kind)
    argv, env = _commands(kind, data, port, access_key_id, secret_access_key)
    return Service(
        argv=argv,
        env=environments.plain() | env,
        cwd=data,
        log=directory / "logs" / "object-store.log",
        endpoint=object_store_endpoint(
            f"http://{HOST}:{port}",
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            bucket=bucket,
        ),
    )


def object_store_endpoint(
    url: str, *, access_key_id: str, secret_access_key: str, bucket: str, region: str = REGION
) -> Endpoint:
    """Any S3 store, ours or someone else's."""
    settings = {
        "GRAFT_S3_ENDPOINT_URL": url,
        "GRAFT_S3_ACCESS_KEY_ID": access_key_id,
        "GRAFT_S3_SECRET_ACCESS_KEY": secret_access_key,
        "GRAFT_S3_REGION": region,
        "GRAFT_S3_BUCKET": bucket,
    }
    return Endpoint(
        name="object-store",
        url=url,
        settings=settings,
        probe=lambda: _why_not_ready(settings),
    )


def remove_unfinished_uploads(directory: Path) -> None:
    """What an rclone that was killed left on disk, where no S3 call can see it. None must be running."""
    for pattern in (".rclone_temp_*", ".rclone_multipart_upload_*"):
        for path in (directory / "rclone").rglob(pattern):
            path.unlink(missing_ok=True)


def _commands(
    kind: Kind, data: Path, port: int, access_key_id: str, secret_access_key: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    address = f"{HOST}:{port}"
    if kind == "minio":
        return (str(binaries.minio()), "server", "--quiet", "--address", address, str(data)), {
            "MINIO_ROOT_USER": access_key_id,
            "MINIO_ROOT_PASSWORD": secret_access_key,
            "MINIO_BROWSER": "off",  # its console would listen on a port of its own
        }
    command = (str(binaries.rclone()), "serve", "s3", "--addr", address)
    return (*command, "--vfs-cache-mode", "off", str(data)), {
        # The variable is a CSV list of pairs, and a pair has a comma in it: hence the quotes.
        "RCLONE_AUTH_KEY": f'"{access_key_id},{secret_access_key}"',
        "RCLONE_CONFIG": "/dev/null",
    }


def _why_not_ready(settings: dict[str, str]) -> str | None:
    """HEAD the bucket with the credentials, and make it where it is missing."""
    client = boto3.client(
        "s3",
        endpoint_url=settings["GRAFT_S3_ENDPOINT_URL"],
        aws_access_key_id=settings["GRAFT_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        region_name=settings["GRAFT_S3_REGION"],
        config=Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 1},  # we are called again soon
            s3={"addressing_style": "path"},
        ),
    )
    try:
        client.head_bucket(Bucket=settings["GRAFT_S3_BUCKET"])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            return str(error)
        client.create_bucket(Bucket=settings["GRAFT_S3_BUCKET"])
    except BotoCoreError as error:
        return str(error)
    return None
