"""Jobs: what may be asked for, and what is told about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, RootModel, model_validator

from shared.contracts.base import Body, Page, Record, Time
from shared.contracts.job_fields import ColumnName, DatasetId, JobBody, ModelRef, ModelTarget, S3Uri, Seed
from shared.contracts.specs import EstimatorSpec, EvaluationSpec, PreprocessingSpec, refusal
from shared.contracts.tables import Format
from shared.contracts.transfer import ColumnMap, EvaluateBody, FineTuneBody, RankSourcesBody, ShiftReportBody
from shared.queue import Priority
from shared.states import JobState

JobType = Literal["train", "fine_tune", "batch_predict", "evaluate", "shift_report", "rank_sources"]


class TrainBody(JobBody):
    """Fit a model on a dataset and publish it as the next version of `model.name`."""

    type: Literal["train"]
    dataset: DatasetId
    target: ColumnName
    features: Annotated[list[ColumnName], Field(min_length=1, max_length=10_000)] | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    estimator: EstimatorSpec
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Seed = 42
    model: ModelTarget


class BatchInput(Body):
    """A dataset, or objects that are already in the store."""

    dataset: DatasetId | None = None
    uri: S3Uri | None = None
    format: Literal["auto", Format] = "auto"

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.dataset is None) == (self.uri is None):
            raise refusal("", "give either dataset or uri")
        if self.dataset is not None and self.format != "auto":
            raise refusal("format", "a dataset knows its own format; give format with uri only")
        return self


class BatchOutput(Body):
    """What is written for each row, how, and where (default: below the job's own prefix)."""

    format: Format = "parquet"
    uri: S3Uri | None = None
    columns: Literal["all", "id", "none"] = "all"
    probabilities: bool = True
    decision: bool = False
    """The scores that a classifier decides by, before they become probabilities; not of trees, blends and stacks."""
    row_numbers: bool = False
    """Columns `_file` and `_row`: the file that a row comes from and its number in it, from 1."""


class BatchPredictBody(JobBody):
    """Score every row of the input with one model version."""

    type: Literal["batch_predict"]
    model: ModelRef
    input: BatchInput
    output: BatchOutput = BatchOutput()
    column_map: ColumnMap = {}
    id_column: ColumnName | None = None
    on_bad_row: Literal["fail", "skip"] = "fail"
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    shard_rows: Annotated[int, Field(ge=1_000, le=100_000_000)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.on_bad_row == "skip" and "max_error_rate" not in self.model_fields_set:
            raise refusal(
                "max_error_rate", 'on_bad_row "skip" needs max_error_rate: the share of rows that may fail'
            )
        if self.output.columns == "id" and self.id_column is None:
            raise refusal("id_column", 'output.columns "id" needs id_column')
        return self


AnyJobBody = TrainBody | FineTuneBody | BatchPredictBody | EvaluateBody | ShiftReportBody | RankSourcesBody


class SubmitBody(RootModel[Annotated[AnyJobBody, Field(discriminator="type")]]):
    """A job of any type; `type` selects the body."""


class Progress(Record):
    """How far a running job is. `percent` and `eta_seconds` are null while they cannot be known."""

    phase: str
    completed: int
    total: int | None
    unit: str
    percent: float | None = None
    eta_seconds: int | None = None
    details: dict[str, float] = {}


class Counts(Record):
    """Rows of a batch."""

    total: int
    succeeded: int
    failed: int


class JobError(Record):
    code: str
    message: str
    retryable: bool


class Usage(Record):
    """Of all attempts' children together; the memory is the largest attempt's."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


class JobLinks(Record):
    self: str
    events: str
    logs: str
    cancel: str
    output: str | None = None


class QueuePlace(Record):
    """Where a queued job stands in line: `position` 1 is next. `estimated_start_at` is null if it cannot be known."""

    position: int
    ahead: int
    estimated_start_at: Time | None = None


class Job(Record):
    """A job as the API tells it. `queue` is told of one that is queued, when it alone is looked at."""

    id: str
    type: JobType
    status: JobState
    project: str
    priority: Priority
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    cancel_requested_at: Time | None = None
    attempt: int
    max_attempts: int
    worker: str | None = None
    progress: Progress | None = None
    counts: Counts | None = None
    spec: dict[str, JsonValue]
    result: dict[str, Any] | None = None
    error: JobError | None = None
    warnings: list[str] = []
    usage: Usage | None = None
    metadata: dict[str, JsonValue] = {}
    parent: str | None = None
    schedule: str | None = None
    queue: QueuePlace | None = None
    links: JobLinks


class JobEvent(Record):
    """One thing that happened to a job."""

    id: str
    event: str
    state: JobState
    attempt: int
    reason: str
    at: Time


class JobProgress(Record):
    """How far an attempt is, as a stream of events tells it."""

    attempt: int
    progress: Progress
    counts: Counts | None = None


class JobPage(Page[Job]):
    """One page of a list."""


class JobEventPage(Page[JobEvent]):
    """One page of a list."""


class JobLogLine(Record):
    """One line that an attempt logged. `fields` are what was logged with it."""

    id: str
    at: str
    level: str
    message: str
    attempt: int
    fields: dict[str, JsonValue] = {}


class JobLogPage(Page[JobLogLine]):
    """One page of a list."""
