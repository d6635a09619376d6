"""What deploy/kubernetes/keda/ has KEDA read is what /metrics says, found as KEDA finds it: by name and all labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.client import Graft, Json
from tests.support.waiting import eventually

SCALING = Path(__file__).parents[2] / "deploy" / "kubernetes" / "keda" / "scaled-object.yaml"
TRIGGERS = {
    trigger["name"]: trigger["metadata"]["valueLocation"]
    for trigger in next(yaml.safe_load_all(SCALING.read_text()))["spec"]["triggers"]
}


def value(text: str, location: str) -> float:
    """Of the first series with that name and those labels, which must be a gauge: KEDA reads no histogram."""
    name, _, labels = location.partition("{")
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and family.type == "gauge" and wanted.items() <= sample.labels.items()
    )


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_figure_is_there_even_if_nothing_waits(operator: Graft, name: str) -> None:
    assert value(operator.get("/metrics").text, TRIGGERS[name]) >= 0


def test_what_waits_and_what_runs_is_counted(operator: Graft, graft: Graft, endless: Json) -> None:
    jobs = [graft.submit({**endless, "priority": "low"}).json()["id"] for _ in range(6)]
    try:
        eventually(lambda: value(operator.get("/metrics").text, TRIGGERS["running"]) >= 2, 60)
        assert value(operator.get("/metrics").text, TRIGGERS["low"]) >= 4
    finally:
        for job_id in jobs:
            graft.post(f"/v1/jobs/{job_id}/cancel")
        for job_id in jobs:
            graft.ended(job_id)
