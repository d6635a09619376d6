"""What a stack with the default settings refuses to call; what it may call is tests/unit/test_webhook_addresses.py."""

from __future__ import annotations

import pytest

from tests.e2e import tables
from tests.support.client import Graft, train_body


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
        "https://10.0.0.1:8443/",
        "https://user:pass@example.com/",
    ],
)
def test_by_default_no_url_that_leads_inside_is_taken(graft: Graft, url: str) -> None:
    made = graft.post("/v1/webhooks", json={"url": url, "events": ["job.failed"]})
    assert (made.status_code, made.json()["errors"][0]["pointer"]) == (422, "/url")
    dataset = graft.dataset(tables.iris())
    job = train_body(dataset, "told", webhook_url=url)
    assert graft.refused(job) == ["/webhook_url"]
    schedule = graft.post("/v1/schedules", json={"name": "told", "cron": "0 0 1 1 *", "job": job})
    assert (schedule.status_code, schedule.json()["errors"][0]["pointer"]) == (422, "/job/webhook_url")
