"""What all scripts share stands before each of them as one text."""

from __future__ import annotations

import re
from collections import Counter

from shared import lua


def test_no_two_functions_that_scripts_share_have_the_same_name() -> None:
    """The later one would be called for both."""
    shared = lua.source("renew")
    names = Counter(re.findall(r"^local function (\w+)", shared, re.MULTILINE))
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []
