"""Every method of the client against a running stack: it sends its own operation, and reads every field of the answer.

The walk goes through a project of its own from its first dataset to its last deletion. What was really sent and
really answered is then held to the client's source and to the OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

import graft
from graft.client.loading import LoadedModel
from graft.client.sources import opened
from graft.stack import Endpoint, RunningServer
from tests.e2e import tables
from tests.e2e.conftest import KEYS, MADE_KEYS, USER_BUCKET, RunningStack, running_stack
from tests.e2e.test_datasets import s3
from tests.support import client_methods, routes
from tests.support.client import CSV, written
from tests.support.client_recording import NAMES, Recording
from tests.support.receiver import receiver
from tests.support.waiting import eventually

SENDERS = dict(client_methods.senders())
#: Answers that are not JSON of a contract.
NO_RECORD = {
    "GET /healthz": "two words",
    "GET /readyz": "Readiness is the client's own",
    "GET /metrics": "text of Prometheus",
    "GET /v1/models/{name}/versions/{number}/artifact": "a redirection to the file",
    "GET /v1/models/{name}/versions/{number}/export": "a file",
    "GET /v1/models/{name}/versions/{number}/report": "any object: docs/report.md",
}


@pytest.fixture(scope="module")
def hooked(
    tmp_path_factory: pytest.TempPathFactory, object_store: RunningServer | Endpoint
) -> Iterator[RunningStack]:
    """A stack that may call a webhook on this machine."""
    settings = {"GRAFT_WEBHOOK_ALLOW_PRIVATE": "true", "GRAFT_WEBHOOK_ALLOW_HTTP": "true"}
    with running_stack(tmp_path_factory.mktemp("walked"), object_store, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def walked(hooked: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """All of it, once."""
    with graft.Client(hooked.url, KEYS["default"]) as client:
        recording = Recording(client)
        folder = tmp_path_factory.mktemp("walk")
        _datasets_and_uploads(client, recording.of, folder, hooked)
        _jobs(client, recording.of, folder)
        _models(client, recording.of, folder, signing_key(hooked))
        _schedules(client, recording.of)
        _keys_and_webhooks(client, recording.of)
        _service(client, recording.of)
        _deletions(client, recording.of)
    return recording


Of = Callable[[str, Callable[[], Any]], Any]


def signing_key(stack: RunningStack) -> str:
    """The key that the stack signs with, which its owner can read."""
    found: str = json.loads((stack.directory / "credentials.json").read_text())["signing_key"]
    return found


def _datasets_and_uploads(client: graft.Client, of: Of, folder: Path, stack: RunningStack) -> None:
    csv = folder / "iris.csv"
    csv.write_bytes(written(tables.iris(), CSV))
    made = of("client.datasets.upload", lambda: client.datasets.upload(csv))
    of("client.upload", lambda: client.upload(csv, name="again"))
    with opened(csv, name="by hand") as table:
        of("client.datasets.create", lambda: client.datasets.create(table))
    s3(stack.store.settings).put_object(Bucket=USER_BUCKET, Key="walk/iris.csv", Body=csv.read_bytes())
    of(
        "client.datasets.register",
        lambda: client.datasets.register(f"s3://{USER_BUCKET}/walk/iris.csv", name="lying there"),
    )
    assert len(of("client.datasets.list", client.datasets.list)) == 4
    assert of("client.datasets.get", lambda: client.datasets.get(made.id)) == made
    assert len(of("client.datasets.preview", lambda: client.datasets.preview(made.id)).rows) == 20
    of(
        "client.datasets.lineage",
        lambda: client.datasets.lineage(made.id, direction="down", depth=3, limit=9),
    )
    assert of("client.datasets.id_of", lambda: client.datasets.id_of(made)) == made.id

    uploads, size = client.uploads, csv.stat().st_size
    begun = of("client.uploads.create", lambda: uploads.create(name="parts", format="csv", size=size))
    of("client.uploads.put_part", lambda: uploads.put_part(begun.id, 1, csv.read_bytes()))
    assert [part.received for part in of("client.uploads.parts", lambda: uploads.parts(begun.id))] == [True]
    assert of("client.uploads.get", lambda: uploads.get(begun.id)).missing == []
    assert of(
        "client.uploads.complete", lambda: uploads.complete(begun.id, wait=0.1) or uploads.completed(begun.id)
    )
    assert of("client.uploads.completed", lambda: uploads.completed(begun.id)).rows == 150
    with opened(csv) as table:
        assert of("client.uploads.send", lambda: uploads.send(table)).rows == 150
    assert of("client.uploads.list", uploads.list)
    of("client.uploads.delete", lambda: uploads.delete(begun.id))


def _jobs(client: graft.Client, of: Of, folder: Path) -> None:
    trained: graft.Job = of(
        "client.train", lambda: client.train(folder / "iris.csv", target="label", name="walk")
    )
    assert of("job.wait", lambda: trained.wait(timeout=120)) is trained
    assert trained.model == "walk:1"
    for attribute in (
        "id",
        "type",
        "status",
        "created_at",
        "has_ended",
        "progress",
        "error",
        "warnings",
        "usage",
    ):
        of(f"job.{attribute}", lambda attribute=attribute: getattr(trained, attribute))
    assert of("job.result", lambda: trained.result)["metrics"]["accuracy"] > 0.8
    assert of("job.report", lambda: trained.report) is None
    assert of("job.model", lambda: trained.model) == "walk:1"
    assert of("job.to_dict", trained.to_dict)["id"] == trained.id
    assert of("job.raise_for_status", trained.raise_for_status) is trained
    of("job.refresh", trained.refresh)
    of("job.hold", lambda: trained.hold(0.1))
    assert [event.event for event in of("job.events", trained.events)][-1] == "succeeded"
    of("job.logs", trained.logs)
    jobs = client.jobs
    assert of("client.jobs.events", lambda: jobs.events(trained.id, follow=True))
    assert of("client.jobs.stream", lambda: jobs.stream(trained.id))
    of("client.jobs.logs", lambda: jobs.logs(trained.id))
    assert of("client.jobs.get", lambda: jobs.get(trained.id)).record == trained.record
    assert of("client.jobs.list", lambda: jobs.list(type="train", model="walk"))[0].id == trained.id
    assert of("client.jobs.deliveries", lambda: jobs.deliveries(trained.id)) == []

    iris = client.datasets.upload(tables.iris(), name="iris")
    body = {"type": "evaluate", "model": "walk", "dataset": iris.id}
    of("client.jobs.submit", lambda: jobs.submit(body, wait=1)).wait(timeout=120)
    scored = of("client.batch_predict", lambda: client.batch_predict("walk", iris)).wait(timeout=120)
    assert of("client.jobs.output", lambda: jobs.output(scored.id)).rows == 150
    outputs = of("client.jobs.outputs", lambda: jobs.outputs(scored.id))
    assert of("job.outputs", lambda: scored.outputs).rows == 150
    assert (
        of("outputs.rows", lambda: outputs.rows),
        of("outputs.failed_rows", lambda: outputs.failed_rows),
    ) == (150, 0)
    assert of("outputs.to_arrow", outputs.to_arrow).num_rows == len(
        of("outputs.to_pandas", outputs.to_pandas)
    )
    assert of("outputs.format", lambda: outputs.format) == "parquet"
    assert of("outputs.download", lambda: outputs.download(folder / "scored.parquet"))
    assert of("outputs.download_errors", lambda: outputs.download_errors(folder / "bad.jsonl")).exists()
    running = [
        of(
            "client.fine_tune",
            lambda: client.fine_tune(
                "walk:1", iris, target="label", name="tuned", strategy="stack", refit=True
            ),
        ),
        of("client.evaluate", lambda: client.evaluate("walk", iris, target="label")),
        of("client.shift_report", lambda: client.shift_report(iris, model="walk", target="label")),
        of(
            "client.rank_sources",
            lambda: client.rank_sources(tables.iris().slice(0, 120), target="label", limit=1),
        ),
    ]
    for job in running:
        job.wait(timeout=300)
        assert job.report, job

    endless = {"kind": "neural_network", "epochs": 100_000, "hidden_layers": [256], "learning_rate": 1e-6}
    digits = tables.digits(slice(0, 1500))
    stopped = client.train(digits, target="label", name="endless", estimator=endless)
    of("client.jobs.cancel", lambda: jobs.cancel(stopped.id))
    with pytest.raises(graft.JobCancelled):
        stopped.wait(timeout=60)
    again = of("client.jobs.retry", lambda: jobs.retry(stopped.id))
    assert of("job.cancel", again.cancel).record.parent == stopped.id
    once_more = of("job.retry", again.wait(timeout=60, check=False).retry)
    once_more.cancel().wait(timeout=60, check=False)


def _models(client: graft.Client, of: Of, folder: Path, key: str) -> None:
    models, rows = client.models, tables.iris().slice(0, 3).drop_columns("label")
    client.train(folder / "iris.csv", target="label", name="walk", estimator="random_forest").wait(
        timeout=120
    )
    assert [model.name for model in of("client.models.list", lambda: models.list(task="classification"))] == [
        "tuned",
        "walk",
    ]
    model: graft.Model = of("client.models.get", lambda: models.get("walk"))
    assert of("model.refresh", model.refresh) is model
    assert (
        of("model.name", lambda: model.name),
        of("model.latest_version", lambda: model.latest_version),
    ) == ("walk", 2)
    assert of("client.models.update", lambda: models.update("walk", tags={"a": "b"})).record.tags == {
        "a": "b"
    }
    assert of("model.update", lambda: model.update(description="flowers")).record.description == "flowers"
    of("model.to_dict", model.to_dict)
    assert [version.version for version in of("model.versions", model.versions)] == [2, 1]
    assert of("model.version", lambda: model.version(1)).ref == "walk:1"

    aliases = models.aliases
    alias = of("client.models.aliases.set", lambda: aliases.set("walk", "live", 1, if_none_match="*"))
    assert of("client.models.aliases.get", lambda: aliases.get("walk", "live")) == alias
    of("model.set_alias", lambda: model.set_alias("live", 2, if_match=alias.etag))
    assert of("model.rollback", lambda: model.rollback("live")).version == 1
    assert len(of("model.history", lambda: model.history("live"))) == 3
    version = models["walk:2"]
    of("version.set_alias", lambda: version.set_alias("live"))
    assert of("version.refresh", version.refresh).aliases == ["live"]
    assert of("client.models.aliases.rollback", lambda: aliases.rollback("walk", "live")).version == 1
    assert of("client.models.aliases.history", lambda: aliases.history("walk", "live"))
    assert of("model.aliases", lambda: model.refresh().aliases) == {"live": 1}
    assert of("client.models.version", lambda: models.version("walk@live")).ref == "walk:1"
    of("client.models.aliases.delete", lambda: aliases.delete("walk", "live"))
    model.set_alias("gone", 1)
    of("model.delete_alias", lambda: model.delete_alias("gone"))

    told = of("client.models.predict", lambda: models.predict("walk:2", rows, probabilities=True))
    assert of("model.predict", lambda: model.predict(rows.to_pylist())).predictions == told.predictions
    assert of("version.predict", lambda: version.predict(rows.to_pandas())).predictions == told.predictions
    loaded: LoadedModel = of("version.load", lambda: version.load(signing_key=key))
    assert of("loaded.predict", lambda: loaded.predict(rows)).tolist() == told.predictions
    assert of("loaded.predict_proba", lambda: loaded.predict_proba(rows)).tolist() == told.probabilities
    assert of("loaded.classes", lambda: loaded.classes) == told.classes
    versions = models.versions
    assert of("client.models.versions.load", lambda: versions.load("walk", 1, signing_key=key))
    assert of("client.models.versions.artifact", lambda: versions.artifact("walk", 1))
    for attribute in ("name", "version", "ref", "metrics", "aliases", "verdict"):
        of(f"version.{attribute}", lambda attribute=attribute: getattr(version, attribute))
    of("version.to_dict", version.to_dict)
    assert of("version.update", lambda: version.update(description="trees")).record.description == "trees"
    assert of(
        "client.models.versions.update", lambda: versions.update("walk", 1, tags={"x": "y"})
    ).record.tags
    assert len(of("client.models.versions.list", lambda: versions.list("walk"))) == 2
    assert of("client.models.versions.get", lambda: versions.get("walk", 1)).version == 1
    assert of("client.models.compare", lambda: models.compare("walk:1", "walk:2")).versions
    assert (
        of("version.compare", lambda: version.compare("walk:1", models["tuned"])).versions[0].ref == "walk:2"
    )
    assert of("version.lineage", version.lineage).root == "walk:2"
    assert of("client.models.versions.lineage", lambda: versions.lineage("walk", 1, depth=2)).root == "walk:1"
    assert of("version.drift", lambda: version.drift("1h")).window == "1h"
    assert of("client.models.versions.drift", lambda: versions.drift("walk", 1)).window == "24h"
    assert of("version.card", lambda: version.card).startswith("# walk, version 2")
    assert of("version.export", lambda: version.export("skops", folder / "walk.skops"))
    assert of("client.models.versions.export", lambda: versions.export("walk", 1))
    assert of("version.report", lambda: models["tuned"].report)["verdict"]
    page = of("client.models.versions.report", lambda: versions.report("tuned", 1, as_html=True))
    assert "<html" in page


def _schedules(client: graft.Client, of: Of) -> None:
    schedules = client.schedules
    dataset = next(iter(client.datasets.list()))
    job = {"type": "evaluate", "model": "walk:1", "dataset": dataset.id}
    until = datetime.now(UTC) + timedelta(days=900)
    made = of(
        "client.schedules.create",
        lambda: schedules.create("yearly", "0 3 1 1 *", job, end=until, paused=True),
    )
    assert of("client.schedules.get", lambda: schedules.get(made.id)) == made
    assert [found.id for found in of("client.schedules.list", schedules.list)] == [made.id]
    changed = of(
        "client.schedules.update", lambda: schedules.update(made.id, if_match=made.etag, end=None, name="y")
    )
    assert (changed.end, changed.name) == (None, "y")
    assert of("client.schedules.resume", lambda: schedules.resume(made.id)).next_run_at
    assert of("client.schedules.pause", lambda: schedules.pause(made.id)).paused
    ran = of("client.schedules.run", lambda: schedules.run(made.id)).wait(timeout=120)
    assert ran.record.schedule == made.id
    occurrences = of("client.schedules.occurrences", lambda: schedules.occurrences(made.id))
    assert [occurrence.job for occurrence in occurrences] == [ran.id]
    of("client.schedules.delete", lambda: schedules.delete(made.id))


def _keys_and_webhooks(client: graft.Client, of: Of) -> None:
    keys, webhooks = client.keys, client.webhooks
    made = of("client.keys.create", lambda: keys.create(["read"], name="walker"))
    MADE_KEYS.append(made.key)
    MADE_KEYS.append(of("client.keys.rotate", lambda: keys.rotate(made.id, overlap_seconds=5)).key)
    assert [key.id for key in of("client.keys.list", keys.list)] == [made.id]
    of("client.keys.revoke", lambda: keys.revoke(made.id))

    with receiver() as hook:
        webhook = of("client.webhooks.create", lambda: webhooks.create(hook.url, ["job.succeeded"]))
        assert of("client.webhooks.get", lambda: webhooks.get(webhook.id)).url == hook.url
        assert len(of("client.webhooks.list", webhooks.list)) == 1
        of("client.webhooks.update", lambda: webhooks.update(webhook.id, description="told"))
        of("client.webhooks.rotate", lambda: webhooks.rotate(webhook.id, overlap_seconds=1))
        test = of("client.webhooks.test", lambda: webhooks.test(webhook.id))
        eventually(lambda: next(iter(webhooks.deliveries(webhook.id))).status == "succeeded")
        of("client.webhooks.deliveries", lambda: webhooks.deliveries(webhook.id))
        of("client.webhooks.replay", lambda: webhooks.replay(webhook.id, test.id))
        since = datetime.now(UTC) - timedelta(hours=1)
        of("client.webhooks.replay_since", lambda: webhooks.replay_since(webhook.id, since))
        of("client.webhooks.delete", lambda: webhooks.delete(webhook.id))
    of("client.webhooks.job_secret", webhooks.job_secret)
    of("client.webhooks.rotate_job_secret", lambda: webhooks.rotate_job_secret(overlap_seconds=0))


def _service(client: graft.Client, of: Of) -> None:
    assert of("client.service.healthy", client.service.healthy)
    assert of("client.healthy", client.healthy)
    assert of("client.service.ready", client.service.ready).is_ready
    assert of("client.ready", client.ready).checks == {"redis": "ok", "store": "ok", "worker": "ok"}
    assert "graft_" in of("client.service.metrics", client.service.metrics)
    assert "graft_" in of("client.metrics", client.metrics)
    today = datetime.now(UTC).date()
    assert of("client.service.usage", lambda: client.service.usage(today, today)).total.requests
    assert (
        of("client.usage", client.usage).project == of("client.project", lambda: client.project) == "default"
    )


def _deletions(client: graft.Client, of: Of) -> None:
    versions = client.models.versions
    of("client.models.versions.delete", lambda: versions.delete("walk", 1))
    client.train(tables.iris(), target="label", name="walk").wait(timeout=120)
    of("version.delete", client.models["walk:2"].delete)
    of("model.delete", client.models.get("walk").delete)
    of("client.models.delete", lambda: client.models.delete("tuned"))
    assert list(client.models.list()) == []
    dataset = next(iter(client.datasets.list()))
    of("client.datasets.delete", lambda: client.datasets.delete(dataset.id))
    of("client.close", client.close)


def test_every_method_was_called(walked: Recording) -> None:
    assert set(walked.sent) == set(NAMES)


@pytest.mark.parametrize("operation", sorted(SENDERS))
def test_a_method_really_sends_the_operation_that_stands_in_it(walked: Recording, operation: str) -> None:
    assert set(walked.sent[SENDERS[operation]]) == {operation}


def test_what_is_made_of_other_methods_sends_what_these_send(walked: Recording) -> None:
    everything = {operation for sent in walked.sent.values() for operation in sent}
    assert everything == set(SENDERS)


def test_no_answer_has_a_field_that_the_client_leaves_out(walked: Recording) -> None:
    assert not walked.unknown_fields


@pytest.mark.parametrize("operation", sorted(SENDERS))
def test_answers_are_read_as_what_the_document_says_that_they_are(walked: Recording, operation: str) -> None:
    method, _, path = operation.partition(" ")
    schemas = _answers(routes.document()["paths"][path][method.lower()])
    if operation in NO_RECORD:
        assert not schemas
        return
    if not schemas:
        assert operation not in walked.kinds
        return
    kind = walked.kinds[operation]
    described = TypeAdapter(_contract(kind)).json_schema(mode="validation")
    for schema in schemas:
        assert _shape(schema, routes.document()) == _shape(described, described), kind


def _answers(operation: dict[str, Any]) -> list[dict[str, Any]]:
    contents = [
        answer["content"]["application/json"]["schema"]
        for status, answer in operation["responses"].items()
        if status[0] == "2" and "application/json" in answer.get("content", {})
    ]
    return [schema for schema in contents if "$ref" in schema]


def _contract(kind: type[BaseModel]) -> type[BaseModel]:
    """The server's own: the client's Alias and Schedule are that and an ETag."""
    return kind if kind.__module__.startswith("shared.contracts") else kind.__mro__[1]


def _shape(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """A schema without its words: fields, what each holds, what is required."""
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    kept = {name: schema[name] for name in ("type", "enum", "const", "format") if name in schema}
    kept["required"] = sorted(schema.get("required", ()))
    kept["properties"] = {name: _shape(part, document) for name, part in schema.get("properties", {}).items()}
    kept["anyOf"] = [_shape(part, document) for part in schema.get("anyOf", ())]
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            kept[name] = _shape(schema[name], document)
    return kept
