"""Measures a whole fine-tune, and doing without one, on target rows that no model has seen.

Hold-out: some rows are set aside. Nested cross-validation (Varma & Simon, BMC Bioinformatics 2006): every fold is
left out once, the whole procedure, its inner comparisons included, runs on the others, and what the folds' models
say is pooled, so that each row is predicted once by models that never saw it. With few rows that is far steadier
than a hold-out of a handful.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shared.contracts.specs import TransferEvaluation
from shared.errors import InvalidInput
from shared.modeling.model import Model
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.evaluation import Answers, answers_of, majority_answers, pooled
from worker.learning.splitting import Rows, Warn, folds, hold_out
from worker.learning.strategies import Transfer
from worker.learning.tuning import OnFit, Tuned, tune

#: Of nested cross-validation; fewer where there are fewer rows.
FOLDS = 5
#: With fewer a fold's model would learn from one row.
MIN_ROWS = 3

Method = Literal["holdout", "cross_validation"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rounds of an assessment: (training rows, rows that are then predicted), as positions in the data."""

    method: Method
    rounds: tuple[tuple[Rows, Rows], ...]

    def as_json(self) -> dict[str, Any]:
        """{method, folds, n_train, n_test}: rows that the smallest round trains on; rows predicted in all."""
        return {
            "method": self.method,
            "folds": len(self.rounds) if self.method == "cross_validation" else None,
            "n_train": min(len(train) for train, _ in self.rounds),
            "n_test": sum(len(test) for _, test in self.rounds),
        }


@dataclass(frozen=True, slots=True)
class Contestants:
    """What competes in a round: a fine-tune, and the two ways to do without."""

    tuned: Tuned
    source_only: Model
    scratch: Model

    def models(self) -> dict[str, Model]:
        return {"source_only": self.source_only, "scratch": self.scratch, "fine_tuned": self.tuned.model}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the contestants, and `majority`, said of the rows, pooled over rounds; and the last round's models."""

    plan: Plan
    answers: Mapping[str, Answers]
    last: Contestants


def planned(data: Labelled, evaluation: TransferEvaluation, *, refit: bool, seed: int, warn: Warn) -> Plan:
    """Draw the rounds; the same for the same seed. Raises InvalidInput `too_few_rows`."""
    method = evaluation.resolved(data.rows, refit=refit)
    if method == "holdout":
        return Plan(method, (hold_out(data, evaluation, seed, warn),))
    if data.rows < MIN_ROWS:
        sentence = f"{data.rows} rows with a target are too few; at least {MIN_ROWS} are needed"
        raise InvalidInput(sentence, code="too_few_rows")
    count = min(FOLDS, data.rows)
    fold = folds(data.y, count, seed, stratify=data.task == "classification")
    rounds = [(np.flatnonzero(fold != part), np.flatnonzero(fold == part)) for part in range(count)]
    return Plan(method, tuple(rounds))


def assess(
    transfer: Transfer, strategy: str, data: Labelled, plan: Plan, *, hooks: Hooks, on_fit: OnFit
) -> Assessment:
    """Run every round of the plan. `on_fit(completed, total)` counts the fits of all rounds together.

    Raises what `tune` raises.
    """
    rounds: list[dict[str, Answers]] = []
    for number, (inside, outside) in enumerate(plan.rounds):
        train, test = data.take(inside), data.take(outside)
        count = _counting(on_fit, number, len(plan.rounds))
        last = contest(transfer, strategy, train, hooks=hooks, on_fit=count)
        count(1, 1)
        found = {name: answers_of(model, test) for name, model in last.models().items()}
        rounds.append(found | {"majority": majority_answers(train, test)})
    return Assessment(plan, _pooled_by_name(rounds), last)


def predicted(fit: Callable[[Labelled], Model], data: Labelled, plan: Plan) -> Answers:
    """The plan's answers of one contestant alone."""
    rounds = (answers_of(fit(data.take(inside)), data.take(outside)) for inside, outside in plan.rounds)
    return pooled(list(rounds))


def contest(
    transfer: Transfer, strategy: str, train: Labelled, *, hooks: Hooks, on_fit: OnFit
) -> Contestants:
    """All contestants fitted on these rows. `hooks` follow the fine-tune."""
    tuned = tune(transfer, strategy, train, hooks=hooks, on_fit=on_fit)
    return Contestants(tuned, transfer.source_only(train, Hooks()), transfer.scratch(train, Hooks()))


def _counting(on_fit: OnFit, number: int, rounds: int) -> OnFit:
    """Counts one round's fits as part of all rounds', which are about as long."""
    most = 1

    def count(completed: int, total: int) -> None:
        nonlocal most
        most = max(most, total)
        on_fit(number * most + min(completed * most // total, most), rounds * most)

    return count


def _pooled_by_name(rounds: Sequence[Mapping[str, Answers]]) -> dict[str, Answers]:
    return {name: pooled([found[name] for found in rounds]) for name in rounds[0]}
