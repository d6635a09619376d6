"""The page of a report: complete, readable without seeing it, self-contained, and safe whatever the data is called."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from flask import Flask

from api import report_page
from api.report_page import svg
from api.report_page.bars import Bar, Group, Mark, bar_chart
from api.report_page.matrix import MAX_LABELS, confusion_matrix, most_confused
from tests.support.attempts import trained, tuned
from tests.support.labelled_tables import blobs, line, table_of
from tests.support.reports import report_of, version_of

NAUGHTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "]]><svg onload=alert(1)>",
    "&lt;b&gt; & \u202e right to left",
    "a" * 300,
]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "rect", "line", "circle", "path"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def context() -> Iterator[None]:
    with Flask("api").app_context():
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of classes, with everything in it."""
    X, y = blobs(60, seed=5, spread=2.0)
    return report_of(tmp_path_factory.mktemp("classes"), table_of(*blobs(150)), table_of(X * 0.9 + 1, y))


@pytest.fixture(scope="module")
def amounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a regression."""
    source, target = table_of(*line(150)), table_of(*line(50, seed=3, shift=80))
    return report_of(tmp_path_factory.mktemp("amounts"), source, target, kind="linear_regression")


def page(report: dict[str, Any], name: str = "churn-south") -> Page:
    return Page(report_page.render(report, version_of(name)))


def test_the_page_answers_every_question_with_a_plot_or_a_reason(
    context: None, report: dict[str, Any]
) -> None:
    found = page(report)
    questions = [
        "Did fine-tuning help?",
        "Would more labels pay?",
        "How does the target differ from the source?",
        "What does the model go by?",
        "What has it forgotten?",
        "Which mistakes are left?",
    ]
    assert [words for words in found.words if words in questions] == 2 * questions, (
        "as links, then as headings"
    )
    for words in (
        report["summary"]["headline"],
        report["summary"]["advice"],
        report["shift"]["sentence"],
        report["explanation"]["sentence"],
        report["forgetting"]["sentence"],
        report["labels_needed"]["sentence"],
        *report["shift"]["sentences"].values(),
        *report["summary"]["scores"].values(),
    ):
        assert words in found.text
    titles = [tag for tag in found.all("svg") if tag.get("class") == "plot"]
    assert len(titles) >= 9


def test_the_verdict_stands_at_the_top(context: None, report: dict[str, Any]) -> None:
    for verdict, words in (("improved", "It helped"), ("negative_transfer", "It made things worse")):
        found = page({**report, "verdict": verdict})
        assert found.words.index(words) < found.words.index("Did fine-tuning help?")
        assert {"class": f"verdict {verdict}", "aria-labelledby": "verdict"} in found.all("section")


def test_a_regression_has_everything_but_confusion_matrices(context: None, amounts: dict[str, Any]) -> None:
    found = page(amounts)
    assert "Which mistakes are left?" not in found.text
    assert "R²" in found.text
    assert "Did fine-tuning help?" in found.text


def test_plots_say_in_words_what_they_show(context: None, report: dict[str, Any]) -> None:
    html = report_page.render(report, version_of())
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    ids = []
    for plot in plots:
        found = re.match(
            r'<svg class="plot" viewBox="[\d. ]+" role="img" aria-labelledby="(\S+) (\S+)">', plot
        )
        assert found, plot[:200]
        ids += [found[1], found[2]]
        title = re.search(rf'<title id="{found[1]}">(.+?)</title>', plot)
        described = re.search(rf'<desc id="{found[2]}">(.+?)</desc>', plot)
        assert title
        assert described
        assert len(described[1]) > 10
    assert len(ids) == len(set(ids)), "ids are unique on the page"


def test_nothing_is_loaded_and_nothing_runs(context: None, report: dict[str, Any]) -> None:
    html = report_page.render(report, version_of())
    found = Page(html)
    names = {name for name, _ in found.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "use", "image"}
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name in {"src", "style", "xlink:href"} for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in html
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html


def test_the_policy_allows_this_style_and_nothing_else(context: None, report: dict[str, Any]) -> None:
    html = report_page.render(report, version_of())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = report_page.content_security_policy()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def poisoned(value: Any, words: str) -> Any:
    """Every name, label and sentence of the report replaced or lengthened by these words."""
    if isinstance(value, dict):
        return {key: poisoned(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, words) for item in value]
    return value + words if isinstance(value, str) else value


@pytest.mark.parametrize("words", NAUGHTY)
def test_whatever_columns_and_labels_are_called_they_stay_text(
    context: None, report: dict[str, Any], words: str
) -> None:
    kept = {key: report[key] for key in ("metric", "verdict")}
    bad = poisoned(report, words) | kept
    bad["gain"] = {**report["gain"], "over": words}
    bad["labels_needed"] = poisoned(report["labels_needed"], words) | {"metric": "accuracy"}
    bad["forgetting"] = poisoned(report["forgetting"], words) | {"metric": "accuracy"}
    for side in ("source_only", "fine_tuned"):
        bad[side] = {**report[side], "classes": [f"{words}{label}" for label in report[side]["classes"]]}
    clean, dirty = page(report), page(bad, words)
    assert {name for name, _ in dirty.tags} == {name for name, _ in clean.tags}, "no tag came in"
    attributes = {name for _, found in dirty.tags for name in found}
    assert attributes == {name for _, found in clean.tags for name in found}, "no attribute came in"
    assert " ".join(words.split())[:30] in dirty.text


def test_real_columns_and_labels_with_markup_are_shown_as_text(context: None, tmp_path: Any) -> None:
    X, y = blobs(60)
    names = np.array(NAUGHTY[:3])
    table = pa.table({NAUGHTY[n]: X[:, n] for n in range(3)} | {"label": names[y]})
    found = page(report_of(tmp_path, table, table))
    assert not found.all("script")
    assert NAUGHTY[0] in found.text


@pytest.mark.parametrize("part", ["shift", "forgetting", "explanation", "labels_needed", "summary"])
def test_a_part_that_is_missing_leaves_the_others(context: None, report: dict[str, Any], part: str) -> None:
    for without in ({**report, part: None}, {key: value for key, value in report.items() if key != part}):
        assert "Did fine-tuning help?" in page(without).text


def test_a_source_without_rows_is_told(context: None, tmp_path: Any) -> None:
    made = trained(tmp_path / "source", table_of(*blobs(120)))
    report = tuned(tmp_path / "target", made, table_of(*blobs(40, seed=5))).result["report"]
    found = page(report)
    assert "not at hand" in found.text
    assert "What has it forgotten?" not in found.text


def test_many_labels_are_cut_to_those_that_are_confused_most() -> None:
    labels = list(range(30))
    matrix = np.eye(30, dtype=int) * 9
    matrix[3, 7] = matrix[20, 21] = 5
    chosen = most_confused([(matrix.tolist(), labels)])
    assert len(chosen) == MAX_LABELS
    assert {3, 7, 20, 21} <= set(chosen)
    drawn = confusion_matrix(matrix.tolist(), labels, chosen, title="t", description="d")
    assert "3 taken for 7: 5 of 14" in drawn


def test_bars_end_where_their_values_are() -> None:
    def widths(value: float, low: float, high: float) -> list[float]:
        drawn = bar_chart([Group("a", (Bar(value, "", "tuned"),))], low, high, title="t", description="d")
        return [float(width) for width in re.findall(r'width="([\d.]+)" height="9.0"', drawn)]

    room = widths(1.0, 0, 1)[0]
    assert widths(0.5, 0, 1)[1] == pytest.approx(room / 2, abs=0.1)
    assert widths(-0.5, -1, 1)[1] == pytest.approx(room / 4, abs=0.1)
    assert widths(7.0, 0, 1)[1] == pytest.approx(room), "cut off at the end of the axis"


def test_marks_and_labels_are_escaped() -> None:
    group = Group(NAUGHTY[0], (Bar(0.5, NAUGHTY[1], "tuned"),))
    drawn = bar_chart([group], 0, 1, title=NAUGHTY[0], description=NAUGHTY[1], marks=[Mark(0.5, NAUGHTY[0])])
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert svg.text(0, 0, "<b>") == '<text x="0.0" y="0.0" text-anchor="start" class="label">&lt;b&gt;</text>'
