"""Can the report be believed, and what does it cost?

    python -m benchmarks.reporting [--seeds 30] [--large]

Three tables: how often a shift is reported where there is none; how often the truth lies in the learning curve's
interval, on public shifts with three times the labels as the truth; and the CPU seconds of each part of a report for 50
target rows of 64 columns. `--large`: seconds and memory for a million source rows instead. Everything is seeded; only
the seconds differ from run to run.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.transfer.grids import make
from benchmarks.transfer.runs import rows_of
from shared.contracts.specs import EstimatorSpec, PreprocessingSpec
from shared.modeling import Model
from worker.learning.baseline import baseline
from worker.learning.data import Labelled
from worker.learning.estimators import Hooks, fit_model
from worker.learning.explanation import explain
from worker.learning.forgetting import forgetting
from worker.learning.learning_curve import labels_needed
from worker.learning.scores import row_scores
from worker.learning.shift import inputs_shift, shift
from worker.learning.strategies import Transfer

CURVES = ("digits_rot25", "digits_noise", "hyper30", "covshift", "blobs", "lin_drift", "bc_scale")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30, help="of the first table")
    parser.add_argument("--large", action="store_true", help="a million source rows, and nothing else")
    given = parser.parse_args()
    with threadpool_limits(1):
        if given.large:
            large()
            return
        false_alarms(given.seeds)
        curves()
        cost("logistic_regression")
        cost("neural_network")


def false_alarms(seeds: int) -> None:
    print(
        f"Without any shift, share of {seeds} draws in which one is reported (20 columns, 3 with few values):\n"
    )
    print("| source rows | target rows | linear classifier | boosting | any PSI | any test (5 % promised) |")
    print("|---|---|---|---|---|---|")
    for here, there in ((800, 10), (800, 50), (60, 40), (800, 150), (1500, 400)):
        found = [_alarms(here, there, seed) for seed in range(seeds)]
        print(
            f"| {here} | {there} | " + " | ".join(f"{share:.0%}" for share in np.mean(found, axis=0)) + " |"
        )


def _alarms(here: int, there: int, seed: int) -> tuple[bool, bool, bool, bool]:
    random = np.random.RandomState(seed)
    X = random.normal(size=(here + there, 20))
    X[:, 10:13] = random.randint(0, 4, (here + there, 3))
    X[:, 13] = np.exp(X[:, 13])
    source, target = (
        rows_of((part, np.arange(len(part)) % 2), "classification") for part in (X[:here], X[here:])
    )
    found = inputs_shift(source.table, target.table, source.features, None, {}, seed=seed)
    classifier, entries = found["domain_classifier"], found["features"]
    return (
        classifier["linear"]["flagged"],
        classifier["boosting"]["flagged"],
        any(entry["psi"] > entry["psi_threshold"] for entry in entries),
        any(entry["ks"]["significant"] for entry in entries),
    )


def curves() -> None:
    outcomes: dict[str, list[float]] = {"pays": [], "flat": [], "unknown": []}
    held = []
    for name in CURVES:
        for rows in (30, 60):
            for seed in range(3):
                answer = _curve(name, rows, seed)
                if answer is not None:
                    held.append(answer[0])
                    outcomes[answer[1]].append(answer[2])
    print(
        f"\nLearning curves, linear models, 30 and 60 labels, {len(held)} runs. The score that three times the labels"
    )
    print(f"reach lies in the 80 % interval in {np.mean(held):.0%} of them.\n")
    print(
        "| outcome | runs | mean gain of three times the labels | gain of a point or more |\n|---|---|---|---|"
    )
    for outcome, gains in outcomes.items():
        if gains:
            share = np.mean(np.array(gains) >= 0.01)
            print(f"| {outcome} | {len(gains)} | {100 * np.mean(gains):+.1f} points | {share:.0%} |")


def _curve(name: str, rows: int, seed: int) -> tuple[bool, str, float] | None:
    data = make(name, seed)
    few, many = data.sample(rows, seed), data.sample(3 * rows, seed)
    if few is None or many is None:
        return None
    train, more, test = (rows_of(pair, data.task) for pair in (few, many, data.test))
    kind = "logistic_regression" if data.task == "classification" else "linear_regression"

    def fit(part: Labelled) -> Model:
        return fit_model(part, EstimatorSpec(kind=kind), PreprocessingSpec(), 0)  # type: ignore[arg-type]

    found = labels_needed(fit, train, None, source_score=None, seed=seed)
    ahead = next((item for item in found["extrapolation"] if item["labels"] == 3 * rows), None)
    if ahead is None:
        return None
    before, after = (float(row_scores(fit(part), test).mean()) for part in (train, more))
    return ahead["low"] <= after <= ahead["high"], found["outcome"], after - before


def cost(kind: str) -> None:
    data = make("digits_rot25", 0)
    found = data.sample(50, 0)
    assert found is not None
    source, target = rows_of(data.source, data.task), rows_of(found, data.task)
    train, test = source.take(np.arange(640)), source.take(np.arange(640, 800))
    model = fit_model(train, EstimatorSpec(kind=kind), PreprocessingSpec(), 0)  # type: ignore[arg-type]
    transfer = Transfer(model, 0)
    candidate = transfer.candidates("scratch")[0]  # the slowest that a curve may follow
    tuned = candidate.fit(transfer.encoded(target), Hooks())
    parts: dict[str, Callable[[], Any]] = {
        "shift": lambda: shift(train, target, model, baseline(train), seed=0, columns={}),
        "forgetting": lambda: forgetting(model, tuned, test),
        "explanation": lambda: explain(model, tuned, target, seed=0),
        "labels_needed": lambda: labels_needed(
            lambda part: candidate.fit(transfer.encoded(part), Hooks()),
            target,
            None,
            source_score=0.5,
            seed=0,
        ),
    }
    print(f"\nCPU seconds of a report, 50 target rows, 64 columns, source {kind}:")
    total = 0.0
    for name, made in parts.items():
        begun = time.process_time()
        made()
        spent = time.process_time() - begun
        total += spent
        print(f"  {name:14} {spent:.2f}")
    print(f"  {'together':14} {total:.2f}", flush=True)


def large() -> None:
    """No shift and no signal: what counts is size."""
    random = np.random.RandomState(0)
    source, target = (
        rows_of((random.normal(size=(rows, 100)), random.randint(0, 2, rows)), "classification")
        for rows in (1_000_000, 100_000)
    )
    spec = EstimatorSpec(kind="logistic_regression")
    few = source.sample(20_000, 0)
    model = fit_model(few, spec, PreprocessingSpec(), 0)
    test = target.sample(20_000, 1)
    parts: dict[str, Callable[[], Any]] = {
        "shift": lambda: shift(source, target, model, baseline(few), seed=0, columns={}),
        "forgetting": lambda: forgetting(model, model, source),
        "explanation": lambda: explain(model, model, target, seed=0),
        "labels_needed": lambda: labels_needed(
            lambda part: fit_model(part, spec, PreprocessingSpec(), 0), target, test, source_score=0.5, seed=0
        ),
    }
    print(
        f"1,000,000 source rows, 100,000 target rows, 100 columns; the tables take {_peak():.1f} GB at the peak:"
    )
    for name, made in parts.items():
        begun = time.process_time()
        made()
        print(f"  {name:14} {time.process_time() - begun:.2f} CPU seconds, peak {_peak():.1f} GB", flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
