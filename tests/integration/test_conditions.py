"""`meets` of the scripts and `shared.conditions` are one thing said twice: they must agree."""

from __future__ import annotations

from itertools import product

from shared import lua
from shared.conditions import Condition
from shared.services import Services

HEADERS = ["", "*", '""', '"1"', '"2"', '"1" "2"', '"11"', '"21" "12"', '"1.2"', '"a,b"', '"%d"']
REVISIONS = [None, "", "1", "2", "12", "1.2", "1x2", "b", "%d", "11"]


def test_scripts_and_views_read_a_condition_alike(services: Services) -> None:
    script = "local current = ARGV[3] == '1' and ARGV[4]\nreturn meets(current, ARGV[1], ARGV[2]) and 1 or 0"
    ask = services.database.register_script(
        lua.source("asked", lambda part: script if part == "asked" else lua.read(part))
    )
    answers = set()
    for if_match, if_none_match, revision in product(HEADERS, HEADERS, REVISIONS):
        condition = Condition(if_match, if_none_match)
        expected = condition.matches(revision) and not condition.excludes(revision)
        given = ["0", ""] if revision is None else ["1", revision]
        assert bool(ask(args=[*condition.args(), *given])) is expected, (condition, revision)
        answers.add(expected)
    assert answers == {True, False}
