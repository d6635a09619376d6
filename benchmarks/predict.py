"""Online prediction beside a bare Flask app that calls the same model, and beside the call alone, in turn.

    python -m benchmarks.predict [--rounds 5] [--seconds 1] [--rows 1,1000]
                                 [--kinds logistic_regression,neural_network,random_forest,gradient_boosting]

A whole embedded stack is started, and trains one model of each kind on 569 rows of 30 columns (scikit-learn's breast
cancer data). The bare app (`benchmarks._api.bare_predict`) has loaded the same artifact with joblib and is served by
gunicorn with the same settings. One connection asks in a closed loop; every answer is checked for its status. Rounds go
in turn; figures are medians of the rounds' medians.

    call     `model.predict(batch)` alone, in this process, on a batch that is there already
    bare     the bare app: JSON in, Arrow, `model.predict`, JSON out
    Graft    POST /v1/models/{name}/predict: the key, the version, the schema of each cell, and the counters besides
    over     milliseconds that Graft takes beyond the call; of one row it should be below 3
    ratio    Graft's time to the bare app's
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import joblib
import pyarrow as pa
from sklearn import datasets
from threadpoolctl import threadpool_limits

from benchmarks._api import load
from benchmarks._api.serving import served
from benchmarks._clients import authorization
from graft.stack import Stack

KINDS = ("logistic_regression", "neural_network", "random_forest", "gradient_boosting")
LIMIT_MS = 3.0
BARE = "benchmarks._api.bare_predict:create_app()"


def main() -> None:
    chosen = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="graft-bench-") as directory,
        Stack(Path(directory) / "data", port=0, concurrency=1, say=lambda _: None) as stack,
    ):
        stack.start()
        url, headers = stack.plan.api.endpoint.url, authorization(stack)
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            table, rows = _table()
            uploaded = _uploaded(client, table)
            for kind in chosen.kinds:
                _train(client, uploaded, kind)
            stack.servers["worker"].stop()
            print(
                f"\n{'':<22}{'rows':>6}{'call ms':>10}{'bare ms':>10}{'Graft ms':>10}{'over':>8}{'ratio':>8}"
            )
            for kind in chosen.kinds:
                artifact = Path(directory) / f"{kind}.joblib"
                _download(client, kind, artifact)
                with served(
                    "benchmarks._api.bare_predict:create_app()", ready="/predict", BARE_MODEL=str(artifact)
                ) as bare_url:
                    for count in chosen.rows:
                        body = [rows[n % len(rows)] for n in range(count)]
                        _compare(
                            chosen, kind, artifact, body, bare_url, f"{url}/v1/models/{_name(kind)}", headers
                        )


def _compare(
    chosen: argparse.Namespace,
    kind: str,
    artifact: Path,
    rows: list[dict[str, float]],
    bare_url: str,
    graft_url: str,
    headers: dict[str, str],
) -> None:
    model, batch = joblib.load(artifact), pa.RecordBatch.from_pylist(rows)
    body = json.dumps({"rows": rows}).encode()
    sides: dict[str, Callable[[], float]] = {
        "call": lambda: _called(model, batch, chosen.seconds),
        "bare": lambda: _asked(f"{bare_url}/predict", body, {}, chosen.seconds),
        "Graft": lambda: _asked(f"{graft_url}/predict", body, headers, chosen.seconds),
    }
    sent = {"content": body, "headers": {**headers, "Content-Type": "application/json"}, "timeout": 60}
    for _ in range(10):  # each of the processes behind an address loads the model once
        httpx.post(f"{graft_url}/predict", **sent).raise_for_status()
        httpx.post(f"{bare_url}/predict", **sent).raise_for_status()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(chosen.rounds):
        for name, measure in sides.items():
            measured[name].append(measure() * 1000)
    call, bare, ours = (statistics.median(found) for found in measured.values())
    late = "" if len(rows) > 1 or ours - call <= LIMIT_MS else f"  more than {LIMIT_MS} ms over"
    print(
        f"{kind:<22}{len(rows):>6}{call:10.2f}{bare:10.2f}{ours:10.2f}{ours - call:8.2f}{ours / bare:8.2f}{late}",
        flush=True,
    )


def _called(model: Any, batch: pa.RecordBatch, seconds: float) -> float:
    """Median seconds of the call, in one thread as the servers have it."""
    taken: list[float] = []
    with threadpool_limits(1):
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends or len(taken) < 5:
            started = time.perf_counter()
            model.predict(batch)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _asked(url: str, body: bytes, headers: dict[str, str], seconds: float) -> float:
    """Median seconds of a request on one connection."""
    parts = urlsplit(url)
    content = load.request(
        "POST",
        parts.path,
        host=parts.netloc,
        headers={**headers, "Content-Type": "application/json"},
        body=body,
    )
    address = (parts.hostname or "", parts.port or 80)
    return statistics.median(
        load.drive(address, content, connections=1, seconds=seconds, status=200).latencies
    )


def _table() -> tuple[str, list[dict[str, float]]]:
    """As CSV with its label, and as rows without."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    names = [f"f{n}" for n in range(X.shape[1])]
    lines = [",".join([*map(repr, map(float, row)), f"c{label}"]) for row, label in zip(X, y, strict=True)]
    rows = [dict(zip(names, map(float, row), strict=True)) for row in X]
    return "\n".join([",".join([*names, "label"]), *lines]), rows


def _uploaded(client: httpx.Client, table: str) -> str:
    answer = client.post(
        "/v1/datasets", params={"name": "t"}, content=table, headers={"Content-Type": "text/csv"}
    )
    return str(answer.raise_for_status().json()["id"])


def _name(kind: str) -> str:
    return kind.replace("_", "-")


def _train(client: httpx.Client, dataset: str, kind: str) -> None:
    body = {
        "type": "train",
        "dataset": dataset,
        "target": "label",
        "estimator": {"kind": kind},
        "model": {"name": _name(kind)},
    }
    job = client.post("/v1/jobs", json=body).raise_for_status().json()
    while job["status"] in {"queued", "running"}:
        job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 10}).json()
    if job["status"] != "succeeded":
        raise SystemExit(f"training {kind}: {job['error']}")


def _download(client: httpx.Client, kind: str, path: Path) -> None:
    link = client.get(f"/v1/models/{_name(kind)}/versions/1/artifact").headers["Location"]
    path.write_bytes(httpx.get(link).raise_for_status().content)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rows", type=lambda text: [int(n) for n in text.split(",")], default=[1, 1000])
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
