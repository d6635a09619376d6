"""Were two versions measured on the same rows? Only then do their metrics tell which is better.

Which rows a job holds out follows from its dataset, its target and how they were drawn (`worker.learning.splitting`).
A cross-validation predicts every row that has a target. So two that cross-validated on one table are measured on the
same rows, however they were folded; two that held rows out only if everything that the draw depends on is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.contracts.comparison import HeldOut


@dataclass(frozen=True, slots=True)
class Measured:
    """How a version was measured.

    rows: what tells its table: the digest of its dataset, or its id where that is gone. classes: in the model's
    order, which a stratified draw depends on. spec: of the job that made it; None: it is gone. method: `holdout` or
    `cross_validation`.
    """

    rows: str
    target: str
    task: str
    classes: tuple[Any, ...] | None
    n_test: int | None
    spec: Mapping[str, Any] | None
    method: str


def same_rows(first: Measured, other: Measured) -> HeldOut:
    """Whether both were measured on the same rows, and why."""
    for differ, sentence in (
        (first.rows != other.rows, "another dataset"),
        ((first.task, first.target) != (other.task, other.target), "another target"),
        (first.method != other.method, "one holds rows out, the other cross-validates"),
        (first.n_test != other.n_test, "another number of rows was held out"),
    ):
        if differ:
            return HeldOut(same=False, reason=sentence)
    if first.method == "cross_validation":
        return HeldOut(same=True, reason="both predict every row of the same dataset, by cross-validation")
    if first.spec is None or other.spec is None:
        return HeldOut(same=None, reason="the job that says how the rows were drawn is gone")
    changed = [name for name, value in _draw(first).items() if value != _draw(other)[name]]
    if changed:
        return HeldOut(same=False, reason=f"the same dataset, drawn otherwise: {', '.join(changed)}")
    return HeldOut(same=True, reason="the same dataset, drawn in the same way with the same seed")


def _draw(measured: Measured) -> dict[str, Any]:
    """What decides which rows are held out."""
    spec = measured.spec or {}
    evaluation = spec.get("evaluation") or {}
    return {
        "seed": spec.get("seed"),
        "test_fraction": evaluation.get("test_fraction"),
        "stratify": evaluation.get("stratify") if measured.task == "classification" else None,
        "classes": measured.classes,
        "label_map": spec.get("label_map") or {},
    }
