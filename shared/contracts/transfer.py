"""Bodies of the jobs about moving a model to other data: fine_tune, and the reports that go without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.job_fields import ColumnName, DatasetId, JobBody, ModelRef, ModelTarget, Seed
from shared.contracts.kinds import Task
from shared.contracts.specs import TransferEvaluation, refusal

Strategy = Literal["auto", "continue", "l2_sp", "new_head", "stack", "augment", "reweight", "scratch"]
NEEDS_WEIGHTS: frozenset[Strategy] = frozenset({"continue", "l2_sp", "new_head"})
"""Those that start from the source's weights, which trees do not have."""
NEEDS_SOURCE_ROWS: frozenset[Strategy] = frozenset({"augment", "reweight"})
"""Those that learn from the source's rows beside the target's."""

_LONGEST_LABEL = 1_000
LabelText = Annotated[str, StringConstraints(max_length=_LONGEST_LABEL)]


def _label(value: object) -> object:
    if isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= _LONGEST_LABEL):
        return value
    raise PydanticCustomError("label", "a label is a text, true, false or an integer")


LabelValue = Annotated[str | bool | int, PlainValidator(_label, json_schema_input_type=str | bool | int)]
_Renames = TypeVar("_Renames", bound=Mapping[str, object])


def _one_to_one(entries: _Renames) -> _Renames:
    seen: dict[tuple[type, object], str] = {}
    for key, value in entries.items():
        other = seen.setdefault((type(value), value), key)
        if other != key:
            raise refusal("", f"{value!r} is already what {other!r} stands for; only one can", entry=key)
    return entries


LabelMap = Annotated[dict[LabelText, LabelValue], Field(max_length=1_000), AfterValidator(_one_to_one)]
"""A label of the target table, as text → the source's label for the same thing. One to one."""
ColumnMap = Annotated[dict[ColumnName, ColumnName], Field(max_length=10_000), AfterValidator(_one_to_one)]
"""A column of a table → the model's column that it is. One to one."""

MAP_COLUMNS = "If they are there by other names, say which is which in column_map (--column theirs=ours)"
"""What to do about columns that are missing."""


class TargetTable(JobBody):
    """A table that is to be read as a source model's, whose columns and labels it may call something else."""

    dataset: DatasetId
    column_map: ColumnMap = {}
    label_map: LabelMap = {}


class FineTuneBody(TargetTable):
    """Move a trained version to a new labelled dataset, and say whether that helped."""

    type: Literal["fine_tune"]
    base_model: ModelRef
    target: ColumnName
    strategy: Strategy = "auto"
    evaluation: TransferEvaluation = TransferEvaluation()
    refit: bool = True
    seed: Seed = 42
    model: ModelTarget

    @model_validator(mode="after")
    def _published(self) -> Self:
        if not self.refit and self.evaluation.method == "cross_validation":
            sentence = (
                "cross_validation measures a model for each fold, none of which can be published; "
                "use holdout, or refit"
            )
            raise refusal("refit", sentence)
        return self


class EvaluateBody(TargetTable):
    """Measure a version on a labelled dataset."""

    type: Literal["evaluate"]
    model: ModelRef
    target: ColumnName | None = None


class ShiftReportBody(TargetTable):
    """Say how a dataset differs from another, or from what a version was trained on."""

    type: Literal["shift_report"]
    model: ModelRef | None = None
    source: DatasetId | None = None
    target: ColumnName | None = None
    seed: Seed = 42

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.model is None) == (self.source is None):
            raise refusal("", "give either model or source (a dataset) to compare with")
        return self


class RankSourcesBody(JobBody):
    """Rank models by how well they would serve a labelled dataset, as they are and fine-tuned."""

    type: Literal["rank_sources"]
    dataset: DatasetId
    target: ColumnName
    task: Literal["auto", Task] = "auto"
    candidates: Annotated[list[ModelRef], Field(min_length=1, max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=20)] = 5
    seed: Seed = 42
