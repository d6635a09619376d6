"""The store of API keys on a real Redis: found by their prefix, good for a time, rotated, revoked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared import keys
from shared.api_keys import USE_NOTED_MS, ApiKeyStore, Grant
from shared.errors import InvalidInput, NotFound, TooMany
from shared.services import Services
from tests.support.waiting import eventually

READER = Grant("default", frozenset({"read"}))


@pytest.fixture
def store(services: Services) -> ApiKeyStore:
    return ApiKeyStore(services.database, max_keys=3)


def soon(seconds: float = 0.3) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_key_is_found_by_its_text_and_allows_what_it_was_made_for(store: ApiKeyStore) -> None:
    key, text = store.create("default", ["read", "submit"], name="nightly")
    assert text.startswith(f"{key.prefix}.")
    assert store.verify(text) == Grant("default", frozenset({"read", "submit"}))


def test_what_redis_holds_does_not_make_a_key(store: ApiKeyStore, services: Services) -> None:
    _, text = store.create("default", ["read"])
    secret = text.partition(".")[2]
    held = b"".join(services.database.dump(name) for name in services.database.scan_iter())
    assert secret.encode() not in held
    (record,) = services.database.scan_iter("graft:key:*")
    (digest,) = (field for field in services.database.hkeys(record) if field.startswith("secret:"))
    assert store.verify(text.partition(".")[0] + "." + digest.removeprefix("secret:")[:43]) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.partition(".")[0],
        lambda text: text.replace("graft_", "graft-"),
        lambda text: text.partition(".")[2],
        lambda text: text.lower(),
        lambda text: f"{text}\n",
        lambda text: "",
        lambda text: "graft_" + "0" * 26 + "." + text.partition(".")[2],
    ],
)
def test_no_other_text_is_a_key(store: ApiKeyStore, spoil: Callable[[str], str]) -> None:
    _, text = store.create("default", ["read"])
    assert store.verify(text) == READER
    assert store.verify(spoil(text)) is None


def test_the_secret_of_one_key_does_not_open_another(store: ApiKeyStore) -> None:
    first, second = store.create("default", ["read"])[1], store.create("another", ["admin"])[1]
    assert store.verify(second.partition(".")[0] + "." + first.partition(".")[2]) is None


def test_a_key_is_good_until_it_expires_and_stays_in_the_list(store: ApiKeyStore) -> None:
    key, text = store.create("default", ["read"], expires_at=soon())
    assert store.verify(text) == READER
    eventually(lambda: store.verify(text) is None)
    assert [held.id for held in store.page("default", limit=9)[0]] == [key.id]


def test_a_key_cannot_be_made_or_rotated_when_it_would_have_expired(store: ApiKeyStore) -> None:
    with pytest.raises(InvalidInput) as refused:
        store.create("default", ["read"], expires_at=soon(-1))
    assert refused.value.errors[0].pointer == "/expires_at"
    assert store.page("default", limit=9) == ([], False)
    key, text = store.create("default", ["read"], expires_at=soon())
    eventually(lambda: store.verify(text) is None)
    with pytest.raises(InvalidInput):
        store.rotate("default", key.id, overlap_seconds=0)
    _, renewed = store.rotate("default", key.id, overlap_seconds=0, expires_at=soon(60))
    assert store.verify(renewed) == READER


def test_a_revoked_key_is_unknown_at_once_and_its_use_does_not_bring_it_back(
    store: ApiKeyStore, services: Services
) -> None:
    key, text = store.create("default", ["read"])
    with pytest.raises(NotFound):
        store.revoke("another", key.id)
    assert store.verify(text) == READER
    store.revoke("default", key.id)
    assert store.verify(text) is None
    services.database.script("note_key_use")(keys=[keys.api_key(key.id)])
    assert list(services.database.scan_iter()) == []
    with pytest.raises(NotFound):
        store.revoke("default", key.id)


def test_a_rotation_without_overlap_ends_the_secret_of_before(store: ApiKeyStore) -> None:
    key, old = store.create("default", ["read"])
    rotated, new = store.rotate("default", key.id, overlap_seconds=0)
    assert rotated.id == key.id
    assert rotated.rotated_at
    assert store.verify(old) is None
    assert store.verify(new) == READER


def test_both_secrets_are_good_during_the_overlap_and_one_after_it(store: ApiKeyStore) -> None:
    key, old = store.create("default", ["read"])
    _, new = store.rotate("default", key.id, overlap_seconds=1)
    assert store.verify(old) == store.verify(new) == READER
    eventually(lambda: store.verify(old) is None)
    assert store.verify(new) == READER


def test_a_rotation_whose_answer_was_lost_does_not_lock_the_user_out(store: ApiKeyStore) -> None:
    """What is in use is good for the overlap of the first rotation, which the second one does not prolong."""
    key, used = store.create("default", ["read"])
    store.rotate("default", key.id, overlap_seconds=1)
    _, new = store.rotate("default", key.id, overlap_seconds=3600)
    assert store.verify(used) == store.verify(new) == READER
    eventually(lambda: store.verify(used) is None)


def test_only_so_many_secrets_are_good_at_a_time(store: ApiKeyStore) -> None:
    key, first = store.create("default", ["read"])
    texts = [first] + [store.rotate("default", key.id, overlap_seconds=100 + n)[1] for n in range(6)]
    assert [store.verify(text) for text in texts].count(READER) == 5
    assert store.verify(texts[-1]) == READER


def test_a_rotation_that_is_sent_twice_is_one(store: ApiKeyStore, services: Services) -> None:
    key, old = store.create("default", ["read"])
    rotate = services.database.script("rotate_key")
    call = {"keys": [keys.api_key(key.id)], "args": ["default", "ab" * 32, 3600_000, "", 5]}
    assert rotate(**call) == "done"
    before = services.database.hgetall(keys.api_key(key.id))
    assert rotate(**call) == "done"
    assert services.database.hgetall(keys.api_key(key.id)) == before
    assert store.verify(old) == READER


def test_another_projects_key_is_not_rotated(store: ApiKeyStore) -> None:
    key, text = store.create("default", ["read"])
    with pytest.raises(NotFound):
        store.rotate("another", key.id, overlap_seconds=0)
    assert store.verify(text) == READER


def test_a_project_has_no_more_keys_than_its_limit(store: ApiKeyStore) -> None:
    made = [store.create("default", ["read"])[0] for _ in range(3)]
    with pytest.raises(TooMany):
        store.create("default", ["read"])
    store.create("another", ["read"])
    store.revoke("default", made[0].id)
    store.create("default", ["read"])


def test_use_is_noted_and_no_more_often_than_once_a_minute(store: ApiKeyStore, services: Services) -> None:
    key, text = store.create("default", ["read"])
    assert store.get(key.id).last_used_at is None
    store.verify(text)
    first = store.get(key.id).last_used_at
    assert first
    store.verify(text)
    assert store.get(key.id).last_used_at == first
    earlier = int(first.timestamp() * 1000) - USE_NOTED_MS
    services.database.hset(keys.api_key(key.id), "last_used_at", earlier)
    store.verify(text)
    later = store.get(key.id).last_used_at
    assert later
    assert later >= first


def test_a_wrong_secret_notes_no_use(store: ApiKeyStore) -> None:
    key, text = store.create("default", ["read"])
    store.verify(text[:-2] + "AA")
    assert store.get(key.id).last_used_at is None


def test_a_request_costs_one_call_to_redis(store: ApiKeyStore, services: Services) -> None:
    _, text = store.create("default", ["read"])
    store.verify(text)

    def calls() -> int:
        return int(services.database.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = calls()
    for _ in range(10):
        store.verify(text)
    assert calls() - before == 10


def test_a_list_pages_newest_first_and_holds_no_secret(store: ApiKeyStore) -> None:
    made = [store.create("default", ["read"]) for _ in range(3)]
    first, more = store.page("default", limit=2)
    assert ([key.id for key in first], more) == ([made[2][0].id, made[1][0].id], True)
    rest, more = store.page("default", limit=2, after=first[-1].id)
    assert ([key.id for key in rest], more) == ([made[0][0].id], False)
    told = "".join(key.model_dump_json() for key in [*first, *rest])
    for _, text in made:
        assert text.partition(".")[2] not in told
    assert "secret" not in told
    assert store.page("another", limit=9) == ([], False)
