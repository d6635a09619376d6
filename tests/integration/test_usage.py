"""What is written down of usage on a real Redis, and how long it is kept."""

from __future__ import annotations

from datetime import date, timedelta

from api.usage import RequestCounter
from shared import database, keys
from shared.contracts.jobs import Usage
from shared.contracts.usage import Stored
from shared.job_records import Lease, NewJob
from shared.services import Services
from shared.shards import NewShard
from shared.usage import UsageStore
from tests.support.waiting import eventually


def requests(services: Services, project: str) -> int:
    today = services.usage.today()
    return services.usage.report(project, today, today, Stored()).total.requests


def test_requests_are_written_down_by_and_by_and_the_rest_at_the_end(services: Services) -> None:
    counter = RequestCounter(services.usage)
    counter.start()
    for _ in range(3):
        counter.count("a")
    counter.count("b")
    eventually(lambda: requests(services, "a") == 3, 10)
    counter.count("a")
    counter.stop()
    assert (requests(services, "a"), requests(services, "b")) == (4, 1)


def test_requests_that_could_not_be_written_down_are_written_later(services: Services) -> None:
    away = UsageStore(database.connect("redis://127.0.0.1:1/0"))
    counter = RequestCounter(away)
    counter.count("a")
    counter._write()
    counter._usage = services.usage
    counter.count("a")
    counter._write()
    assert requests(services, "a") == 2


def test_a_job_that_is_stopped_counts_what_its_waiting_shards_had_used(services: Services) -> None:
    """The random histories meet this too seldom to be relied on."""
    jobs, shards = services.jobs, services.shards
    job_id = jobs.submit(NewJob(project="default", type="batch_predict", spec={}))[0].id
    planning = claimed(services)
    parts = [NewShard([{"number": n}], None) for n in range(2)]
    assert shards.split(planning, "normal", parts, table={"rows": 2}, failed_allowed=0) == "done"
    shard = claimed(services)
    used = {"wall_seconds": 7.0, "cpu_seconds": 5.0, "peak_rss_bytes": 3}
    jobs.renew(shard, rows_scored=0, usage=used)
    assert jobs.release(shard, "normal", reason="drained") == "done"
    jobs.cancel("default", job_id)
    job = jobs.get("default", job_id)
    assert (job.status, job.usage) == ("cancelled", Usage.model_validate(used))


def claimed(services: Services) -> Lease:
    found = services.jobs.claim("normal", "worker")
    assert found is not None
    return found[0]


def test_days_are_forgotten_when_they_are_old(services: Services) -> None:
    today = services.usage.today()
    numbers = {age: (today - date(1970, 1, 1)).days - age for age in (0, 9, 10, 11, 300)}
    for number in numbers.values():
        services.database.hset(keys.usage("a", number), "requests", 1)
    services.usage.forget("a", days=10)
    days = services.usage.report("a", today - timedelta(days=365), today, Stored()).days
    assert [(today - day.date).days for day in days] == [10, 9, 0]
