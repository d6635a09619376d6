"""The API's peak memory while a large CSV is uploaded, and the upload's speed beside plain boto3's.

    python -m benchmarks.upload [--megabytes 1000] [--rounds 1] [--small 200]

A whole embedded stack is started and the file is streamed to `POST /v1/datasets`, by which it is spooled, checked
cell by cell, hashed and stored. The baseline is `upload_file` of the same file to the same store, with boto3's own
defaults (threads, parts of 8 MiB), which does none of that. Memory is VmHWM, the kernel's own record of each API
process's peak, before the first upload and after the last; of the API's reading children (`shared.confinement`) it
is the highest peak of any. `--small` files of 4 kB are sent one after another, for what an upload costs besides its
bytes. A megabyte is 10^6 bytes. The command fails if the promise is broken. Linux only.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks._clients import authorization
from graft.stack import Stack
from shared import storage

MB = 1_000_000
PROMISE_MB = 100
_ROWS = 10_000
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Memory:
    """Of one process, in bytes."""

    now: int
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1, help="uploads each way; the speed is the median")
    parser.add_argument("--small", type=int, default=200, help="small uploads")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-bench-") as directory:
        table = Path(directory) / "table.csv"
        rows = write_table(table, chosen.megabytes * MB)
        print(f"CSV of {table.stat().st_size / MB:,.0f} MB, {rows:,} rows, 8 columns")
        with running(Path(directory) / "data") as stack:
            raised = compare(stack, table, rows, chosen.rounds)
            small(stack, chosen.small)
    print(f"\nthe peak rose by {raised / MB:.0f} MB (promise: at most {PROMISE_MB} MB)")
    if raised > PROMISE_MB * MB:
        raise SystemExit("the promise is broken")


def write_table(path: Path, size: int) -> int:
    """A CSV of at least `size` bytes, every column type in it; returns its rows."""
    made = random.Random(7)
    lines = [
        f"{n},{made.gauss(0, 1):.6f},{made.gauss(50, 9):.3f},{made.randrange(10**6)},"
        f"{made.choice(('north', 'south', 'east', 'west'))},{made.choice(('true', 'false'))},"
        f'2026-{made.randrange(1, 13):02}-{made.randrange(1, 29):02},"customer, {made.randrange(10**9)}"\n'
        for n in range(_ROWS)
    ]
    block = "".join(lines).encode()
    rows = 0
    with path.open("wb") as file:
        file.write(b"id,score,weight,amount,region,active,day,note\n")
        while file.tell() < size:
            file.write(block)
            rows += _ROWS
    return rows


@contextmanager
def running(directory: Path) -> Iterator[Stack]:
    with Stack(directory, port=0, concurrency=1, say=lambda _: None) as stack:
        stack.start()
        yield stack


def compare(stack: Stack, table: Path, rows: int, rounds: int) -> int:
    """Print memory and speed; return by how many bytes the peak of any API process rose."""
    processes = api_processes(stack)
    before = {pid: memory(pid) for pid in processes}
    fresh = [forget_peak(pid) for pid in processes]
    plain, through, rises, readers = [], [], [], []
    for number in range(rounds):
        plain.append(timed(lambda n=number: put_plainly(stack, table, f"bench/plain-{n}.csv")))
        through.append(timed(lambda n=number: upload(stack, table, rows, f"bench-{n}")))
        readers.append(max((memory(pid).peak for pid in reading_processes(stack)), default=0))
        rises.append(max(memory(pid).peak - before[pid].peak for pid in processes))
    after = {pid: memory(pid) for pid in processes}
    if api_processes(stack).keys() != before.keys():
        raise SystemExit("an API process was replaced during the upload: its peak is unknown")

    print(f"\n{'API process':<20} {'peak before':>12} {'peak during':>12} {'more':>8} {'now':>8}   MB")
    for pid, name in processes.items():
        print(
            f"{name:<20} {before[pid].peak / MB:12.1f} {after[pid].peak / MB:12.1f} "
            f"{(after[pid].peak - before[pid].peak) / MB:+8.1f} {after[pid].now / MB:8.1f}"
        )
    print(f"{'its reader':<20} {'':>12} {max(readers) / MB:12.1f}")
    if not all(fresh):
        print("(the kernel did not let the peaks be reset: `during` includes what came before)")
    if rounds > 1:
        print("more after each round:", *(f"{rise / MB:+.1f}" for rise in rises))
    size = table.stat().st_size / MB
    own, other = size / statistics.median(through), size / statistics.median(plain)
    print(f"\n{'way':<20} {'MB/s':>12}")
    print(f"{'POST /v1/datasets':<20} {own:12.1f}\n{'boto3 upload_file':<20} {other:12.1f}")
    print(f"{'ratio':<20} {own / other:12.2f}")
    return max(after[pid].peak - before[pid].peak for pid in before)


def small(stack: Stack, files: int) -> None:
    """Print what small uploads take, one after another on one connection."""
    body = b"a,b\n" + b"1,2\n" * 1000
    with httpx.Client(base_url=stack.plan.api.endpoint.url, headers=_headers(stack)) as client:
        seconds = sorted(
            timed(
                lambda: client.post("/v1/datasets", params={"name": "small"}, content=body).raise_for_status()
            )
            for _ in range(files)
        )
    print(f"\n{files} uploads of {len(body)} bytes: p50 {seconds[files // 2] * 1e3:.1f} ms")


def upload(stack: Stack, table: Path, rows: int, name: str) -> None:
    """As a user does it: the file is the body, sent as it is read."""
    with table.open("rb") as file:
        response = httpx.post(
            f"{stack.plan.api.endpoint.url}/v1/datasets",
            params={"name": name},
            content=iter(lambda: file.read(_CHUNK_BYTES), b""),
            headers=_headers(stack) | {"Content-Length": str(table.stat().st_size)},
            timeout=httpx.Timeout(10, read=900),
        )
    if response.status_code != 201 or response.json()["rows"] != rows:
        raise SystemExit(f"the upload was answered {response.status_code}: {response.text}")


def _headers(stack: Stack) -> dict[str, str]:
    return {**authorization(stack), "Content-Type": "text/csv"}


def put_plainly(stack: Stack, table: Path, key: str) -> None:
    store = stack.plan.object_store
    settings = getattr(store, "endpoint", store).settings
    client = storage.connect(
        endpoint_url=settings["GRAFT_S3_ENDPOINT_URL"],
        access_key_id=settings["GRAFT_S3_ACCESS_KEY_ID"],
        secret_access_key=settings["GRAFT_S3_SECRET_ACCESS_KEY"],
        region=settings["GRAFT_S3_REGION"],
    )
    client.upload_file(str(table), settings["GRAFT_S3_BUCKET"], key)


def timed(step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def api_processes(stack: Stack) -> dict[int, str]:
    """gunicorn's master and its workers, by pid."""
    master = psutil.Process(stack.servers["api"].pid)
    workers = [child.pid for child in master.children()]
    return {master.pid: "master", **{pid: f"worker {n}" for n, pid in enumerate(sorted(workers), 1)}}


def reading_processes(stack: Stack) -> list[int]:
    """The children that read tables, and what they are forked from."""
    return [
        below.pid
        for pid in api_processes(stack)
        if pid != stack.servers["api"].pid
        for below in psutil.Process(pid).children(recursive=True)
    ]


def memory(pid: int) -> Memory:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Memory(now=_bytes(fields["VmRSS"]), peak=_bytes(fields["VmHWM"]))


def forget_peak(pid: int) -> bool:
    """Let VmHWM begin anew at the present size; False where that is not permitted."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _bytes(text: str) -> int:
    return int(text.removesuffix("kB")) * 1024


if __name__ == "__main__":
    main()
