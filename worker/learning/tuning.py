"""Fine-tuning as one function of labelled target rows: compare what the strategy allows, make one model of it.

`auto` blends: every candidate is weighed by what it said about rows that it was not fitted on (`blending`), those
with a weight are fitted again on all rows, and their predictions are averaged. A strategy with parameters takes the
best of them. `tune` sees training rows only, so that a caller can run it whole inside every fold of an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.modeling.composite import blended
from shared.modeling.model import Model
from worker.learning.blending import blend
from worker.learning.data import Labelled
from worker.learning.encoded import retargeted
from worker.learning.estimators import Hooks
from worker.learning.selection import OutOfFold, Scored, best, out_of_fold, scores
from worker.learning.strategies import Transfer

OnFit = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tuned model and where it comes from.

    strategy, parameters: what made it; `blend` where several candidates did, whose shares are then the parameters.
    candidates: everything that was compared, each with its out-of-fold score and its weight in the model; empty
    where there was nothing to choose.
    """

    model: Model
    strategy: str
    parameters: Mapping[str, Any]
    candidates: tuple[Scored, ...]


def tune(transfer: Transfer, strategy: str, train: Labelled, *, hooks: Hooks, on_fit: OnFit) -> Tuned:
    """Fine-tune `transfer.source` on these rows, which `target.align_target` has aligned to it.

    `on_fit(completed, total)` counts the fits of the comparison; `hooks` follow the fits that are kept.
    Raises InvalidInput at /strategy: `unsupported_strategy`, `source_rows_needed`.
    """
    candidates = transfer.candidates(strategy)
    if len(candidates) == 1:
        only = candidates[0]
        return Tuned(only.fit(transfer.encoded(train), hooks), only.strategy, dict(only.parameters), ())
    found = out_of_fold(transfer, candidates, train, on_fit)
    return _made(transfer, train, weighed(found, strategy), hooks)


def weighed(found: OutOfFold, strategy: str) -> list[Scored]:
    """Every candidate with its score, and its weight in the model that the strategy makes of them."""
    scored = scores(found)
    if strategy == "auto":
        shares = blend(found)
        return [
            replace(item, weight=float(weight), sharpness=float(sharpness))
            for item, weight, sharpness in zip(scored, shares.weights, shares.sharpness, strict=True)
        ]
    winner = best(scored)
    return [replace(item, weight=float(item is winner)) for item in scored]


def _made(transfer: Transfer, train: Labelled, scored: list[Scored], hooks: Hooks) -> Tuned:
    """One model of every candidate that has a weight, fitted on all rows."""
    encoded = transfer.encoded(train)
    members = [(item, item.candidate.fit(encoded, hooks)) for item in scored if item.weight > 0]
    if len(members) == 1:
        chosen, model = members[0]
        return Tuned(model, chosen.candidate.strategy, dict(chosen.candidate.parameters), tuple(scored))
    shares = [
        {"strategy": item.candidate.strategy, **item.candidate.parameters, "weight": item.weight}
        for item, _ in members
    ]
    like = retargeted(transfer.source, train)
    model = blended(like, [(model, item.weight, item.sharpness) for item, model in members], encoded.classes)
    model = replace(model, fitted_as=dict(like.fitted_as) | {"strategy": "blend", "members": shares})
    return Tuned(model, "blend", {"members": shares}, tuple(scored))
