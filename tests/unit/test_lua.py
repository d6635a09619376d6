"""What scripts share stands before each of them, as far as it needs it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from shared import lua


def test_no_two_functions_that_scripts_share_have_the_same_name() -> None:
    """The later one would be called for both."""
    shared = "".join(map(lua.read, lua.SHARED))
    names = Counter(re.findall(r"^local function (\w+)", shared, re.MULTILINE))
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


def test_a_script_has_what_it_needs_before_it_and_no_more() -> None:
    source = lua.source("look_again")
    names = re.findall(r"^local function (\w+)", source, re.MULTILINE)
    assert names == ["look_again"]


def test_every_function_that_a_script_calls_is_declared_before() -> None:
    """Lua takes a name that nobody declared for a global, which is nil, when it comes to it."""
    shared = "".join(map(lua.read, lua.SHARED))
    names = re.findall(r"^local function (\w+)", shared, re.MULTILINE)
    scripts = [path.stem for path in Path(lua.__file__).parent.glob("[a-z]*.lua")]
    assert len(scripts) > 40
    for script in scripts:
        source = re.sub("--.*", "", lua.source(script))
        for name in names:
            if called := re.search(rf"(?<!function )\b{name}\(", source):
                assert f"local function {name}(" in source[: called.start()], (script, name)
