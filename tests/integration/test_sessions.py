"""Sessions in a browser, on a real Redis: they are worth what their key is worth at the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared import keys
from shared.services import Services
from shared.sessions import Configured
from tests.support.waiting import eventually


def _session(services: Services, **fields: object) -> tuple[str, str]:
    """(id of a session, id of its key)"""
    key, text = services.api_keys.create("p", ["read"], **fields)  # type: ignore[arg-type]
    return services.sessions.of_stored(key.id, text), key.id


def test_a_session_may_what_its_key_may(services: Services) -> None:
    session, key_id = _session(services)
    found = services.sessions.find(session)
    assert found is not None
    assert not isinstance(found, Configured)
    assert (found.project, found.scopes, found.key_id) == ("p", {"read"}, key_id)
    assert services.sessions.find(session + "x") is None
    assert services.sessions.find("") is None


def test_redis_does_not_know_the_id(services: Services) -> None:
    session, _ = _session(services)
    (key,) = services.database.keys(keys.session("*"))
    assert session not in key
    assert session not in str(services.database.hgetall(key))
    assert 0 < services.database.pttl(key) <= services.sessions.seconds * 1000


def test_a_revoked_key_ends_its_sessions_and_leaves_nothing_of_them(services: Services) -> None:
    session, key_id = _session(services)
    services.api_keys.revoke("p", key_id)
    assert services.sessions.find(session) is None
    assert not services.database.keys(keys.session("*"))


def test_so_does_an_expired_one(services: Services) -> None:
    session, _ = _session(services, expires_at=datetime.now(UTC) + timedelta(milliseconds=300))
    assert services.sessions.find(session) is not None
    eventually(lambda: services.sessions.find(session) is None)


def test_a_rotation_leaves_it_as_long_as_the_old_secret_is_good(services: Services) -> None:
    session, key_id = _session(services)
    services.api_keys.rotate("p", key_id, overlap_seconds=1)
    assert services.sessions.find(session) is not None
    eventually(lambda: services.sessions.find(session) is None)


def test_it_ends_when_it_is_told_to(services: Services) -> None:
    session, _ = _session(services)
    services.sessions.end(session)
    assert services.sessions.find(session) is None


def test_of_a_configured_key_it_keeps_the_mark(services: Services) -> None:
    assert services.sessions.find(services.sessions.of_configured("mark")) == Configured("mark")
