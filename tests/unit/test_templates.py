"""Templates in a scheduled job: the occurrence's time is filled in, and nothing else is ever evaluated."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import templates

MOMENT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in/{{ scheduled_for:%Y/%m/%d }}/", "in/2026/03/29/"),
        ("{{scheduled_for:%H:%M%z}}", "03:00+0200"),
        ("{{ scheduled_for:%Y }}-{{ scheduled_for:%j }}", "2026-088"),
        ("{{ scheduled_for:100%% of %B }}", "100% of March"),
        ("{{ scheduled_for:no directive }}", "no directive"),
        ("{{ scheduled_for:\ud800 %d \x00}}", "\ud800 29 \x00"),
        ("no template, { or }} or {", "no template, { or }} or {"),
    ],
)
def test_the_time_is_filled_in_as_the_zone_tells_it(text: str, expected: str) -> None:
    assert templates.errors(text) == []
    assert templates.rendered(text, MOMENT) == expected


def test_strings_are_found_however_deep_and_nothing_else_is_touched() -> None:
    value = {"a": [{"b": "{{ scheduled_for:%d }}"}, 1, None, True], "{{ scheduled_for:%d }}": 2.5}
    assert templates.rendered(value, MOMENT) == {
        "a": [{"b": "29"}, 1, None, True],
        "{{ scheduled_for:%d }}": 2.5,
    }


def test_errors_name_every_string_by_its_pointer() -> None:
    value = {"a/b": ["fine", "{{ x }}"], "c": "{{ scheduled_for:%Q }}"}
    assert [error.pointer for error in templates.errors(value, "job")] == ["/job/a~1b/1", "/job/c"]


@given(st.text(alphabet="{}% scheduled_for:Yd\\u0001é", max_size=60))
def test_what_is_accepted_leaves_no_template_behind(text: str) -> None:
    if not templates.errors(text):
        assert "{{" not in templates.rendered(text, MOMENT)


@given(st.text(max_size=80))
def test_any_text_is_either_refused_or_rendered(text: str) -> None:
    whole = f"{{{{ scheduled_for:{text} }}}}"
    if not templates.errors(whole):
        templates.rendered(whole, MOMENT)


@pytest.mark.parametrize("directive", templates.DIRECTIVES)
def test_every_directive_is_known_to_strftime(directive: str) -> None:
    rendered = templates.rendered(f"{{{{ scheduled_for:%{directive} }}}}", MOMENT)
    assert rendered == MOMENT.strftime(f"%{directive}")
    assert rendered != f"%{directive}"
