"""What the numbers of a report are said to mean."""

from __future__ import annotations

from typing import Any

import pytest

from worker.learning.sentences import of_forgetting, of_labels_needed, of_report
from worker.learning.wording import listed, percent, points, quantity, signed


def report(
    verdict: str, value: float, *, over: str = "scratch", rows: int = 120, **more: Any
) -> dict[str, Any]:
    gain = {"value": value, "over": over, "low": value - 0.02, "high": value + 0.02, "confidence": 0.95}
    scores = {"source_only": 0.6, "scratch": 0.7, "fine_tuned": 0.7 + value, "majority": 0.3}
    made = {name: {"accuracy": score} for name, score in scores.items()}
    return {**made, "gain": gain, "verdict": verdict, "metric": "accuracy", "n_test": rows, **more}


def test_each_verdict_says_what_happened_and_what_to_do():
    good = of_report(report("improved", 0.05))
    assert "+5.0 points of accuracy over training from scratch" in good["headline"]
    assert "Against the source model as it is: +15.0 points" in good["headline"]
    assert "Use this version" in good["advice"]
    bad = of_report(report("negative_transfer", -0.05, over="source_only"))
    assert "-5.0 points" in bad["headline"]
    assert "the source model as it is, more than chance" in bad["headline"]
    assert "Do not use this version. Keep the source" in bad["advice"]
    assert "strategy scratch" in of_report(report("negative_transfer", -0.05))["advice"]


@pytest.mark.parametrize(
    ("value", "rows", "words"),
    [(0.01, 120, "Use this version or"), (-0.01, 120, "simpler"), (0.01, 20, "20 test rows cannot show")],
)
def test_no_sure_difference_is_not_sold_as_one(value: float, rows: int, words: str):
    found = of_report(report("neutral", value, rows=rows))
    assert "no sure difference" in found["headline"]
    assert words in found["advice"]


def test_the_same_answers_are_called_the_same():
    same = report("neutral", 0.0)
    same["gain"] |= {"low": 0.0, "high": 0.0}
    assert "very same rows" in of_report(same)["headline"]
    assert "very same rows" in of_report(same)["gain"]


def test_a_model_that_is_no_better_than_guessing_is_called_that():
    guess = report("neutral", 0.0)
    guess["source_only"] = {"accuracy": 0.25}
    assert "no better than not looking" in of_report(guess)["scores"]["source_only"]
    assert "no better than not looking" not in of_report(guess)["scores"]["scratch"]


def test_a_score_that_is_undefined_is_not_made_up():
    undefined = report("neutral", 0.0, metric="r2")
    for name in ("source_only", "scratch", "fine_tuned", "majority"):
        undefined[name] = {"r2": None}
    found = of_report(undefined)
    assert "does not vary" in found["scores"]["fine_tuned"]
    assert "average" in found["scores"]["majority"]
    assert "None" not in " ".join([found["headline"], found["advice"], *found["scores"].values()])


def test_a_blend_and_a_single_candidate_are_told_apart():
    tried = [
        {"strategy": name, "cv_score": score, "weight": 0.5}
        for name, score in (("stack", 0.7), ("l2_sp", 0.8))
    ]
    assert "2 of them are blended" in of_report(report("neutral", 0.01, candidates=tried))["candidates"]
    tried[0]["weight"], tried[1]["weight"] = 0.0, 1.0
    told = of_report(report("neutral", 0.01, candidates=tried))["candidates"]
    assert "l2_sp scored best" in told
    assert "blended" not in told
    assert (
        "l2_sp was asked for"
        in of_report(report("neutral", 0.01, candidates=[], strategy="l2_sp"))["candidates"]
    )


def test_forgetting_is_said_only_when_it_is_sure():
    def told(low: float, high: float) -> str:
        found = {"before": 0.9, "after": 0.8, "metric": "accuracy", "n_test": 50, "change": -0.1}
        return of_forgetting(found | {"low": low, "high": high})["sentence"]

    assert "has forgotten" in told(-0.2, -0.01)
    assert "nothing is known to be forgotten" in told(-0.2, 0.01)
    assert "helped" in told(0.01, 0.2)


def test_labels_that_pass_the_source_are_counted():
    ahead = [{"labels": 200, "score": 0.8, "gain": {"value": 0.03, "low": 0.01, "high": 0.05}}]
    found = {
        "n_train": 100,
        "extrapolation": ahead,
        "outcome": "pays",
        "more_labels": 100,
        "beats_source_at": 200,
    }
    told = of_labels_needed(found)
    assert told["sentence"].startswith("100 more labels would bring +3.0 points")
    assert "passed at about 200 labels" in told["sentence"]


def test_numbers_are_written_for_people():
    assert (percent(0.1234), percent(0.0123), percent(0)) == ("12 %", "1.2 %", "0 %")
    assert (points(0.8734), points(-0.0001)) == ("0.873", "0.000")
    assert (signed(0.034), signed(-0.034), signed(-0.0001)) == ("+3.4 points", "-3.4 points", "+0.0 points")
    assert (quantity(1, "row"), quantity(12_000, "row")) == ("1 row", "12,000 rows")
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert (listed(["a"]), listed([])) == ("a", "")
