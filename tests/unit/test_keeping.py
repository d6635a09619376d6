"""When a server that ended is started again."""

from __future__ import annotations

from graft.stack.keeping import next_delay


def test_each_early_end_doubles_the_delay_up_to_thirty_seconds() -> None:
    delays = [0.0]
    for _ in range(9):
        delays.append(next_delay(delays[-1], ran_seconds=1))
    assert delays[1:] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_health_resets_the_delay() -> None:
    assert next_delay(30, ran_seconds=59.9) == 30
    assert next_delay(30, ran_seconds=60) == 0.5
