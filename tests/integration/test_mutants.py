"""Takes guards out of the job store one at a time, and requires that the state machine notices each.

A guard that the machine does not miss is either not needed or not tested. Some are doubled on purpose and so have
no mutant of their own: only a running job has a token, so finish and release check the state a second time. Without
its ZREM, claim.lua would never end, which Redis does not survive.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from hypothesis import Phase, seed
from hypothesis import settings as run_settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from graft.stack import RunningServer
from tests.integration.test_job_invariants import PROFILES, JobHistory, World, world_on
from tests.integration.test_occurrence_invariants import OccurrenceHistory
from tests.integration.test_shard_invariants import ShardHistory
from tests.support.mutants import Mutant

#: The histories that the product as it is survives in test_…_invariants.py; who survives them, too, is hunted through
#: as many others, some times, for a few defects show in few histories. With HYPOTHESIS_PROFILE=soak the product goes
#: through more of them than any mutant here.
HUNT = run_settings(PROFILES["ci"], phases=[Phase.generate], report_multiple_bugs=False)
OTHER_SEEDS = (1, 2, 3, 4, 5)

OWNS = "if held[1] ~= ARGV[1] or not string.find(ARGV[5], held[2] or '?', 1, true) then return "
IN_THE_STATE = "if not string.find(ARGV[5], held[2] or '?', 1, true) then return "
LEAVES_RUNNING = "move(KEYS[4], KEYS[5], id)"
ENTERS_ONLY = "redis.call('ZADD', KEYS[5], 0, id)"


def mutants_of(script: str, *defects: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(name, f"shared/lua/{script}.lua", *texts) for name, *texts in defects]


MUTANTS = [
    *mutants_of(
        "submit",
        (
            "accepts a second job for the same key",
            "if digest ~= '' then\n  local seen",
            "if false then\n  local seen",
        ),
        ("takes another body for a replay", "if seen[1] == digest then", "if seen[1] then"),
        ("does not remember the key", "redis.call('HSET', idempotency, 'digest', digest, 'job', id)", ""),
        ("has no quota", ">= tonumber(ARGV[3]) then return {'quota'}", "< 0 then return {'quota'}"),
        ("accepts one job over the quota", ">= tonumber(ARGV[3])", "> tonumber(ARGV[3])"),
        (
            "counts queued jobs only",
            "redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4])",
            "redis.call('ZCARD', KEYS[3])",
        ),
        ("uses what does not exist", "if redis.call('EXISTS', KEYS[i]) == 0 then", "if false then"),
        ("does not hold what it uses", "redis.call('SADD', KEYS[i + 1], id)", ""),
        ("pushes no wake-up", "redis.call('LPUSH', KEYS[7], ARGV[6])", ""),
        ("forgets to index the state", "redis.call('ZADD', KEYS[3], 0, id)", ""),
        ("forgets to line the job up", "make_ready(KEYS[5], KEYS[6], project, id)", ""),
    ),
    *mutants_of(
        "claim",
        (
            "does not look at the state",
            "job and redis.call('HGET', job, 'status') == source\n",
            "job\n",
        ),
        ("leaves the job in line", "redis.call('ZPOPMIN', ready_of)", "redis.call('ZRANGE', ready_of, 0, 0)"),
        ("takes a second job when sent again", "if before[1] then return before end", ""),
        (
            "charges an interrupted attempt",
            "if held[2] ~= '1' then attempt = attempt + 1 end",
            "attempt = attempt + 1",
        ),
        (
            "leaves the job in the index of queued ones",
            "move(string.format(ARGV[8], project), string.format(ARGV[9], project), id)",
            "redis.call('ZADD', string.format(ARGV[9], project), 0, id)",
        ),
        ("gives no lease", "redis.call('ZADD', leases, now + lease, project .. '/' .. id)", ""),
        ("leaves nobody woken for the jobs that remain", "redis.call('LPUSH', KEYS[3], ARGV[10])", ""),
        (
            "lets one project have all the turns",
            "redis.call('ZREM', ready, project)\n  if redis.call('EXISTS', ready_of) == 1 then",
            "if redis.call('EXISTS', ready_of) == 0 then redis.call('ZREM', ready, project) else",
        ),
        ("forgets who has had a turn", "redis.call('HSET', served_in(ready), project, turn())", ""),
        (
            "charges a turn for what is no job",
            "if claimed then redis.call('HSET', served_in",
            "if true then redis.call('HSET', served_in",
        ),
    ),
    *mutants_of(
        "_prelude",
        ("sends newcomers to the end of the line", "turn() - 4e15", "turn()"),
        ("lets who comes back overtake", "place or string.format", "string.format"),
        ("counts the jobs of a project as one", "'HINCRBY', day, 'jobs:'", "'HSET', day, 'jobs:'"),
        ("remembers no peak", "local peak = math.max(used", "local peak = math.min(used"),
    ),
    *mutants_of(
        "renew",
        ("does not check the token", "if held[1] ~= ARGV[1] then return 'lost' end", ""),
        (
            "does not prolong the lease",
            "redis.call('ZADD', KEYS[2], now_ms() + tonumber(ARGV[3]), ARGV[2])",
            "",
        ),
        ("does not tell of a cancel", "if held[2] then return 'cancel' end", ""),
    ),
    *mutants_of("note", ("does not check the token", "if held[1] ~= ARGV[1] then return 'lost' end", "")),
    *mutants_of(
        "finish",
        ("does not check the token", OWNS, IN_THE_STATE),
        ("takes a lease that still runs", "if ARGV[7] == 'expired' then", "if false then"),
        ("does not know its own call again", "if held[4] == ARGV[1] then", "if false then"),
        ("leaves the job in the index of running ones", LEAVES_RUNNING, ENTERS_ONLY),
        ("leaves the lease", "redis.call('ZREM', leases, ARGV[2])", ""),
        ("leaves the token", "redis.call('HDEL', job, 'token', 'checkpoint')", ""),
        ("holds what the job used", "release_uses(job, id)", ""),
        ("does not link the version to the job", "redis.call('HSET', job, 'model_version', version)", ""),
        ("does not count what was used", "count_ended(job, state)", ""),
        ("overwrites the version before", "version = 1 + math.max(", "version = 1 + 0 * math.max("),
        ("does not tell that anything changed", "touch(job)", ""),
        ("logs another state", "record(KEYS[2], state, state,", "record(KEYS[2], state, 'running',"),
    ),
    *mutants_of(
        "release",
        ("does not check the token", OWNS, IN_THE_STATE),
        ("takes a lease that still runs", "if ARGV[7] == 'expired' then", "if false then"),
        ("ignores that the job was asked to stop", "if held[4] then return 'cancel' end", ""),
        ("leaves the job in the index of running ones", LEAVES_RUNNING, ENTERS_ONLY),
        ("leaves the lease", "redis.call('ZREM', leases, ARGV[2])", ""),
        ("leaves the token", "redis.call('HDEL', job, 'token', ", "redis.call('HDEL', job, "),
        (
            "never charges again after an interruption",
            "local uncharged = 0",
            "local uncharged = redis.call('HGET', job, 'uncharged') or 0",
        ),
        ("charges every interruption", "uncharged = 1\n", "uncharged = 0\n"),
        ("charges no interruption", "if tonumber(held[5]) < tonumber(ARGV[11]) then", "if true then"),
        (
            "charges one interruption too late",
            "tonumber(held[5]) < tonumber",
            "tonumber(held[5]) <= tonumber",
        ),
        ("gives back what has no attempt left", "return 'spent'\n", ""),
        ("does not count interruptions", "redis.call('HINCRBY', job, 'interruptions', 1)", ""),
        ("does not wait before a retry", "if delay > 0 then", "if false then"),
        ("pushes no wake-up", "redis.call('LPUSH', KEYS[9], ARGV[10])", ""),
        ("lines nothing up", "make_ready(KEYS[6], KEYS[7], project, id)", ""),
    ),
    *mutants_of(
        "cancel",
        (
            "leaves the job in the index of queued ones",
            "move(KEYS[3], KEYS[4], id)",
            "redis.call('ZADD', KEYS[4], 0, id)",
        ),
        ("leaves the job in line", "redis.call('ZREM', KEYS[6], id)", ""),
        ("keeps a project in line that has no job", "redis.call('ZREM', KEYS[5], ARGV[2])", ""),
        ("leaves the job among the delayed", "redis.call('ZREM', KEYS[7], ARGV[3])", ""),
        ("does not count it", "count_ended(job, 'cancelled')", ""),
        ("holds what the job used", "release_uses(job, id)", ""),
        ("asks a job to stop that has ended", "if status ~= 'running' then return 'terminal' end", ""),
        (
            "ends a running job itself",
            "if status == 'queued' then",
            "if status == 'queued' or status == 'running' then",
        ),
        ("asks twice", "if held[2] then return 'again' end", ""),
        ("asks nobody", "redis.call('HSET', job, 'cancel_requested_at', now)", ""),
    ),
    *mutants_of(
        "dispatch",
        ("leaves the job among the delayed", "redis.call('ZREM', KEYS[1], member)", ""),
        ("does not wait until it is due", "'-inf', now, 'LIMIT'", "'-inf', '+inf', 'LIMIT'"),
        ("wakes nobody for a retry", "redis.call('LPUSH', queues[queue].list, queues[queue].wake)", ""),
        ("does not make up for lost wake-ups", "redis.call('LPUSH', queue.list, queue.wake)", ""),
        (
            "pushes wake-ups that are not overdue",
            "oldest and now - tonumber(oldest) / 1000 > tonumber(ARGV[2]) and",
            "oldest and",
        ),
        ("pushes wake-ups beside others", " and redis.call('LLEN', queue.list) == 0", ""),
    ),
    *mutants_of(
        "delete_dataset",
        ("deletes what a live job reads", "redis.call('SMEMBERS', KEYS[2])", "{}"),
    ),
    *mutants_of(
        "drop_lease",
        (
            "drops the lease of a running job",
            "if redis.call('HEXISTS', KEYS[1], 'token') == 1 then return 0 end",
            "",
        ),
    ),
    *mutants_of(
        "_prelude",
        (
            "sends a project back in line with each job",
            "if redis.call('ZSCORE', ready, project) then return end",
            "",
        ),
    ),
    Mutant(
        "the rescuer has no cap on attempts",
        "worker/upkeep/rescuer.py",
        'if attempt < int(record.get("max_attempts", 0)):',
        "if True:",
    ),
    Mutant(
        "the rescuer allows one attempt too many",
        "worker/upkeep/rescuer.py",
        "if attempt < int",
        "if attempt <= int",
    ),
    Mutant(
        "the rescuer takes attempts away",
        "worker/upkeep/rescuer.py",
        "if attempt < int",
        "if attempt + 1 < int",
    ),
    Mutant(
        "the rescuer leaves jobs that were asked to stop",
        "worker/upkeep/rescuer.py",
        '== "cancel":',
        '== "never":',
    ),
    Mutant(
        "the rescuer fails a job that was asked to stop",
        "worker/upkeep/rescuer.py",
        'elif "cancel_requested_at" in record:',
        "elif False:",
    ),
    Mutant(
        "the rescuer gives back what was renewed meanwhile",
        "worker/upkeep/rescuer.py",
        'reason="worker_lost", expired_only=True) ==',
        'reason="worker_lost") ==',
    ),
    Mutant(
        "the rescuer fails what was renewed meanwhile",
        "worker/upkeep/rescuer.py",
        'reason="worker_lost", expired_only=True, error',
        'reason="worker_lost", error',
    ),
    Mutant(
        "the rescuer gives up when it is overtaken",
        "worker/upkeep/rescuer.py",
        "except LostLease:",
        "except ZeroDivisionError:",
    ),
    Mutant(
        "the rescuer leaves leftovers", "worker/upkeep/rescuer.py", "services.jobs.drop_lease(lease)", "pass"
    ),
    Mutant(
        "leases that still run are not told from others",
        "shared/jobs.py",
        'keys.LEASES, "-inf", now, byscore',
        'keys.LEASES, "-inf", 0, byscore',
    ),
]

DECIDED_BY_ANOTHER = "if occurrence and not is_undecided(occurrence) then return {'decided'} end"

MUTANTS_OF_SCHEDULES = [
    *mutants_of(
        "submit",
        ("gives an occurrence a second job", DECIDED_BY_ANOTHER, ""),
        ("does not write down which job it has", "if occurrence then decide(occurrence, 'job', id) end", ""),
        (
            "lets an occurrence overlap",
            "if occurrence and overlaps(occurrence) then return {'overlaps'} end",
            "",
        ),
    ),
    *mutants_of("decide", ("decides again", "if not is_undecided(occurrence) then return 0 end", "")),
    *mutants_of(
        "_occurrences",
        ("goes by a schedule of before", "if held[1] ~= occurrence.revision then return false end", ""),
        ("decides what is not next", "return held[2] == occurrence.nominal end", "return true end"),
        (
            "decides what does not wait any more",
            "return redis.call('ZSCORE', occurrence.waiting, occurrence.nominal) end",
            "return true end",
        ),
        ("runs one by hand twice", "return redis.call('EXISTS', occurrence.record) == 0", "return true"),
        (
            "does not see that a job lives",
            "if redis.call('SCARD', occurrence.jobs) > 0 then return true end",
            "",
        ),
        (
            "keeps nobody waiting",
            "redis.call('ZADD', occurrence.waiting, occurrence.nominal, occurrence.nominal)",
            "",
        ),
        ("keeps them waiting for ever", "redis.call('ZREM', occurrence.waiting, occurrence.nominal)", ""),
        (
            "decides the same one over and over",
            "redis.call('HSET', occurrence.schedule, 'next_at', occurrence.following, 'due_at', occurrence.due)",
            "redis.call('HSET', occurrence.schedule, 'next_at', occurrence.nominal, 'due_at', occurrence.due)",
        ),
        (
            "forgets what was done last",
            "redis.call('HSET', occurrence.schedule, 'last_at', occurrence.nominal)",
            "",
        ),
        (
            "forgets the list",
            "redis.call('ZADD', occurrence.decided, occurrence.nominal, occurrence.nominal)",
            "",
        ),
        ("never looks again", "if at then redis.call('ZADD', all, at, member) else", "if false then else"),
        (
            "does not come back to those that wait",
            "if redis.call('ZCARD', waiting) > 0 then at = 0 end",
            "",
        ),
    ),
    *mutants_of(
        "put_schedule",
        (
            "overwrites what has changed meanwhile",
            "elseif held[1] ~= revision or (held[2] or '') ~= ARGV[5] then",
            "elseif false then",
        ),
    ),
    Mutant(
        "the scheduler never gives what waits its job",
        "worker/upkeep/scheduler.py",
        "elif not self._try(attempt):",
        "else:",
    ),
]


MUTANTS_OF_SHARDS = [
    *mutants_of(
        "split",
        (
            "does not check the token",
            "if not holds(job, ARGV[1], KEYS[3], ARGV[2]) then return 'lost' end",
            "",
        ),
        (
            "splits twice when sent again",
            "if held[1] == ARGV[1] then return redis.call('HGET', job, 'split_answer') end",
            "",
        ),
        ("leaves the token", "redis.call('HDEL', job, 'token', 'worker', 'progress')", ""),
        ("leaves the lease", "redis.call('ZREM', KEYS[3], ARGV[2])", ""),
        ("lines no shard up", "make_next_shard_ready(job, KEYS[4], KEYS[5], project)", ""),
        ("scores again what was scored", "if state == 'queued' then", "if true then"),
        ("does not count what was scored", "scored + tonumber(ARGV[i + 2])", "scored"),
    ),
    *mutants_of(
        "finish_shard",
        ("does not check the token", "if not holds(shard,", "if false and not holds(shard,"),
        ("does not know its own call again", "if held[1] == ARGV[1] then", "if false then"),
        ("takes a lease that still runs", "KEYS[2], ARGV[2], ARGV[8])", "KEYS[2], ARGV[2], '')"),
        (
            "leaves it in the index of running shards",
            "move(shards_in(job, 'running'), shards_in(job, state), id)",
            "redis.call('ZADD', shards_in(job, state), 0, id)",
        ),
        ("leaves the lease", "redis.call('ZREM', KEYS[2], ARGV[2])", ""),
        ("leaves the token", "redis.call('HDEL', shard, 'token')", ""),
        ("forgets what lost attempts used", "or redis.call('HGET', shard, 'usage'))", "or '{}')"),
        (
            "counts rows of a shard that failed",
            "state == 'succeeded' and tonumber(ARGV[9]) or 0",
            "tonumber(ARGV[9])",
        ),
        ("does not count failed rows", "redis.call('HINCRBY', job, 'rows_failed', ARGV[10])", "0"),
        ("closes a job while shards wait", "'EXISTS', shards_in(job, 'queued'), ", "'EXISTS', "),
        ("closes a job while shards run", ", shards_in(job, 'running')) == 0", ") == 0"),
        ("lets the others go on when one fails", "if state == 'failed' or failed >", "if failed >"),
        ("allows one bad row too many", "failed > tonumber(whole[2])", "failed > tonumber(whole[2]) + 1"),
        ("forgets why the job failed", "redis.call('HSETNX', job, 'error', ARGV[11]) == 1", "false"),
        ("closes a job that was told to stop", "if stop[1] or stop[2] then", "if stop[2] then"),
        ("fails a job that was cancelled", "stop[1] and 'cancelled' or 'failed'", "'failed'"),
        (
            "gives no lease to close with",
            "redis.call('ZADD', KEYS[2], now + tonumber(ARGV[14]), ARGV[13])",
            "",
        ),
        ("gives no token to close with", "'token', ARGV[12], ", ""),
    ),
    *mutants_of(
        "claim",
        ("lines no further shard up", "make_next_shard_ready(whole, ready, ready_of, project)", ""),
        (
            "leaves a shard in the index of queued ones",
            "move(shards_in(whole, 'queued'), shards_in(whole, 'running'), id)",
            "redis.call('ZADD', shards_in(whole, 'running'), 0, id)",
        ),
    ),
    *mutants_of(
        "renew",
        ("does not count rows", "count_scored(KEYS[4], KEYS[1], tonumber(ARGV[first_field + 1]))", ""),
    ),
    *mutants_of("release", ("keeps the rows of a lost attempt", "count_scored(KEYS[10], job, 0)", "")),
    *mutants_of(
        "cancel",
        (
            "leaves the shards alone",
            "and stop_shards(job, KEYS[5], KEYS[6], KEYS[7], ARGV[2]) == 0 then",
            "then",
        ),
        (
            "never ends a job between two shards",
            "end_stopped(job, KEYS[2], KEYS[8], KEYS[4], 'cancelled', id)",
            "",
        ),
    ),
    *mutants_of("finish", ("keeps the shards", "if state == 'succeeded' then drop_shards(job) end", "")),
    *mutants_of(
        "_prelude",
        ("leaves stopped shards in line", "redis.call('ZREM', ready_of, id)\n", ""),
        ("leaves stopped shards pending", "redis.call('DEL', shards_in(job, 'pending'))", ""),
        ("counts no stopped job", "  count_ended(job, state)\n  move", "  move"),
        ("counts rows again that an earlier job has scored", "held[3] - (held[4] or 0)", "held[3]"),
        (
            "tells no running shard to stop",
            "for _, id in ipairs(left) do redis.call('HSETNX', shard_key(job, id), 'cancel_requested_at', now) end",
            "",
        ),
        ("leaves a stopped job among the running", "move(index_running, index_final, id)", ""),
    ),
]
HUNTS: list[tuple[Callable[[World], RuleBasedStateMachine], Mutant]] = [
    *((JobHistory, mutant) for mutant in MUTANTS),
    *((ShardHistory, mutant) for mutant in MUTANTS_OF_SHARDS),
    *((OccurrenceHistory, mutant) for mutant in MUTANTS_OF_SCHEDULES),
]


@pytest.mark.parametrize(
    ("history", "mutant"),
    HUNTS,
    ids=[f"{mutant.file.rpartition('/')[2]}: {mutant.name}" for _, mutant in HUNTS],
)
@pytest.mark.timeout(900)
def test_the_state_machine_notices_a_job_store_that(
    history: Callable[[World], RuleBasedStateMachine], mutant: Mutant, redis_server: RunningServer
) -> None:
    assert mutant.is_applicable(), f"{mutant.file} does not hold exactly once: {mutant.text}"
    world = world_on(redis_server, scripts=mutant.scripts, module=mutant.module)

    def begin() -> RuleBasedStateMachine:
        return history(world)

    try:
        run_state_machine_as_test(begin, settings=HUNT)
        for number in OTHER_SEEDS:
            run_state_machine_as_test(seed(number)(begin), settings=HUNT)
    except redis.ResponseError as broken:
        pytest.fail(f"this mutant is no valid script, so its death says nothing: {broken}")
    except Exception:
        return
    pytest.fail(f"nothing noticed that {mutant.file} now {mutant.name}")
