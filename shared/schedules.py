"""The schedule store: schedules, the occurrences that have been decided, and which is next.

    graft:schedules ── when to look ──▶ a schedule's `next_at` ── decided by one script ──▶ an occurrence's record
                                                                  (with its job, if it gets one)

Whoever decides an occurrence names the revision of the schedule and the nominal time that it has seen as next; if
either has changed meanwhile, nothing happens. So any number of workers may try, and an occurrence is decided once. The
clock is Redis's; times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ulid import ULID

from shared import keys
from shared.conditions import UNCONDITIONAL, Condition
from shared.contracts.schedules import Occurrence, ScheduleBody
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound, PreconditionFailed, TooMany
from shared.job_records import OccurrenceCall
from shared.jobs import key_reused
from shared.schedule_names import named
from shared.schedule_records import Decision, Standing, Waiting, encode_decision, to_occurrence, to_standing
from shared.timetable import Timetable, timetable

MOST_KEPT = 1_000
"""Occurrences of a schedule that are remembered, the newest."""

_TRIES = 5


class ScheduleStore:
    """Schedules in Redis. Safe to share between threads and processes."""

    def __init__(
        self,
        database: Database,
        *,
        max_schedules: int,
        idempotency_seconds: int,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """`clock` answers milliseconds since the epoch; without one it is Redis's."""
        self._redis = database
        self._max_schedules = max_schedules
        self._idempotency_seconds = idempotency_seconds
        self.now_ms = clock or self._redis_ms
        self._put = database.script("put_schedule")
        self._delete = database.script("delete_schedule")
        self._decide = database.script("decide")
        self._look_again = database.script("look_again")

    # What clients do

    def create(
        self, project: str, body: ScheduleBody, *, idempotency: tuple[str, str] | None = None
    ) -> tuple[Standing, bool]:
        """A new schedule, and whether it is a replay.

        Raises TooMany over quota, InvalidInput for an Idempotency-Key that came with another body.
        """
        schedule_id, now = f"sch_{ULID()}", self.now_ms()
        table = timetable(schedule_id, body)
        next_ms = first_ms(body, table, now)
        fields: dict[str, str | int] = {"id": schedule_id, "project": project, "created_at": now}
        found, replayed = self._write(
            project, schedule_id, body, table, next_ms, now, fields, idempotency=idempotency
        )
        return self.get(project, found), replayed

    def get(self, project: str, schedule_id: str) -> Standing:
        """Raises NotFound, also for another project's."""
        record = self._redis.hgetall(keys.schedule(project, schedule_id))
        if not record:
            raise _unknown(schedule_id)
        return to_standing(record)

    def page(self, project: str, *, limit: int, after: str | None = None) -> tuple[list[Standing], bool]:
        """Newest first: up to `limit` schedules older than `after`, and whether there are more."""
        records, more = self._redis.newest(
            keys.schedules(project), partial(keys.schedule, project), limit=limit, after=after
        )
        return [to_standing(record) for record in records], more

    def update(
        self,
        project: str,
        schedule_id: str,
        change: Callable[[Standing], ScheduleBody],
        *,
        condition: Condition = UNCONDITIONAL,
    ) -> Standing:
        """Change a schedule; `change` is asked again if it has changed meanwhile.

        Raises NotFound, Conflict, and PreconditionFailed if it is not as the condition has it.
        Occurrences that were due are those of the new timetable since then; what fell into a pause is not caught up.
        """
        for _ in range(_TRIES):
            seen = self._expected(project, schedule_id, condition)
            body, now = change(seen), self.now_ms()
            table = timetable(schedule_id, body)
            next_ms = _next_after_change(seen, body, table, now)
            try:
                self._write(project, schedule_id, body, table, next_ms, now, {}, seen=seen)
            except Conflict:
                continue
            return self.get(project, schedule_id)
        raise _busy(schedule_id)

    def delete(self, project: str, schedule_id: str, *, condition: Condition = UNCONDITIONAL) -> None:
        """Forget a schedule and its occurrences. Its jobs go on. Raises NotFound, Conflict, PreconditionFailed."""
        for _ in range(_TRIES):
            seen = self._expected(project, schedule_id, condition)
            guard = ("", "") if condition == UNCONDITIONAL else (str(seen.revision), _text(seen.next_ms))
            answer = self._delete(
                keys=[
                    keys.schedule(project, schedule_id),
                    keys.occurrences(project, schedule_id),
                    keys.waiting_occurrences(project, schedule_id),
                    keys.schedule_users(project, schedule_id),
                    keys.schedules(project),
                    keys.SCHEDULES,
                ],
                args=[
                    schedule_id,
                    keys.member(project, schedule_id),
                    keys.occurrence(project, schedule_id, "%s"),
                    *guard,
                ],
            )
            if answer == "unknown":
                raise _unknown(schedule_id)
            if answer == "done":
                return
        raise _busy(schedule_id)

    def _expected(self, project: str, schedule_id: str, condition: Condition) -> Standing:
        seen = self.get(project, schedule_id)
        if not condition.matches(seen.tag) or condition.excludes(seen.tag):
            raise PreconditionFailed(seen.tag)
        return seen

    def occurrences(
        self, project: str, schedule_id: str, *, limit: int, after: str | None = None
    ) -> tuple[list[tuple[str, Occurrence]], bool]:
        """Newest first: up to `limit` decided occurrences before `after`, each with its cursor; and whether there
        are more. Raises NotFound."""
        self.get(project, schedule_id)
        decided = keys.occurrences(project, schedule_id)
        upper = f"({after}" if after else "+inf"
        nominal = self._redis.zrange(decided, upper, "-inf", desc=True, byscore=True, offset=0, num=limit + 1)
        with self._redis.pipeline() as pipe:
            for item in nominal[:limit]:
                pipe.hgetall(keys.occurrence(project, schedule_id, item))
            found = zip(nominal, pipe.execute(), strict=False)
            return [(item, to_occurrence(record)) for item, record in found if record], len(nominal) > limit

    # What workers do

    def due(self, now_ms: int) -> list[tuple[str, str]]:
        """(project, id) of every schedule that is to be looked at."""
        members = self._redis.zrange(keys.SCHEDULES, "-inf", now_ms, byscore=True)
        return [keys.split_member(member) for member in members]

    def waiting(self, standing: Standing) -> list[Waiting]:
        """The occurrences that wait for their job, oldest first."""
        project, schedule_id = standing.project, standing.id
        nominal = self._redis.zrange(keys.waiting_occurrences(project, schedule_id), 0, -1)
        with self._redis.pipeline() as pipe:
            for item in nominal:
                pipe.hmget(keys.occurrence(project, schedule_id, item), "decided_at", "code")
            records = pipe.execute() if nominal else []
        return [
            Waiting(int(item), int(since), code or "")
            for item, (since, code) in zip(nominal, records, strict=True)
            if since is not None
        ]

    def call(self, standing: Standing, decision: Decision) -> OccurrenceCall:
        """What a script needs to write down that decision."""
        project, schedule_id, nominal = standing.project, standing.id, decision.nominal_ms
        table, fields = standing.timetable, encode_decision(decision)
        following = table.after(decision.through_ms or nominal) if decision.how == "next" else None
        return OccurrenceCall(
            keys=[
                keys.schedule(project, schedule_id),
                keys.occurrences(project, schedule_id),
                keys.waiting_occurrences(project, schedule_id),
                keys.occurrence(project, schedule_id, nominal),
                keys.schedule_users(project, schedule_id),
            ],
            args=[
                decision.how,
                nominal,
                standing.revision,
                _text(following),
                _text(following and table.due_ms(following)),
                "alone" if decision.alone else "",
                MOST_KEPT,
                keys.occurrence(project, schedule_id, "%s"),
                len(fields) // 2,
                *fields,
            ],
        )

    def decide(self, standing: Standing, decision: Decision) -> bool:
        """Write down what becomes of an occurrence that gets no job (yet). False if it has been decided already."""
        call = self.call(standing, decision)
        return bool(self._decide(keys=call.keys, args=call.args))

    def look_again(self, project: str, schedule_id: str) -> None:
        """Have the schedule looked at when its next occurrence is due, or each time while others wait."""
        self._look_again(
            keys=[
                keys.schedule(project, schedule_id),
                keys.waiting_occurrences(project, schedule_id),
                keys.SCHEDULES,
            ],
            args=[keys.member(project, schedule_id)],
        )

    def _write(
        self,
        project: str,
        schedule_id: str,
        body: ScheduleBody,
        table: Timetable,
        next_ms: int | None,
        now_ms: int,
        fields: Mapping[str, str | int],
        *,
        seen: Standing | None = None,
        idempotency: tuple[str, str] | None = None,
    ) -> tuple[str, bool]:
        is_as_before = seen is not None and seen.body.job == body.job
        names = [] if is_as_before else named(project, body.job)
        key_digest, body_digest = idempotency or ("", "")
        all_fields = {
            **fields,
            "body": body.model_dump_json(),
            "updated_at": now_ms,
            "next_at": _text(next_ms),
            "due_at": _text(next_ms and table.due_ms(next_ms)),
        }
        answer = self._put(
            keys=[
                keys.schedule(project, schedule_id),
                keys.waiting_occurrences(project, schedule_id),
                keys.SCHEDULES,
                keys.schedules(project),
                keys.idempotency(project, key_digest),
                *(key for item in names for key in item.pair),
            ],
            args=[
                schedule_id,
                keys.member(project, schedule_id),
                self._max_schedules,
                seen.revision if seen else "",
                _text(seen.next_ms) if seen else "",
                body_digest,
                self._idempotency_seconds,
                "as before" if is_as_before else len(names),
                *(part for pair in all_fields.items() for part in pair),
            ],
        )
        match answer:
            case ["done", found]:
                return found, False
            case ["replayed", found]:
                return found, True
            case ["mismatch"]:
                raise key_reused()
            case ["gone", position]:
                pointer = names[int(position)].pointer
                raise InvalidInput.at(pointer, "does not exist any more", code="unknown_reference")
            case ["quota"]:
                raise TooMany(
                    f"the project has {self._max_schedules} schedules, its limit; delete one first",
                    code="too_many_schedules",
                )
        raise Conflict(f"{schedule_id} has changed meanwhile", code="schedule_changing")

    def _redis_ms(self) -> int:
        seconds, microseconds = self._redis.time()
        return int(seconds * 1000 + microseconds // 1000)


def first_ms(body: ScheduleBody, table: Timetable, now_ms: int) -> int | None:
    """The first nominal time of a new schedule. A start in the past counts if what was missed is to be caught up."""
    looks_back = body.catch_up != "none" and body.start is not None and not body.paused
    return table.after(0 if looks_back else now_ms)


def _next_after_change(seen: Standing, body: ScheduleBody, table: Timetable, now_ms: int) -> int | None:
    """Which occurrence is next once a schedule has been changed."""
    resumed = seen.body.paused and not body.paused
    timing = {"cron", "timezone", "start", "end"}
    if not resumed and seen.body.model_dump(include=timing) == body.model_dump(include=timing):
        return seen.next_ms
    overdue = seen.next_ms is not None and seen.next_ms <= now_ms and not resumed
    since = seen.next_ms - 1 if overdue and seen.next_ms is not None else now_ms
    return table.after(max(since, seen.last_ms or 0))


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _unknown(schedule_id: str) -> NotFound:
    return NotFound(f"there is no schedule {schedule_id}", code="unknown_schedule")


def _busy(schedule_id: str) -> Conflict:
    return Conflict(f"{schedule_id} is being changed by others; try again", code="schedule_changing")
