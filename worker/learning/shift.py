"""What is different in the target: its rows as a whole, each column, the labels, and what that does to the source.

A shift of the inputs can be seen without labels, one of the concept (the same inputs, other answers) cannot: so the
source's loss on labelled target rows always stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.contracts.specs import PreprocessingSpec
from shared.contracts.tables import Column
from shared.modeling.columns import Table
from shared.modeling.encoder import CategoryColumn, Encoder
from shared.modeling.model import Model
from worker.learning import feature_shift
from worker.learning.data import Labelled
from worker.learning.domain_classifier import domain_classifier
from worker.learning.evaluation import evaluate
from worker.learning.label_shift import label_shift
from worker.learning.preprocessing import fit_encoder
from worker.learning.scores import headline_metric
from worker.learning.shift_sentences import of_shift

#: Rows of each side that are compared; the columns' tests see differences of 3 points with so many.
MAX_ROWS = 5_000


def shift(
    source: Labelled | None,
    target: Labelled,
    model: Model | None,
    baseline: Mapping[str, Any],
    *,
    seed: int,
    columns: Mapping[str, Any],
    source_metrics: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that differs between source and target, as JSON; what could not be computed is null, with a reason.

    source: its labelled rows, or None where they are gone: then `baseline` (what the version keeps of them) stands in.
    target: labelled rows with the source's columns. model: the source model; None where two tables are compared.
    columns: {missing, extra, mistyped} of the alignment. source_metrics: what the source reached on its own test rows.
    """
    absent = frozenset(columns.get("missing") or ())
    items = [item for item in target.features if item.name not in absent]
    there = target.sample(MAX_ROWS, seed)
    here = None if source is None else source.sample(MAX_ROWS, seed)
    found: dict[str, Any] = {
        "rows": _rows(
            None if source is None or here is None else (source.rows, here.rows),
            (target.rows, there.rows),
            baseline,
        ),
        **inputs_shift(
            None if here is None else here.table,
            there.table,
            items,
            None if model is None else model.encoder,
            baseline,
            seed=seed,
        ),
        "label_shift": label_shift(source, target, model, baseline, seed),
        "source_loss": _source_loss(model, there, source_metrics),
        "columns": _deviations(columns),
    }
    return found | of_shift(found)


def unlabelled_shift(
    source: Table | None,
    target: Table,
    features: Sequence[Column],
    model: Model | None,
    baseline: Mapping[str, Any],
    *,
    seed: int,
    columns: Mapping[str, Any],
) -> dict[str, Any]:
    """The same where no labels are given: of the inputs alone. Both tables have the columns `features`."""
    items = [item for item in features if item.name not in (columns.get("missing") or ())]
    here, there = None if source is None else _some(source, seed), _some(target, seed)
    encoder = None if model is None else model.encoder
    found: dict[str, Any] = {
        "rows": _rows(
            None if source is None or here is None else (source.num_rows, here.num_rows),
            (target.num_rows, there.num_rows),
            baseline,
        ),
        **inputs_shift(here, there, items, encoder, baseline, seed=seed),
        "label_shift": {"shifted": None, "reason": "no column with labels was named"},
        "source_loss": None,
        "columns": _deviations(columns),
    }
    return found | of_shift(found)


def _rows(
    source: tuple[int, int] | None, target: tuple[int, int], baseline: Mapping[str, Any]
) -> dict[str, Any]:
    """How many rows there are of each side, and how many of them were drawn to be compared: (all, drawn)."""
    return {
        "source": source[1] if source else None,
        "target": target[1],
        "source_total": source[0] if source else baseline.get("rows"),
        "target_total": target[0],
        "sampled": target[0] != target[1] or (source is not None and source[0] != source[1]),
    }


def _some(table: Table, seed: int) -> Table:
    if table.num_rows <= MAX_ROWS:
        return table
    drawn = np.random.RandomState(seed % 2**32).permutation(table.num_rows)[:MAX_ROWS]
    return table.take(pa.array(np.sort(drawn)))


def _deviations(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "missing": sorted(columns.get("missing") or ()),
        "extra": list(columns.get("extra") or ()),
        "mistyped": list(columns.get("mistyped") or ()),
    }


def inputs_shift(
    source: Table | None,
    target: Table,
    items: Sequence[Column],
    encoder: Encoder | None,
    baseline: Mapping[str, Any],
    *,
    seed: int,
) -> dict[str, Any]:
    """{domain_classifier, features, unseen_categories} of the columns that both sides have; needs no label."""
    if source is None:
        reason = "the source's rows are not at hand; a version keeps statistics of columns only"
        classifier = {"linear": None, "boosting": None, "flagged": None, "rows": None, "reason": reason}
        columns = encoder.columns if encoder is not None else ()
        known = {item.name: item.categories for item in columns if isinstance(item, CategoryColumn)}
        described, rows = baseline.get("columns") or {}, int(baseline.get("rows") or 0)
        features = feature_shift.from_statistics(described, rows, target, items, known)
    else:
        found = encoder or fit_encoder(source, items, PreprocessingSpec(), lambda _: None)
        absent = frozenset(item.name for item in found.columns) - {item.name for item in items}
        classifier = domain_classifier(found, source, target, absent, seed)
        features = feature_shift.from_rows(source, target, items, seed)
    unseen = [{"column": entry["column"], "values": entry["unseen"]} for entry in features if entry["unseen"]]
    return {"domain_classifier": classifier, "features": features, "unseen_categories": unseen}


def _source_loss(
    model: Model | None, target: Labelled, source_metrics: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The source as it is on labelled target rows: the only place where a changed concept shows."""
    if model is None:
        return None
    metric = headline_metric(target.task)
    loss = "log_loss" if target.task == "classification" else "rmse"
    metrics = evaluate(model, target)
    own = source_metrics or {}
    return {
        "metric": metric,
        "on_target": metrics[metric],
        "on_source": own.get(metric),
        "loss": {"name": loss, "on_target": metrics[loss], "on_source": own.get(loss)},
        "n_test": target.rows,
    }
