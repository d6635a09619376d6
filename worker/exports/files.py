"""The file of an export, written only when it has been read again and agrees with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shared.errors import GraftError
from shared.modeling import Model
from worker.exports.agreement import agree
from worker.exports.plain import NotConvertible, plain
from worker.exports.samples import as_matrix, samples

#: What `skops.io.load` has to be told to trust besides its own list: the type of a column, and compiled trees.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


class MissingExtra(GraftError):
    """What writes the format is not installed."""

    default_code = "onnx_not_installed"


def skops_file(model: Model, baseline: Mapping[str, Any]) -> bytes:
    """A `.skops` file of the plain pipeline. Raises NotConvertible."""
    import skops.io

    content: bytes = skops.io.dumps(plain(model))
    unknown = set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED)
    if unknown:
        raise NotConvertible(f"the file would need more types to be trusted: {', '.join(sorted(unknown))}")
    again = skops.io.loads(content, trusted=list(TRUSTED))
    rows = samples(model, baseline)
    X = as_matrix(rows)
    classification = model.task == "classification"
    agree(
        model,
        model.predict(rows),
        again.predict(X),
        again.predict_proba(X) if classification else None,
        list(again.classes_) if classification else None,
    )
    return content


def onnx_file(model: Model, baseline: Mapping[str, Any]) -> bytes:
    """An ONNX graph with an input for each column. Raises NotConvertible, MissingExtra."""
    try:
        import onnxruntime
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    except ImportError as error:
        raise MissingExtra("the server has no ONNX converter; install graft[onnx] there") from error
    pipeline = plain(model)
    types = [
        (
            f"column_{place}",
            StringTensorType([None, 1]) if item.type == "string" else FloatTensorType([None, 1]),
        )
        for place, item in enumerate(model.encoder.columns)
    ]
    options = {id(pipeline): {"zipmap": False}} if model.task == "classification" else None
    try:
        graph = skl2onnx.convert_sklearn(pipeline, initial_types=types, options=options)
        content: bytes = graph.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        rows = samples(model, baseline, missing_texts=False)
        found = session.run(None, _feeds(rows))
    except GraftError:
        raise
    except Exception as error:  # the converters raise anything
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise NotConvertible(f"ONNX cannot express the model: {reason}") from error
    classification = model.task == "classification"
    agree(
        model,
        model.predict(rows),
        np.asarray(found[0]),
        np.asarray(found[1]) if classification else None,
        list(pipeline.classes_) if classification else None,
    )
    return content


def _feeds(rows: pa.Table) -> dict[str, Any]:
    feeds: dict[str, Any] = {}
    for place, field in enumerate(rows.schema):
        values = rows.column(place).to_pylist()
        if pa.types.is_string(field.type):
            feeds[f"column_{place}"] = np.array(values, object)[:, None]
        else:
            numbers = [np.nan if value is None else float(value) for value in values]
            feeds[f"column_{place}"] = np.array(numbers, np.float32)[:, None]
    return feeds
