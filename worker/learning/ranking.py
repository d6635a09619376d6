"""Which of several source models to start from: each as it is, cheaply corrected, and the best few fine-tuned.

All are measured on the same rows in the same rounds, so that their differences are paired. Screening costs one
prediction and a `stack` (a linear correction of the source's outputs) for each round; only the `limit` models that
come out best are fine-tuned in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from worker.learning.assessment import Plan, predicted
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks
from worker.learning.evaluation import Answers, answers_of, majority_answers, pooled
from worker.learning.significance import CONFIDENCE, Gain, accuracy_gain, r2_gain
from worker.learning.strategies import Transfer
from worker.learning.target import Target
from worker.learning.tuning import tune

OnFit = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A model that could be started from, and the target rows as it sees them."""

    name: str
    version: int
    transfer: Transfer
    target: Target


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source does on the target: as it is, with a stack, and fine-tuned (None: not tried)."""

    source: Source
    own: Answers
    stacked: Answers
    tuned: Answers | None = None

    @property
    def best(self) -> Answers:
        """The fine-tune if it was tried, else the better of the cheap ones."""
        return self.tuned or max(self.own, self.stacked, key=_merit)


def ranked(sources: Sequence[Source], plan: Plan, limit: int, on_fit: OnFit) -> list[Standing]:
    """The sources, best first: those that were fine-tuned, then the others by what screening says.

    `on_fit(completed, total)` counts models.
    """
    total = len(sources) + min(limit, len(sources))
    screened = []
    for number, source in enumerate(sources):
        on_fit(number, total)
        screened.append(_screened(source, plan))
    screened.sort(key=lambda item: _merit(item.best), reverse=True)
    tried = []
    for number, standing in enumerate(screened[:limit]):
        on_fit(len(sources) + number, total)
        tried.append(replace(standing, tuned=_predicted(standing.source, "auto", plan)))
    on_fit(total, total)
    tried.sort(key=lambda item: _merit(item.best), reverse=True)
    return tried + screened[limit:]


def ranking(standings: Sequence[Standing], plan: Plan, seed: int) -> dict[str, Any]:
    """{metric, majority, ranking, evaluation, sentence} as JSON.

    Each entry: {rank, model, own, stacked, fine_tuned, behind, columns, labels, sentence}; scores are
    {score, loss}; `behind` is what the first gains over it, with a paired interval.
    """
    data = standings[0].source.target.data
    metric = "accuracy" if data.task == "classification" else "r2"
    entries = [
        _entry(place, standing, standings[0], metric, seed) for place, standing in enumerate(standings, 1)
    ]
    majority = pooled([majority_answers(data.take(a), data.take(b)) for a, b in plan.rounds])
    return {
        "metric": metric,
        "majority": _scores(majority),
        "ranking": entries,
        "evaluation": plan.as_json(),
        "n_test": data.rows,
        "sentence": _summary(entries, metric),
    }


def _screened(source: Source, plan: Plan) -> Standing:
    data = source.target.data
    own = source.transfer.source_only(data, Hooks())
    rows = pooled([answers_of(own, data.take(test)) for _, test in plan.rounds])
    return Standing(source, rows, _predicted(source, "stack", plan))


def _predicted(source: Source, strategy: str, plan: Plan) -> Answers:
    def fit(rows: Labelled) -> Any:
        return tune(source.transfer, strategy, rows, hooks=Hooks(), on_fit=lambda *_: None).model

    return predicted(fit, source.target.data, plan)


def _merit(answers: Answers) -> tuple[float, float]:
    """Higher is better: the score, and of equals the smaller loss."""
    found = _scores(answers)
    return round(found["score"], 9), -found["loss"]


def _scores(answers: Answers) -> dict[str, float]:
    metrics = answers.metrics()
    if answers.probabilities is None:
        r2 = metrics["r2"]
        return {"score": float("-inf") if r2 is None else r2, "loss": metrics["rmse"]}
    return {"score": metrics["accuracy"], "loss": metrics["log_loss"]}


def _entry(place: int, standing: Standing, first: Standing, metric: str, seed: int) -> dict[str, Any]:
    source = standing.source
    behind = None if place == 1 else _gain(first.best, standing.best, seed)
    return {
        "rank": place,
        "model": {"name": source.name, "version": source.version},
        "own": _told(standing.own),
        "stacked": _told(standing.stacked),
        "fine_tuned": None if standing.tuned is None else _told(standing.tuned),
        "behind": None
        if behind is None
        else {"value": behind.value, "low": behind.low, "high": behind.high, "confidence": CONFIDENCE},
        "columns": source.target.columns,
        "labels": source.target.labels,
        "sentence": _sentence(standing, behind, metric),
    }


def _told(answers: Answers) -> dict[str, Any]:
    """JSON has no infinity."""
    return {name: None if value == float("-inf") else value for name, value in _scores(answers).items()}


def _gain(ours: Answers, other: Answers, seed: int) -> Gain:
    if ours.probabilities is None:
        return r2_gain(ours.truth, ours.predicted, other.predicted, seed)
    return accuracy_gain(ours.correct, other.correct, seed)


def _sentence(standing: Standing, behind: Gain | None, metric: str) -> str:
    own = _scores(standing.own)["score"]
    said = f"As it is it reaches {_shown(own, metric)} on these rows"
    if standing.tuned is not None:
        said += f", fine-tuned {_shown(_scores(standing.tuned)['score'], metric)}"
    else:
        stacked = _scores(standing.stacked)["score"]
        said += f", with its outputs corrected {_shown(stacked, metric)}; it was not fine-tuned in full"
    if behind is None:
        return said + "."
    sure = "surely" if behind.low > 0 else "not surely"
    return f"{said}; {sure} worse than the first."


def _summary(entries: Sequence[dict[str, Any]], metric: str) -> str:
    first = entries[0]
    name = f"{first['model']['name']}:{first['model']['version']}"
    ties = [
        f"{item['model']['name']}:{item['model']['version']}"
        for item in entries[1:]
        if item["behind"]["low"] <= 0
    ]
    said = f"Start from {name}: {first['sentence'][0].lower()}{first['sentence'][1:]}"
    if ties:
        said += f" These rows cannot tell it from {', '.join(ties[:5])}; take whichever is simpler, or label more."
    return said


def _shown(score: float, metric: str) -> str:
    if score == float("-inf"):
        return "nothing that can be measured"
    return f"{score:.1%}" if metric == "accuracy" else f"an R² of {score:.2f}"
