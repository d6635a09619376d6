"""Whose objects an artifact holds: what has to be of a matching version when it is opened."""

from __future__ import annotations

from typing import Any

from shared.modeling.composite import Blend, Stack
from shared.modeling.model import Model
from shared.modeling.network import Network


def contents(model: Model) -> dict[str, Any]:
    """{format, libraries}: `scikit-learn` is among them where a tree, a forest or a boosting is inside."""
    libraries = {"graft", "numpy", *(("scikit-learn",) if _has_trees(model) else ())}
    return {"format": model.format, "libraries": sorted(libraries)}


def _has_trees(model: Model) -> bool:
    estimator = model.estimator
    if isinstance(estimator, Blend):
        return any(_has_trees(member.model) for member in estimator.members)
    if isinstance(estimator, Stack):
        return _has_trees(estimator.base)
    return not isinstance(estimator, Network)
