"""Fine-tuning as one function of labelled target rows: compare what the strategy allows, keep what is best.

`tune` sees training rows only, so that a caller can run it whole inside every fold of an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.selection import Scored, best, cross_validate
from worker.learning.strategies import Transfer

OnFit = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned model and where it comes from.

    strategy, parameters: what made it. candidates: everything that was compared, each with its out-of-fold score
    and its weight in the model; empty where there was nothing to choose.
    """

    model: Model
    strategy: str
    parameters: Mapping[str, Any]
    candidates: tuple[Scored, ...]


def tune(transfer: Transfer, strategy: str, train: Labelled, *, hooks: Hooks, on_fit: OnFit) -> Tuned:
    """Fine-tune `transfer.source` on these rows, which `target.align_target` has aligned to it.

    `on_fit(completed, total)` counts the fits of the comparison; `hooks` follow the fit that is kept.
    Raises InvalidInput at /strategy: `unsupported_strategy`, `source_rows_needed`.
    """
    candidates = transfer.candidates(strategy)
    if len(candidates) == 1:
        chosen, scored = candidates[0], list[Scored]()
    else:
        scored = cross_validate(candidates, train, transfer.seed, on_fit)
        winner = best(scored)
        chosen = winner.candidate
        scored = [replace(item, weight=float(item is winner)) for item in scored]
    return Tuned(chosen.fit(train, hooks), chosen.strategy, dict(chosen.parameters), tuple(scored))
