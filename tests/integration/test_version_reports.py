"""The report and the verdict of a version: kept for themselves, and a guard of aliases, on a real Redis."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import Conflict, NotFound
from shared.services import Services
from tests.support import versions
from worker.publishing import version_report

REASON = "Fine-tuning made it worse: -9.0 points of accuracy."


def publish(services: Services, verdict: str | None) -> int:
    """A version of `churn` with that verdict."""
    report = {"verdict": verdict, "summary": {"headline": REASON}} if verdict else None
    return versions.publish(services, **version_report({"report": report}))


def where(services: Services) -> int | None:
    return services.models.get("default", "churn").aliases.get("champion")


def test_a_report_is_read_for_itself_and_the_version_tells_its_verdict(services: Services) -> None:
    assert publish(services, "improved") == 1
    assert json.loads(services.models.report("default", "churn", 1))["summary"]["headline"] == REASON
    version = services.models.version("default", "churn", 1)
    assert version.verdict == "improved"
    assert version.estimator == {"kind": "svm"}
    assert "report" not in version.model_dump()
    assert [item.verdict for item in services.models.versions("default", "churn", limit=5)[0]] == ["improved"]


def test_a_plain_training_has_no_report_and_an_unknown_version_is_unknown(services: Services) -> None:
    publish(services, None)
    for number, code in ((1, "no_report"), (2, "unknown_version")):
        with pytest.raises(NotFound) as caught:
            services.models.report("default", "churn", number)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        services.models.report("another", "churn", 1)


@pytest.mark.parametrize("verdict", ["improved", "neutral", None])
def test_any_other_verdict_lets_an_alias_pass(services: Services, verdict: str | None) -> None:
    publish(services, verdict)
    assert services.aliases.set("default", "churn", "champion", 1)[0] == 1
    assert not services.aliases.history("default", "churn", "champion", limit=50)[0][0].forced


def test_an_alias_does_not_move_to_a_version_with_negative_transfer(services: Services) -> None:
    publish(services, "improved")
    publish(services, "negative_transfer")
    services.aliases.set("default", "churn", "champion", 1)
    with pytest.raises(Conflict) as caught:
        services.aliases.set("default", "churn", "champion", 2)
    assert (caught.value.status, caught.value.code) == (409, "negative_transfer")
    assert REASON in caught.value.message
    assert "force" in caught.value.message
    assert where(services) == 1
    assert len(services.aliases.history("default", "churn", "champion", limit=50)[0]) == 1, (
        "nothing was written"
    )


def test_force_moves_it_and_the_history_says_so(services: Services) -> None:
    publish(services, "improved")
    publish(services, "negative_transfer")
    services.aliases.set("default", "churn", "champion", 1, force=True)
    services.aliases.set("default", "churn", "champion", 2, force=True)
    assert where(services) == 2
    history = services.aliases.history("default", "churn", "champion", limit=50)[0]
    assert [(move.version, move.forced) for move in history] == [(2, True), (1, False)]


def test_saying_again_where_it_points_already_is_no_move(services: Services) -> None:
    publish(services, "negative_transfer")
    services.aliases.set("default", "churn", "champion", 1, force=True)
    assert services.aliases.set("default", "churn", "champion", 1)[0] == 1
    assert len(services.aliases.history("default", "churn", "champion", limit=50)[0]) == 1


def test_a_rollback_is_guarded_too_and_changes_nothing_when_refused(services: Services) -> None:
    publish(services, "negative_transfer")
    publish(services, "improved")
    services.aliases.set("default", "churn", "champion", 1, force=True)
    services.aliases.set("default", "churn", "champion", 2)
    with pytest.raises(Conflict) as caught:
        services.aliases.rollback("default", "churn", "champion")
    assert caught.value.code == "negative_transfer"
    assert where(services) == 2
    assert len(services.aliases.history("default", "churn", "champion", limit=50)[0]) == 2


def test_a_rollback_past_a_forced_move_goes_back_to_the_good_version(services: Services) -> None:
    publish(services, "improved")
    publish(services, "negative_transfer")
    services.aliases.set("default", "churn", "champion", 1)
    services.aliases.set("default", "churn", "champion", 2, force=True)
    assert services.aliases.rollback("default", "churn", "champion")[0] == 1


def test_no_race_gets_an_alias_past_the_guard(services: Services) -> None:
    publish(services, "improved")
    publish(services, "negative_transfer")

    def move(number: int) -> str:
        try:
            services.aliases.set("default", "churn", "champion", 1 + number % 2)
        except Conflict:
            return "refused"
        return "moved"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(move, range(40)))
    assert answers == ["moved", "refused"] * 20
    assert where(services) == 1


def test_an_unknown_version_is_unknown_whatever_is_forced(services: Services) -> None:
    publish(services, "improved")
    with pytest.raises(NotFound):
        services.aliases.set("default", "churn", "champion", 9, force=True)
