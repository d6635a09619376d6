"""The registry's scripts on a real Redis: conditions, descriptions, aliases and their history, and the races."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import keys
from shared.conditions import UNCONDITIONAL, Condition
from shared.errors import Conflict, GraftError, NotFound, PreconditionFailed
from shared.services import Services
from tests.support.versions import PROJECT, publish

HERE = (PROJECT, "churn", "champion")


@pytest.fixture
def churn(services: Services) -> Services:
    """A model with three versions."""
    for _ in range(3):
        publish(services)
    return services


def at(revision: str) -> Condition:
    return Condition(if_match=f'"{revision}"')


ONLY_NEW = Condition(if_none_match="*")
ONLY_KNOWN = Condition(if_match="*")


def moves(services: Services) -> list[tuple[int | None, int | None]]:
    return [(move.previous, move.version) for move in services.aliases.history(*HERE, limit=50)[0]]


def test_everything_that_is_told_of_a_model_changes_its_revision(churn: Services) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: churn.models.update(PROJECT, "churn", {"description": "who leaves"}),
        lambda: churn.models.update(PROJECT, "churn", {"tags": {"team": "crm"}}),
        lambda: churn.aliases.set(*HERE, 1),
        lambda: churn.aliases.set(*HERE, 2),
        lambda: churn.aliases.rollback(*HERE),
        lambda: churn.aliases.delete(*HERE),
        lambda: publish(churn),
    ]
    seen = [churn.models.revision(PROJECT, "churn")]
    for change in changes:
        change()
        model = churn.models.get(PROJECT, "churn")
        assert model.revision == churn.models.revision(PROJECT, "churn")
        assert model.revision not in seen
        seen.append(model.revision)


def test_everything_that_is_told_of_a_version_changes_its_revision(churn: Services) -> None:
    def revisions() -> list[str]:
        return [churn.models.version_revision(PROJECT, "churn", number) for number in (1, 2, 3)]

    seen = [revisions()]
    for change, touched in (
        (lambda: churn.aliases.set(*HERE, 1), {1}),
        (lambda: churn.aliases.set(*HERE, 2), {1, 2}),
        (lambda: churn.aliases.rollback(*HERE), {1, 2}),
        (lambda: churn.aliases.delete(*HERE), {1}),
        (lambda: churn.models.update_version(PROJECT, "churn", 3, {"tags": {"a": "b"}}), {3}),
        (lambda: churn.models.update(PROJECT, "churn", {"description": "x"}), set()),
    ):
        change()
        now = revisions()
        assert {number for number in (1, 2, 3) if now[number - 1] != seen[-1][number - 1]} == touched
        seen.append(now)
    assert churn.models.version(PROJECT, "churn", 3).revision == seen[-1][2]


def test_a_model_from_before_revisions_has_the_first_one(churn: Services) -> None:
    churn.database.hdel(keys.model(PROJECT, "churn"), "revision")
    churn.database.delete(keys.model_remains(PROJECT, "churn"))
    assert churn.models.get(PROJECT, "churn").revision == churn.models.revision(PROJECT, "churn") == "0"
    changed = churn.models.update(PROJECT, "churn", {"description": "new"}, condition=at("0"))
    assert (changed.revision, changed.description) == ("1", "new")
    assert publish(churn) == 4, "numbers go on where they were"


def test_a_change_is_made_only_to_what_was_seen(churn: Services) -> None:
    seen = churn.models.revision(PROJECT, "churn")
    churn.models.update(PROJECT, "churn", {"description": "first"}, condition=at(seen))
    with pytest.raises(PreconditionFailed) as caught:
        churn.models.update(PROJECT, "churn", {"description": "second"}, condition=at(seen))
    model = churn.models.get(PROJECT, "churn")
    assert (model.description, model.revision) == ("first", caught.value.revision)
    for condition in (at(f"{seen}9"), ONLY_NEW, Condition('""')):
        with pytest.raises(PreconditionFailed):
            churn.models.update(PROJECT, "churn", {"description": "third"}, condition=condition)
    with pytest.raises(PreconditionFailed):
        churn.models.update_version(PROJECT, "churn", 1, {"description": "fourth"}, condition=at("99"))
    with pytest.raises(PreconditionFailed):
        churn.models.update(PROJECT, "churn", {}, condition=at("99"))
    assert churn.models.get(PROJECT, "churn") == model
    assert churn.models.update(PROJECT, "churn", {"description": "fifth"}, condition=ONLY_KNOWN)


def test_what_is_not_there_is_unknown_before_any_condition(services: Services) -> None:
    acts: list[Callable[[Condition], Any]] = [
        lambda condition: services.models.update(PROJECT, "churn", {"description": "x"}, condition=condition),
        lambda condition: services.models.update_version(
            PROJECT, "churn", 1, {"tags": {}}, condition=condition
        ),
        lambda condition: services.aliases.set(*HERE, 1, condition=condition),
        lambda condition: services.aliases.rollback(*HERE, condition=condition),
        lambda condition: services.aliases.delete(*HERE, condition=condition),
    ]
    for act in acts:
        for condition in (at("1"), ONLY_KNOWN, ONLY_NEW):
            with pytest.raises(NotFound):
                act(condition)
    assert not services.database.exists(keys.model(PROJECT, "churn"), keys.model_version(PROJECT, "churn", 1))


def test_an_alias_can_be_made_and_never_moved(churn: Services) -> None:
    assert churn.aliases.set(*HERE, 1, condition=ONLY_NEW)[0] == 1
    with pytest.raises(PreconditionFailed) as caught:
        churn.aliases.set(*HERE, 2, condition=ONLY_NEW)
    assert caught.value.revision == churn.aliases.get(*HERE)[1]
    assert churn.aliases.get(*HERE)[0].version == 1
    with pytest.raises(PreconditionFailed) as absent:
        churn.aliases.set(PROJECT, "churn", "other", 1, condition=ONLY_KNOWN)
    assert absent.value.revision is None


def test_the_revision_of_an_alias_never_comes_back(churn: Services) -> None:
    seen = [churn.aliases.set(*HERE, 1)[1]]
    assert churn.aliases.set(*HERE, 1)[1] == seen[0], "no move"
    seen.append(churn.aliases.set(*HERE, 2, condition=at(seen[-1]))[1])
    seen.append(churn.aliases.rollback(*HERE, condition=at(seen[-1]))[1])
    churn.aliases.delete(*HERE, condition=at(seen[-1]))
    seen.append(churn.aliases.set(*HERE, 1)[1])
    assert len(set(seen)) == 4
    acts: list[Callable[[Condition], Any]] = [
        lambda condition: churn.aliases.set(*HERE, 3, condition=condition),
        lambda condition: churn.aliases.rollback(*HERE, condition=condition),
        lambda condition: churn.aliases.delete(*HERE, condition=condition),
    ]
    for act in acts:
        for stale in seen[:-1]:
            with pytest.raises(PreconditionFailed):
                act(at(stale))
    found, revision = churn.aliases.get(*HERE)
    assert (found.version, revision) == (1, seen[-1])


@pytest.mark.parametrize("how", ["if_match", "if_none_match"])
def test_of_many_who_saw_the_same_alias_one_moves_it(churn: Services, how: str) -> None:
    condition = ONLY_NEW
    if how == "if_match":
        condition = at(churn.aliases.set(*HERE, 3)[1])
    before = len(churn.database.xrange(keys.alias_history(*HERE)))

    def move(number: int) -> bool:
        try:
            churn.aliases.set(*HERE, 1 + number % 2, condition=condition)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, range(40))) == 1
    assert len(moves(churn)) == before + 1


def test_who_moved_an_alias_stands_in_its_history(churn: Services) -> None:
    churn.aliases.set(*HERE, 1, by="key_1")
    churn.aliases.set(*HERE, 2, by="key_2")
    churn.aliases.rollback(*HERE, by="key_3")
    churn.aliases.delete(*HERE)
    history, more = churn.aliases.history(*HERE, limit=50)
    told = [(move.previous, move.version, move.by, move.rollback) for move in history]
    assert told == [
        (1, None, None, False),
        (2, 1, "key_3", True),
        (1, 2, "key_2", False),
        (None, 1, "key_1", False),
    ]
    assert not more
    first, more = churn.aliases.history(*HERE, limit=3)
    assert more
    assert first + churn.aliases.history(*HERE, limit=3, after=first[-1].id)[0] == history
    for end in (history[-1].id, "0-0", "000-00", "0-1"):
        assert churn.aliases.history(*HERE, limit=3, after=end) == ([], False)
        with pytest.raises(NotFound):
            churn.aliases.history(PROJECT, "churn", "other", limit=3, after=end)


def test_a_rollback_goes_back_over_what_was_undone_already(churn: Services) -> None:
    for version in (1, 2, 3):
        churn.aliases.set(*HERE, version)
    assert churn.aliases.rollback(*HERE)[0] == 2
    churn.aliases.set(*HERE, 3)
    assert [churn.aliases.rollback(*HERE)[0] for _ in range(2)] == [2, 1]
    with pytest.raises(Conflict) as caught:
        churn.aliases.rollback(*HERE)
    assert caught.value.code == "no_previous_version"


def test_a_deletion_ends_what_a_rollback_can_reach(churn: Services) -> None:
    churn.aliases.set(*HERE, 1)
    churn.aliases.delete(*HERE)
    with pytest.raises(NotFound):
        churn.aliases.rollback(*HERE)
    churn.aliases.set(*HERE, 2)
    with pytest.raises(Conflict):
        churn.aliases.rollback(*HERE)
    assert moves(churn) == [(None, 2), (1, None), (None, 1)]


@pytest.mark.parametrize("change", ["set", "rollback", "delete", "annotate"])
def test_a_change_that_is_sent_twice_is_made_once(churn: Services, change: str, monkeypatch: Any) -> None:
    """redis-py sends a call again when the connection breaks before the answer; so may we here."""
    churn.aliases.set(*HERE, 1)
    revision = churn.aliases.set(*HERE, 2)[1]
    model = churn.models.revision(PROJECT, "churn")
    for store, script in ((churn.aliases, "_set_alias"), (churn.models, "_annotate")):
        once = getattr(store, script)

        def twice(once: Callable[..., Any] = once, **call: Any) -> Any:
            first = once(**call)
            assert once(**call) == first
            return first

        monkeypatch.setattr(store, script, twice)
    if change == "set":
        assert churn.aliases.set(*HERE, 3, condition=at(revision))[0] == 3
    elif change == "rollback":
        assert churn.aliases.rollback(*HERE)[0] == 1
    elif change == "delete":
        churn.aliases.delete(*HERE, condition=at(revision))
    else:
        churn.models.update(PROJECT, "churn", {"description": "x"}, condition=at(model))
    assert len(moves(churn)) == (2 if change == "annotate" else 3)
    assert int(churn.models.revision(PROJECT, "churn")) == int(model) + 1


def test_lists_are_narrowed_by_task_and_tags(services: Services) -> None:
    for number in range(12):
        task = "regression" if number % 3 == 0 else "classification"
        tags = {"team": "crm" if number % 2 else "ops", "n": str(number), "odd:key": "x"}
        publish(services, f"model-{number:02d}", task=task, model_tags=tags)
    publish(services, "model-00", task="classification")  # its latest version is what counts

    def names(limit: int = 50, **how: Any) -> list[str]:
        found, more = services.models.page(PROJECT, limit=limit, **how)
        listed = [model.name for model in found]
        if more:
            assert len(found) == limit
            listed += names(limit, **{**how, "after": listed[-1]})
        return listed

    everything = [f"model-{number:02d}" for number in range(12)]
    assert names() == names(1) == names(5) == everything
    regressions = ["model-03", "model-06", "model-09"]
    for limit in (1, 2, 3, 50):
        assert names(limit, task="regression") == regressions
        assert names(limit, task="regression", tags=[("team", "crm")]) == ["model-03", "model-09"]
        assert names(limit, tags=[("team", "crm"), ("n", "5")]) == ["model-05"]
        assert names(limit, tags=[("team", "nobody")]) == []
    assert services.models.page("another", limit=5, task="regression") == ([], False)


def test_every_refusal_says_why(churn: Services) -> None:
    found: list[str] = []
    for act in (
        lambda: churn.aliases.set(*HERE, 9),
        lambda: churn.aliases.set(PROJECT, "nobody", "x", 1),
        lambda: churn.aliases.get(*HERE),
        lambda: churn.aliases.get(PROJECT, "nobody", "x"),
        lambda: churn.aliases.history(*HERE, limit=1),
        lambda: churn.models.version_revision(PROJECT, "churn", 9),
        lambda: churn.models.revision("another", "churn"),
    ):
        with pytest.raises(GraftError) as caught:
            act()
        found.append(caught.value.code)
    assert found == [
        "unknown_version",
        "unknown_model",
        "unknown_alias",
        "unknown_model",
        "unknown_alias",
        "unknown_version",
        "unknown_model",
    ]
    assert UNCONDITIONAL.args() == ("", "")
