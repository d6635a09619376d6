"""What must be right about the columns of a batch before its first row is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contracts.tables import Column
from shared.contracts.transfer import MAP_COLUMNS
from shared.errors import InvalidInput
from shared.modeling import Model
from shared.pointers import pointer
from worker.handlers.base import Context
from worker.handlers.scoring import PREDICTION, ROW_COLUMNS, decision_columns, probability_column
from worker.learning.target import Renames


def kept_columns(spec: Mapping[str, Any], columns: tuple[Column, ...]) -> list[str]:
    """The input columns that go into the output."""
    names = [column.name for column in columns]
    id_column = spec["id_column"]
    if id_column is not None and id_column not in names:
        raise InvalidInput(
            f"the input has no column {id_column}, which id_column names", code="unknown_column"
        )
    return {"all": names, "id": [id_column], "none": []}[spec["output"]["columns"]]


def check_columns(
    model: Model, columns: tuple[Column, ...], spec: Mapping[str, Any], context: Context
) -> None:
    """Find what cannot work. Raises InvalidInput; warns of columns that the model does not use."""
    kept = kept_columns(spec, columns)
    names = {column.name for column in columns}
    inputs = dict.fromkeys(item["name"] for item in model.schema()["inputs"])
    renames = Renames.of(spec)
    _check_renames(renames, names)
    known = {renames.column(name) for name in names}
    if missing := [name for name in inputs if name not in known]:
        sentence = f"the input lacks the columns {', '.join(missing)}. {MAP_COLUMNS}"
        raise InvalidInput(sentence, code="missing_columns")
    if spec["output"].get("decision") and not model.has_decision:
        raise InvalidInput("the model has no decision scores; leave out output.decision", code="no_decision")
    added = [PREDICTION, *(probability_column(label) for label in model.classes)]
    added += decision_columns(model) if spec["output"].get("decision") else []
    added += ROW_COLUMNS if spec["output"].get("row_numbers") else []
    if clash := [name for name in added if name in kept]:
        raise InvalidInput(
            f"the input has a column {clash[0]}, which the output adds; ask for columns id or none",
            code="column_collision",
        )
    extra = sorted(name for name in names - {model.target} if renames.column(name) not in inputs)
    if extra and len(extra) < len(names):
        context.warn(f"columns that the model does not use: {', '.join(extra[:20])}")


def _check_renames(renames: Renames, names: set[str]) -> None:
    """As a dataset's are checked before its job is accepted; of other input nobody knew the columns then."""
    for name, meant in renames.columns.items():
        here = pointer("column_map", name)
        if name not in names:
            raise InvalidInput.at(
                here, f"the input has no column {name}, which column_map names", code="unknown_column"
            )
        if meant in names and meant not in renames.columns:
            sentence = (
                f"the input has a column {meant} of its own, beside {name}, which column_map says is that"
            )
            raise InvalidInput.at(here, sentence, code="column_collision")
