"""The API's peak memory while a large CSV is uploaded, in one request and in parts, and the speed beside plain boto3's.

    python -m benchmarks.upload [--megabytes 1000] [--rounds 1] [--small 200]

A whole embedded stack is started and the file is streamed to `POST /v1/datasets`, by which it is spooled, checked
cell by cell, hashed and stored; then in parts of 64 MiB (`POST /v1/uploads`), to presigned URLs and through the API.
The baseline is `upload_file` of the same file to the same store, with boto3's own
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
from concurrent.futures import ThreadPoolExecutor
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
    ways = {
        "boto3 upload_file": lambda: put_plainly(stack, table, f"bench/plain-{time.time_ns()}.csv"),
        "POST /v1/datasets": lambda: upload(stack, table, rows),
        "parts to the store": lambda: upload_in_parts(stack, table, rows, direct=True),
        "parts through API": lambda: upload_in_parts(stack, table, rows, direct=False),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    rose: dict[str, int] = {}
    rises, readers = [], []
    highest = {pid: before[pid].peak for pid in processes}
    for _ in range(rounds):
        for way, send in ways.items():
            for pid in processes:
                forget_peak(pid)
            level = {pid: memory(pid).peak for pid in processes}
            seconds[way].append(timed(send))
            rose[way] = max(rose.get(way, 0), *(memory(pid).peak - level[pid] for pid in processes))
            highest = {pid: max(highest[pid], memory(pid).peak) for pid in processes}
            readers.append(max((memory(pid).peak for pid in reading_processes(stack)), default=0))
        rises.append(max(highest[pid] - before[pid].peak for pid in processes))
    after = {pid: memory(pid) for pid in processes}
    if api_processes(stack).keys() != before.keys():
        raise SystemExit("an API process was replaced during the upload: its peak is unknown")

    print(f"\n{'API process':<20} {'peak before':>12} {'peak during':>12} {'more':>8} {'now':>8}   MB")
    for pid, name in processes.items():
        print(
            f"{name:<20} {before[pid].peak / MB:12.1f} {highest[pid] / MB:12.1f} "
            f"{(highest[pid] - before[pid].peak) / MB:+8.1f} {after[pid].now / MB:8.1f}"
        )
    print(f"{'its reader':<20} {'':>12} {max(readers) / MB:12.1f}")
    if not all(fresh):
        print("(the kernel did not let the peaks be reset: `during` includes what came before)")
    if rounds > 1:
        print("more after each round:", *(f"{rise / MB:+.1f}" for rise in rises))
    size = table.stat().st_size / MB
    took = {way: statistics.median(each) for way, each in seconds.items()}
    print(f"\n{'way':<20} {'seconds':>8} {'MB/s':>8} {'time / POST':>12} {'memory, more':>13}   MB")
    for way, median in took.items():
        ratio = median / took["POST /v1/datasets"]
        print(f"{way:<20} {median:8.1f} {size / median:8.1f} {ratio:12.2f} {rose[way] / MB:+13.1f}")
    return max(rises)


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


def upload(stack: Stack, table: Path, rows: int) -> None:
    """As a user does it: the file is the body, sent as it is read."""
    with table.open("rb") as file:
        response = httpx.post(
            f"{stack.plan.api.endpoint.url}/v1/datasets",
            params={"name": "bench"},
            content=iter(lambda: file.read(_CHUNK_BYTES), b""),
            headers=_headers(stack) | {"Content-Length": str(table.stat().st_size)},
            timeout=httpx.Timeout(10, read=900),
        )
    if response.status_code != 201 or response.json()["rows"] != rows:
        raise SystemExit(f"the upload was answered {response.status_code}: {response.text}")


def upload_in_parts(stack: Stack, table: Path, rows: int, *, direct: bool) -> None:
    """Four parts at a time, then the completion. `direct`: to the store, past the API."""
    size = table.stat().st_size
    url = stack.plan.api.endpoint.url
    timeout = httpx.Timeout(10, read=900, write=900)
    with httpx.Client(base_url=url, headers=authorization(stack), timeout=timeout) as client:
        begun = {"name": "bench", "format": "csv", "bytes": size}
        made = client.post("/v1/uploads", json=begun).raise_for_status().json()
        parts = client.get(made["links"]["parts"], params={"limit": 500}).raise_for_status().json()["data"]

        def send(part) -> None:
            target = part["url"] if direct else f"{url}{made['links']['parts']}/{part['number']}"
            headers = {"Content-Length": str(part["bytes"]), **({} if direct else authorization(stack))}
            content = _slice(table, (part["number"] - 1) * made["part_bytes"], part["bytes"])
            httpx.put(target, content=content, headers=headers, timeout=timeout).raise_for_status()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, parts))
        while (done := client.post(made["links"]["complete"], json={}).raise_for_status()).status_code == 202:
            pass
    if done.json()["rows"] != rows:
        raise SystemExit(f"the upload was answered {done.status_code}: {done.text}")


def _slice(table: Path, start: int, size: int) -> Iterator[bytes]:
    with table.open("rb") as file:
        file.seek(start)
        while size > 0:
            chunk = file.read(min(size, _CHUNK_BYTES))
            size -= len(chunk)
            yield chunk


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
