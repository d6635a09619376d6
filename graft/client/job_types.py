"""One method for each type of job. What is left out of a call has the API's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

from graft.client.datasets import Datasets
from graft.client.job import Job
from graft.client.jobs import Jobs
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
from shared.contracts.transfer import Strategy


class JobTypes:
    """The part of the client that submits jobs. Each method returns at once, with a `Job` to wait for."""

    datasets: Datasets
    jobs: Jobs

    def train(
        self,
        dataset: Table,
        *,
        target: str,
        name: str,
        estimator: Estimator = "auto",
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

        target: the column to predict. features: every other column if left out. estimator: `auto` is logistic for
        classes, linear for numbers. What is left out has the API's default.
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
        column_map: Mapping[str, str] | None = None,
        id_column: str | None = None,
        on_bad_row: Literal["fail", "skip"] | None = None,
        max_error_rate: float | None = None,
        shard_rows: int | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Score every row of a table, or of what lies at an `s3://` URI; `job.outputs` has the scores.

        output: `{"format": "parquet", "columns": "all", "probabilities": True, …}` (docs/batch.md).
        column_map: a column of the table → the model's that it is, as in `fine_tune`.
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
            column_map=column_map,
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

    def _dataset(self, given: Table, options: JobOptions) -> str:
        return self.datasets.id_of(given, on_progress=options.get("on_progress"))

    def _submit(self, type: str, options: JobOptions, **fields: Any) -> Job:
        return self.jobs.submit(body(type, options, **fields), idempotency_key=options.get("idempotency_key"))
