"""Texts that mean something to some program on the way, or look like another text; of our own making, by kind."""

from __future__ import annotations

import unicodedata
from typing import Final

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "markup": (
        "<script>alert(1)</script>",
        "</style><script>alert(2)</script>",
        '"><img src=x onerror=alert(3)>',
        "'-alert(4)-'",
        "javascript:alert(5)",
        "<svg/onload=alert(6)>",
        "&lt;b&gt; &amp; &#x3c;",
        "<!--",
        "]]>",
        "{{ 7*7 }}",
        "{% raw %}",
        "${7*7}",
        "<%= 7*7 %>",
    ),
    "programs": (
        "'; DROP TABLE jobs; --",
        "1 OR 1=1",
        "$(touch /tmp/x)",
        "`id`",
        "; rm -rf /",
        "| cat /etc/passwd",
        "%s%s%n%x",
        "{0.__class__.__mro__}",
        "__proto__",
        "constructor",
        "*3\\r\\n$3\\r\\nDEL",
    ),
    "formulas": ("=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1"),
    "places": ("../../etc/passwd", "..\\..\\boot.ini", "/dev/null", "CON", "file:///etc/passwd", "%2e%2e%2f"),
    "nothing": ("NULL ", "undefined", "None?", "NaN.", "Infinity!", "true-ish", "0x", "1e", "-", "."),
    "control": ("a\nb", "a\r\nb", "\x1b[31mred\x1b[0m", "a\tb", "bell\x07", "back\x08space", "a\x7fb"),
    "space": ("a\u00a0b", "\u2003wide", "a\u200bb", "a\u2060b", "\ufeffmark", "a\u2028b", "a\u0085b"),
    "direction": ("\u202eevil", "a\u2066b\u2069", "مرحبا", "שלום", "ab\u200fcd"),
    "letters": (
        "Ω≈ç√∫",
        "田中さん",
        "찦차를",
        "𝒯𝓀",  # noqa: RUF001
        "ǆ",
        "ẞ",
        "İ",
        "ﬃ",
        "e\u0301",
        "é",
        "аdmin",  # noqa: RUF001  its first letter is Cyrillic
        "ℌ",  # noqa: RUF001
        "\U0010ffff",
        "\ue000",
    ),
    "marks": ("Z\u0351\u036b\u0343a\u0324\u0331lg\u0321\u0345o", "\u0301", "a" + "\u0300" * 200),
    "pictures": ("😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇺🇳🇨🇭", "❤️", "🖐🏿"),
    "quotes": ('"', "'", '""', "\\", "\\\\", "a,b", "a;b", 'a"b"c', "\u2018x\u2019"),
    "long": ("x" * 900, "字" * 300),
}

TEXTS: Final = tuple(dict.fromkeys(text for kind in KINDS.values() for text in kind))
"""All of them; no two the same and none blank, so that none is a missing value."""

NAMES: Final = tuple(text for text in TEXTS if "Cc" not in map(unicodedata.category, text))
"""Those that may be a column's name: without control characters."""
