"""The API does what its OpenAPI document says: thousands of generated requests, valid and not, at a running stack."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import KEYS, RunningStack
from tests.support.client import Graft

LEAST_REQUESTS = 5_000

CONFIG = """
continue-on-failure = true
request-timeout = 30.0
seed = 2026

[generation]
max-examples = 40
no-shrink = true
database = "none"

[checks.positive_data_acceptance]
# A document cannot say which datasets and models exist: 422 is an answer to a body that fits its schema.
# 406, 412 and 416 are about headers.
expected-statuses = ["2xx", "302", "304", "400", "401", "403", "404", "409", "412", "413", "415", "422", "429"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "414", "415", "422", "429", "431"]

[dictionaries]
{dictionaries}

[parameters]
{parameters}
"""


@pytest.fixture(scope="module")
def known(fuzzed: Graft) -> dict[str, str | int]:
    """Something of each kind, so that generated requests meet what exists, too."""
    rows = "\n".join(f"{n % 7},{n % 5},{'yes' if n % 3 else 'no'}" for n in range(60))
    dataset = fuzzed.dataset(f"a,b,label\n{rows}\n")
    estimator = {"kind": "logistic_regression", "epochs": 2}
    body = {
        "type": "train",
        "dataset": dataset,
        "target": "label",
        "estimator": estimator,
        "model": {"name": "seed"},
    }
    trained = fuzzed.run(body)
    fuzzed.put("/v1/models/seed/aliases/champion", json={"version": 1}).raise_for_status()
    yearly = {"name": "seed", "cron": "0 3 1 1 *", "paused": True, "job": body}
    schedule = fuzzed.post("/v1/schedules", json=yearly).raise_for_status().json()
    begun = {"name": "seed", "format": "csv", "bytes": 4}
    upload = fuzzed.post("/v1/uploads", json=begun).raise_for_status().json()["id"]
    fuzzed.put(f"/v1/uploads/{upload}/parts/1", content=b"a\n1\n").raise_for_status()
    return {
        "path.dataset_id": dataset,
        "path.upload_id": upload,
        "path.job_id": trained["id"],
        "path.schedule_id": schedule["id"],
        "path.name": "seed",
        "path.alias": "champion",
        "path.ref": "seed@champion",
        "path.number": 1,
        "body.dataset": dataset,
        "body.target": "label",
        "body.base_model": "seed",
    }


@pytest.mark.timeout(600)
def test_generated_requests_are_answered_as_the_document_says(
    stack: RunningStack, known: dict[str, str | int], tmp_path: Path
) -> None:
    names = {parameter: parameter.replace(".", "-").replace("_", "-") for parameter in known}
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        CONFIG.format(
            dictionaries="\n".join(
                f"{names[parameter]} = {{ values = [{json.dumps(value)}] }}"
                for parameter, value in known.items()
            ),
            parameters="\n".join(
                f'"{parameter}" = {{ dictionary = "{name}", probability = 0.5 }}'
                for parameter, name in names.items()
            ),
        )
    )
    report = tmp_path / "report.json"
    command = [
        Path(sys.executable).with_name("st"),
        "--config-file",
        config,
        "run",
        f"{stack.url}/openapi.json",
    ]
    command += ["--header", f"Authorization: Bearer {KEYS['fuzzed']}", "--report-json-path", report]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    generated = re.search(r"(\d+) generated", ran.stdout)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
    assert generated, ran.stdout
    assert int(generated[1]) >= LEAST_REQUESTS
