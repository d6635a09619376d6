"""The store of deliveries: what is due, what was tried and how it went, and how to have it again.

    pending ── taken by a courier ──▶ called ──▶ succeeded
       ▲                                │ ├────▶ failed     no try is left, or the endpoint is gone
       └────────── tried again ─────────┘ └────▶ discarded  the endpoint was switched off before

A courier holds a delivery under a token with a lease. If it is lost between the call and the record, the delivery is
due again when the lease has run out: the receiver may hear of an event twice, under the same `webhook-id`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from ulid import ULID

from shared import keys
from shared.contracts.base import from_ms
from shared.contracts.webhooks import TEST_EVENT, Delivery, DeliveryAttempt
from shared.database import Database
from shared.errors import Conflict, NotFound
from shared.webhooks.answers import Answer

MOST_LOGGED = 20
MOST_REPLAYED = 1_000
FAILURES_IN_A_ROW = 10
_EXPIRED_AT_A_TIME = 500

Outcome = Literal["succeeded", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is the caller's to attempt, with its endpoint and the record of the secret for jobs' URLs."""

    token: str
    delivery: Mapping[str, str]
    endpoint: Mapping[str, str]
    of_jobs: Mapping[str, str]

    @property
    def project(self) -> str:
        return self.delivery["project"]

    @property
    def tries(self) -> int:
        """With the one to come."""
        return int(self.delivery["tries"])


class DeliveryStore:
    """Deliveries in Redis. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        most_tries: int,
        disable_seconds: float,
        most_kept: int,
        new_token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._redis = database
        self._lease_ms = int(lease_seconds * 1000)
        self._most_tries = most_tries
        self._disable_ms = int(disable_seconds * 1000)
        self._most_kept = most_kept
        self._new_token = new_token
        self._take = database.script("take_delivery")
        self._record = database.script("record_delivery")
        self._replay = database.script("replay_delivery")
        self._test = database.script("test_webhook")
        self._expire = database.script("expire_deliveries")

    # What couriers do

    def take(self, *, pass_over: Iterable[str] = ()) -> Taken | None:
        """The delivery that is due first, but not of those projects. None if there is none."""
        token = self._new_token()
        answer = self._take(
            keys=[keys.taken(token)],
            args=[token, self._lease_ms, self._most_tries, MOST_LOGGED, *pass_over],
        )
        return Taken(token, *map(_pairs, answer)) if answer else None

    def record(
        self, taken: Taken, answer: Answer, *, next_seconds: float | None, pause_seconds: float
    ) -> bool:
        """Write down what came of it. False if the delivery is not the caller's any more; nothing has changed then."""
        delivery, webhook = taken.delivery["id"], taken.delivery["webhook"]
        outcome: Outcome = "succeeded" if answer.error is None else "gone" if answer.is_gone else "failed"
        line = {
            "at": int(taken.delivery["taken_at"]),
            "status": answer.status,
            "duration_ms": round(answer.seconds * 1000),
            "error": answer.error,
            "response": answer.excerpt or None,
        }
        recorded = self._record(
            keys=[keys.delivery(taken.project, delivery), keys.webhook(taken.project, webhook)],
            args=[
                taken.token,
                taken.project,
                webhook,
                delivery,
                outcome,
                json.dumps({name: value for name, value in line.items() if value is not None}),
                "" if next_seconds is None else int(next_seconds * 1000),
                int(pause_seconds * 1000),
                FAILURES_IN_A_ROW,
                self._disable_ms,
                MOST_LOGGED,
                self._most_kept,
            ],
        )
        return bool(recorded == "done")

    # What clients do

    def get(self, project: str, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        record = self._redis.hgetall(keys.delivery(project, delivery_id))
        if not record:
            raise unknown(delivery_id)
        return to_delivery(record)

    def page(
        self, project: str, webhook_id: str, *, limit: int, after: str | None = None
    ) -> tuple[list[Delivery], bool]:
        """Newest first: up to `limit` deliveries of an endpoint older than `after`, and whether there are more."""
        records, more = self._redis.newest(
            keys.deliveries(project, webhook_id), partial(keys.delivery, project), limit=limit, after=after
        )
        return [to_delivery(record) for record in records], more

    def of_job(self, record: Mapping[str, str]) -> list[Delivery]:
        """Those to the URL that a job names itself: none before its end, then one."""
        found = self._redis.hgetall(keys.delivery(record["project"], record.get("delivery", "")))
        return [to_delivery(found)] if found else []

    def replay(self, project: str, webhook_id: str, delivery_id: str) -> Delivery:
        """Deliver once more, with all tries anew. Raises NotFound, and Conflict for one that is switched off."""
        if self._again(project, webhook_id, delivery_id, 0) == -2:
            raise unknown(delivery_id)
        return self.get(project, delivery_id)

    def replay_since(self, project: str, webhook_id: str, since: datetime) -> int:
        """All that failed or were discarded since then, oldest first, `MOST_REPLAYED` at a time. Raises Conflict."""
        return self._again(project, webhook_id, "", int(since.timestamp() * 1000))

    def test(self, project: str, webhook_id: str) -> Delivery:
        """Have it sent a test event. Raises Conflict for an endpoint that is switched off."""
        made = self._test(
            keys=[keys.webhook(project, webhook_id)], args=[project, webhook_id, TEST_EVENT, f"msg_{ULID()}"]
        )
        if not made:
            raise _off()
        return self.get(project, made)

    def counts(self, project: str | None = None) -> list[tuple[str, str, int]]:
        """(project, outcome, attempts) of a project, or of all: succeeded, failed or gone."""
        found = [
            (*keys.split_member(name), int(count))
            for name, count in self._redis.hgetall(keys.WEBHOOK_COUNTS).items()
        ]
        return sorted(entry for entry in found if project in {None, entry[0]})

    # What the sweeper does

    def expire(self, project: str, before_ms: int) -> int:
        """Forget what happened before that time and has ended. Returns how many deliveries."""
        gone = 0
        indexes = (keys.webhooks(project), keys.webhook_urls(project))
        for webhook_id in [found for index in indexes for found in self._redis.zrange(index, 0, -1)]:
            while forgotten := int(
                self._expire(
                    keys=[
                        keys.webhook(project, webhook_id),
                        keys.deliveries(project, webhook_id),
                        keys.due_deliveries(project, webhook_id),
                    ],
                    args=[project, webhook_id, before_ms, _EXPIRED_AT_A_TIME],
                )
            ):
                gone += forgotten
        return gone

    def _again(self, project: str, webhook_id: str, delivery_id: str, since_ms: int) -> int:
        answer = int(
            self._replay(
                keys=[keys.webhook(project, webhook_id), keys.deliveries(project, webhook_id)],
                args=[project, webhook_id, delivery_id, since_ms, MOST_REPLAYED],
            )
        )
        if answer == -1:
            raise _off()
        return answer


def unknown(delivery_id: str) -> NotFound:
    return NotFound(f"there is no delivery {delivery_id}", code="unknown_delivery")


def to_delivery(record: Mapping[str, str]) -> Delivery:
    webhook, lines = record["webhook"], {}
    for name, value in record.items():
        if name.startswith("attempt:"):
            lines[int(name.partition(":")[2])] = value
    return Delivery(
        id=record["id"],
        event=record["event"],
        message=record["message"],
        webhook=None if webhook.startswith("url_") else webhook,
        job=record.get("job"),
        schedule=record.get("schedule"),
        status=record["status"],
        created_at=from_ms(int(record["occurred_at"])),
        next_attempt_at=from_ms(int(record["next_at"])) if "next_at" in record else None,
        attempts=[_attempt(json.loads(lines[number])) for number in sorted(lines)],
    )


def _attempt(line: dict[str, Any]) -> DeliveryAttempt:
    return DeliveryAttempt(**{**line, "at": from_ms(int(line["at"]))})


def _off() -> Conflict:
    return Conflict("the webhook is disabled; enable it first", code="webhook_disabled")


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
