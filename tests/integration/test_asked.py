"""Counts of what was asked, in Redis: added up, once each, and gone with their time."""

from __future__ import annotations

import threading

import pytest

from shared import keys
from shared.asked import AskedStore
from shared.services import Services


@pytest.fixture
def asked(services: Services) -> AskedStore:
    return services.asked


def test_counts_add_up_number_by_number(asked: AskedStore) -> None:
    asked.add("p", "m", 1, {"requests": [1], "c0": [1, 0, 2]})
    asked.add("p", "m", 1, {"requests": [1], "c0": [0, 5, 1], "c1": [7]})
    for unit in ("h", "d"):
        sums, since = asked.read("p", "m", 1, unit, 2)  # type: ignore[arg-type]
        assert sums == {"requests": [2], "c0": [1, 5, 3], "c1": [7]}
        assert since > 0


def test_each_version_and_project_has_its_own(asked: AskedStore) -> None:
    asked.add("p", "m", 1, {"requests": [1]})
    for other in (("q", "m", 1), ("p", "n", 1), ("p", "m", 2)):
        assert asked.read(*other, "h", 48)[0] == {}


def test_a_call_that_is_sent_twice_counts_once(services: Services) -> None:
    script = services.database.script("observe")
    templates = [keys.asked("p", "m", 1, unit, "%d") for unit in ("h", "d")]
    for expected in ("added", "again"):
        answer = script(keys=[keys.asked_marker("same")], args=[*templates, 100, 100, "requests", "3"])
        assert answer == expected
    assert services.asked.read("p", "m", 1, "h", 2)[0] == {"requests": [3]}


def test_many_who_add_at_once_lose_nothing(asked: AskedStore) -> None:
    def add() -> None:
        for _ in range(25):
            asked.add("p", "m", 1, {"c0": [1, 2]})

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked.read("p", "m", 1, "d", 2)[0] == {"c0": [200, 400]}


def test_every_bucket_ends_by_itself(services: Services, asked: AskedStore) -> None:
    asked.add("p", "m", 1, {"requests": [1]})
    found = list(services.database.scan_iter(match=keys.asked("p", "m", 1, "*", "")))
    assert len(found) == 2
    assert all(services.database.ttl(key) > 0 for key in found)


def test_large_counts_stay_whole_numbers(asked: AskedStore) -> None:
    for _ in range(2):
        asked.add("p", "m", 1, {"rows": [2**52]})
    assert asked.read("p", "m", 1, "h", 2)[0] == {"rows": [2**53]}
