"""Rates of requests on a real Redis: never exceeded, whoever asks, and told truly."""

from __future__ import annotations

import threading
import time

import pytest

from api.metering import Meter, headers
from shared import keys
from shared.errors import Temporary
from shared.rates import Limit, Rates
from shared.services import Services
from tests.support.waiting import eventually

SMALL = Limit("project", 10)
LARGE = Limit("project", 12_000)  # two requests at a time


def admitted(meter: Meter, limit: Limit, who: str, asked: int) -> int:
    return sum(meter.admit(limit, who).retry_after is None for _ in range(asked))


def pass_time(services: Services, seconds: float) -> None:
    """For the counters of all rates."""
    for key in services.database.scan_iter(f"{keys.RATES}*"):
        services.database.pexpire(key, services.database.pttl(key) - int(1000 * seconds))


def test_a_limit_admits_what_it_says_and_tells_what_is_left(services: Services) -> None:
    meter = Meter(services.rates)
    verdicts = [meter.admit(SMALL, "a") for _ in range(12)]
    assert [verdict.left for verdict in verdicts] == [*range(9, -1, -1), 0, 0]
    assert [verdict.retry_after is None for verdict in verdicts] == [True] * 10 + [False] * 2
    assert 55 <= (verdicts[-1].retry_after or 0) <= 60
    assert headers([verdicts[0]]) == {"RateLimit-Policy": '"project";q=10;w=60', "RateLimit": '"project";r=9'}
    assert headers([verdicts[-1]])["RateLimit"] == f'"project";r=0;t={verdicts[-1].retry_after}'


def test_others_are_not_counted_in(services: Services) -> None:
    meter = Meter(services.rates)
    assert admitted(meter, SMALL, "a", 20) == 10
    assert admitted(meter, SMALL, "b", 20) == 10
    assert admitted(meter, Limit("key", 10), "a", 20) == 10


@pytest.mark.parametrize("limit", [SMALL, Limit("project", 1000), LARGE])
def test_processes_that_ask_at_the_same_time_do_not_exceed_it(services: Services, limit: Limit) -> None:
    asked = limit.a_minute if limit is not LARGE else 4_000
    counts: list[int] = []
    if limit is LARGE:
        while services.rates.take(limit, "a", 50) and services.rates.standing(limit, "a").left > 2_000:
            pass

    def process() -> None:
        meter = Meter(services.rates)
        for _ in range(2):  # each with two threads
            counts.append(admitted(meter, limit, "a", asked // 4))

    threads = [threading.Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    most = 2_000 if limit is LARGE else limit.a_minute
    assert sum(counts) <= most
    assert sum(counts) >= most - 4 * 2, "but for what the processes hold"


def test_who_waits_as_told_is_admitted_again(services: Services) -> None:
    clock = [0.0]
    meter = Meter(services.rates, lambda: clock[0])
    admitted(meter, SMALL, "a", 11)
    for _ in range(3):
        told = meter.admit(SMALL, "a").retry_after
        assert told is not None
        clock[0] += told
        pass_time(services, told)
        if meter.admit(SMALL, "a").retry_after is None:
            break
    else:
        pytest.fail("it was told to wait again and again")
    assert meter.admit(SMALL, "a").retry_after, "one a time, as the window moves on"


def test_after_a_while_all_of_it_is_there_again(services: Services) -> None:
    assert admitted(Meter(services.rates), SMALL, "a", 11) == 10
    pass_time(services, 60)
    pass_time(services, 59.9)
    eventually(lambda: services.rates.standing(SMALL, "a").left == 10)
    again = admitted(Meter(services.rates), SMALL, "a", 12)
    assert again in {10, 11}, "one more, if a window ended in between"


def test_most_requests_of_a_busy_client_ask_redis_nothing(services: Services) -> None:
    meter, busy = Meter(services.rates), Limit("project", 120_000)
    before = services.database.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert admitted(meter, busy, "a", 200) == 200
    calls = services.database.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert calls <= 2 * (10 + 2 * 200 / 50), (
        "two calls for each twenty, and some for each second that it took"
    )


def test_what_threads_take_at_the_same_time_is_all_handed_out(services: Services) -> None:
    at_once, busy = threading.Barrier(2), Limit("project", 120_000)

    class Together(Rates):
        def take(self, limit: Limit, who: str, count: int) -> bool:
            at_once.wait(timeout=20)  # a third call would wait alone
            return super().take(limit, who, count)

    meter = Meter(Together(services.database), now=lambda: 0.0)
    threads = [threading.Thread(target=meter.admit, args=(busy, "a")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admitted(meter, busy, "a", 2 * 20 - 2) == 38


def test_what_a_process_holds_is_given_up_after_a_second(services: Services) -> None:
    clock = [0.0]
    meter, busy = Meter(services.rates, lambda: clock[0]), Limit("project", 120_000)
    meter.admit(busy, "a")
    clock[0] += 1.1
    assert meter.admit(busy, "a").left == 120_000 - 2 * 20 + 19


def test_a_refusal_is_remembered_without_asking(services: Services) -> None:
    meter = Meter(services.rates)
    assert meter.refusal(SMALL, "a") is None
    admitted(meter, SMALL, "a", 10)
    assert meter.refusal(SMALL, "a") is None, "nobody was refused yet"
    meter.admit(SMALL, "a")
    services.database.flushall()
    assert meter.refusal(SMALL, "a") is not None
    assert Meter(services.rates).refusal(SMALL, "a") is None, "another process learns it by itself"


def test_who_asked_long_ago_is_forgotten(services: Services) -> None:
    clock = [0.0]
    meter = Meter(services.rates, lambda: clock[0])
    lease = meter._ask(SMALL, "a")
    meter._leases = {(SMALL, str(number)): lease for number in range(10_000)}
    clock[0] += 120.0
    meter.admit(SMALL, "somebody")
    assert len(meter._leases) == 1


def test_a_redis_that_is_away_is_a_temporary_error() -> None:
    from shared import database

    meter = Meter(Rates(database.connect("redis://127.0.0.1:1/0")))
    started = time.monotonic()
    with pytest.raises(Temporary):
        meter.admit(SMALL, "a")
    assert time.monotonic() - started < 10
