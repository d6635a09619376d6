"""The client: where the parts come together, and one method for each type of job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Unpack

from graft.client import address
from graft.client.datasets import Datasets
from graft.client.job import Job
from graft.client.jobs import Jobs
from graft.client.keys import Keys
from graft.client.models import Models
from graft.client.retrying import RETRIES
from graft.client.schedules import Schedules
from graft.client.service import Readiness, Service
from graft.client.sources import OnProgress, Source
from graft.client.submitting import (
    Estimator,
    JobOptions,
    ModelLike,
    Table,
    Task,
    body,
    estimator_body,
    ref,
    target_model,
)
from graft.client.transport import Transport
from graft.client.uploads import Uploads
from graft.client.webhooks import Webhooks
from shared.contracts.datasets import Dataset
from shared.contracts.tables import Format
from shared.contracts.transfer import Strategy
from shared.contracts.usage import UsageReport

TIMEOUT_SECONDS = 30.0


class Client:
    """Speaks with one API, with one key. Safe to share between threads; a context manager.

        client = graft.Client()                                   # GRAFT_URL, GRAFT_API_KEY, or the local stack's
        job = client.train("churn.csv", target="churned", name="churn").wait(progress=True)
        client.models["churn"].predict([{"age": 41, "plan": "basic"}]).predictions

    `datasets`, `jobs`, `models`, `schedules`, `uploads`, `webhooks` and `keys` have a method for each request of the
    API. All errors are below `graft.GraftError` (`graft.client.errors`).
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        """url, key: else GRAFT_URL and GRAFT_API_KEY, else http://127.0.0.1:8000 and the key that `graft up` keeps in
        this folder. timeout: seconds without a byte from the server. retries: how often a call is made again
        (`graft.client.retrying`). Nothing is sent yet. Raises BadSettings.
        """
        self.url = address.find_url(url)
        self._api = Transport(self.url, address.find_key(key, self.url), timeout=timeout, retries=retries)
        self.service = Service(self._api)
        self.uploads = Uploads(self._api)
        self.datasets = Datasets(self._api, self.uploads)
        self.jobs = Jobs(self._api)
        self.models = Models(self._api, lambda: self.project)
        self.schedules = Schedules(self._api, self.jobs)
        self.keys = Keys(self._api)
        self.webhooks = Webhooks(self._api)

    def __repr__(self) -> str:
        return f"<graft.Client of {self.url}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client is of no use then."""
        self._api.close()

    @cached_property
    def project(self) -> str:
        """The one that the key belongs to."""
        return self.usage().project

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        format: Format | None = None,
        part_bytes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Dataset:
        """As `client.datasets.upload`."""
        return self.datasets.upload(
            source, name=name, format=format, part_bytes=part_bytes, on_progress=on_progress
        )

    def train(
        self,
        dataset: Table,
        *,
        target: str,
        name: str,
        estimator: Estimator = "logistic_regression",
        features: Sequence[str] | None = None,
        task: Task | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        seed: int | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Fit a model on a table and publish it as the next version of `name`.

        target: the column to predict. features: every other column if left out. What is left out has the API's default.
        """
        return self._submit(
            "train",
            options,
            dataset=self._dataset(dataset, options),
            target=target,
            features=features and list(features),
            task=task,
            estimator=estimator_body(estimator),
            preprocessing=preprocessing,
            evaluation=evaluation,
            seed=seed,
            model=target_model(name, description, tags),
        )

    def fine_tune(
        self,
        base_model: ModelLike,
        dataset: Table,
        *,
        target: str,
        name: str,
        strategy: Strategy | None = None,
        evaluation: Mapping[str, Any] | None = None,
        refit: bool | None = None,
        column_map: Mapping[str, str] | None = None,
        label_map: Mapping[str, Any] | None = None,
        seed: int | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Move a version to a labelled table, and say whether that helped (`job.report`, docs/report.md)."""
        return self._submit(
            "fine_tune",
            options,
            base_model=ref(base_model),
            dataset=self._dataset(dataset, options),
            target=target,
            strategy=strategy,
            evaluation=evaluation,
            refit=refit,
            column_map=column_map,
            label_map=label_map,
            seed=seed,
            model=target_model(name, description, tags),
        )

    def batch_predict(
        self,
        model: ModelLike,
        dataset: Table | None = None,
        *,
        uri: str | None = None,
        input_format: Literal["auto", "csv", "parquet", "jsonl"] | None = None,
        output: Mapping[str, Any] | None = None,
        id_column: str | None = None,
        on_bad_row: Literal["fail", "skip"] | None = None,
        max_error_rate: float | None = None,
        shard_rows: int | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Score every row of a table, or of what lies at an `s3://` URI; `job.outputs` has the scores.

        output: `{"format": "parquet", "columns": "all", "probabilities": True, …}` (docs/batch.md).
        """
        given: dict[str, Any] = {"uri": uri, "format": input_format}
        if dataset is not None:
            given["dataset"] = self._dataset(dataset, options)
        return self._submit(
            "batch_predict",
            options,
            model=ref(model),
            input={field: value for field, value in given.items() if value is not None},
            output=output,
            id_column=id_column,
            on_bad_row=on_bad_row,
            max_error_rate=max_error_rate,
            shard_rows=shard_rows,
        )

    def evaluate(
        self,
        model: ModelLike,
        dataset: Table,
        *,
        target: str | None = None,
        column_map: Mapping[str, str] | None = None,
        label_map: Mapping[str, Any] | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Measure a version on a labelled table. target: the model's own if left out."""
        return self._submit(
            "evaluate",
            options,
            model=ref(model),
            dataset=self._dataset(dataset, options),
            target=target,
            column_map=column_map,
            label_map=label_map,
        )

    def shift_report(
        self,
        dataset: Table,
        *,
        model: ModelLike | None = None,
        source: Table | None = None,
        target: str | None = None,
        column_map: Mapping[str, str] | None = None,
        label_map: Mapping[str, Any] | None = None,
        seed: int | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Say how a table differs from what `model` was trained on, or from another table, `source`."""
        return self._submit(
            "shift_report",
            options,
            dataset=self._dataset(dataset, options),
            model=None if model is None else ref(model),
            source=None if source is None else self._dataset(source, options),
            target=target,
            column_map=column_map,
            label_map=label_map,
            seed=seed,
        )

    def rank_sources(
        self,
        dataset: Table,
        *,
        target: str,
        task: Task | None = None,
        candidates: Sequence[ModelLike] | None = None,
        limit: int | None = None,
        seed: int | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Rank models by how well they would serve a labelled table. candidates: all models if left out."""
        return self._submit(
            "rank_sources",
            options,
            dataset=self._dataset(dataset, options),
            target=target,
            task=task,
            candidates=None if candidates is None else [ref(model) for model in candidates],
            limit=limit,
            seed=seed,
        )

    def usage(self, first: date | None = None, last: date | None = None) -> UsageReport:
        """What the project has used, by the day: the last 30 days, or from `first` to `last`, both included."""
        return self.service.usage(first, last)

    def healthy(self) -> bool:
        """Whether the API is there at all."""
        return self.service.healthy()

    def ready(self) -> Readiness:
        """Whether jobs can be accepted and run, and if not, what is away."""
        return self.service.ready()

    def metrics(self) -> str:
        """The API's metrics, in the text format of Prometheus. Needs the scope `admin`."""
        return self.service.metrics()

    def _dataset(self, given: Table, options: JobOptions) -> str:
        return self.datasets.id_of(given, on_progress=options.get("on_progress"))

    def _submit(self, type: str, options: JobOptions, **fields: Any) -> Job:
        return self.jobs.submit(body(type, options, **fields), idempotency_key=options.get("idempotency_key"))
