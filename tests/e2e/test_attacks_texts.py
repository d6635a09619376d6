"""Texts that mean something to somebody, as every name and in every cell, all the way from upload to output.

They come out as they went in, and where they are shown or written down they are text: in a page, in a log, in a
spreadsheet.
"""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import RunningStack
from tests.fuzz.naughty_strings import KINDS, NAMES, TEXTS
from tests.support.client import CSV, JSONL, PARQUET, Graft, Json, train_body, written

CLASSES = ("<script>alert(1)</script>", "=1+1")
NAME, CHILD = "naughty", "naughty-child"
#: What a name may not hold survives as a description, a tag and metadata all the same.
DESCRIPTION = "\n".join(TEXTS)[:2_000]


def table(offset: float = 0.0) -> pa.Table:
    """A column of numbers for each text, and one whose cells are the texts."""
    rows = 2 * len(TEXTS)
    numbers = {
        f"{text}": [float((n * 7 + i) % 11) + offset for n in range(rows)] for i, text in enumerate(NAMES)
    }
    cells = [TEXTS[n % len(TEXTS)] for n in range(rows)]
    return pa.table({**numbers, "cell": cells, "label": [CLASSES[n % 2] for n in range(rows)]})


@pytest.fixture(scope="module")
def made(graft: Graft) -> Json:
    dataset = graft.dataset(table(), kind=PARQUET, name="😀 <b>")
    target = graft.dataset(table(3.0).slice(0, 80), kind=PARQUET)
    model = {"name": NAME, "description": DESCRIPTION, "tags": {TEXTS[0]: TEXTS[1]}}
    metadata = {text[:100]: text for text in TEXTS[:50]}
    trained = graft.run(train_body(dataset, NAME, model=model, metadata=metadata))
    assert trained["metadata"] == metadata
    tune = {
        "type": "fine_tune",
        "base_model": NAME,
        "dataset": target,
        "target": "label",
        "model": {"name": CHILD},
    }
    tuned = graft.run({**tune, "strategy": "continue"})
    return {"dataset": dataset, "target": target, "trained": trained, "tuned": tuned}


@pytest.mark.parametrize("kind", [PARQUET, CSV, JSONL])
def test_columns_and_cells_come_out_as_they_went_in(graft: Graft, kind: str) -> None:
    """CSV's lines end in \\n, so a cell that ends or holds one is quoted; our own reader takes that."""
    given = table()
    dataset = graft.dataset(given, kind=kind)
    told = graft.get(f"/v1/datasets/{dataset}").json()
    assert [column["name"] for column in told["columns"]] == given.column_names
    assert told["rows"] == given.num_rows
    shown = graft.get(f"/v1/datasets/{dataset}/preview").json()
    assert shown["rows"][:20] == given.slice(0, 20).to_pylist()


def test_a_model_takes_them_online(graft: Graft, made: Json) -> None:
    rows = table().drop_columns(["label"]).slice(0, 20).to_pylist()
    answer = graft.post(f"/v1/models/{NAME}/predict", json={"rows": rows, "probabilities": True})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["predictions"]) <= set(CLASSES)
    unknown = graft.post(f"/v1/models/{NAME}/predict", json={"rows": [{**rows[0], "/~<x>": 1}]})
    assert [error["pointer"] for error in unknown.json()["errors"]] == ["/rows/0/~1~0<x>"]
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert unknown.headers["X-Content-Type-Options"] == "nosniff"


def test_the_registry_tells_them_as_they_are(graft: Graft, made: Json) -> None:
    model = graft.get(f"/v1/models/{NAME}").json()
    assert (model["description"], model["tags"]) == (DESCRIPTION, {TEXTS[0]: TEXTS[1]})
    version = graft.get(f"/v1/models/{NAME}/versions/1").json()
    assert [item["name"] for item in version["schema"]["inputs"]] == [*NAMES, "cell"]
    assert set(version["schema"]["output"]["classes"]) == set(CLASSES)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_an_output_holds_them_and_a_spreadsheet_reads_no_formula(
    graft: Graft, made: Json, format: str
) -> None:
    body = {"type": "batch_predict", "model": f"{NAME}:1", "input": {"dataset": made["dataset"]}}
    job = graft.run({**body, "output": {"format": format, "columns": "all"}})
    content = httpx.get(graft.output(job["id"])["files"][0]["url"]).raise_for_status().content
    if format == "csv":
        assert not re.search(
            rb'(^|,|\n)"?[=+\-@\t\r]', re.sub(rb"(^|,|\n)-?[0-9.]+(?=,|\n)", b"\\1", content)
        )
    elif format == "jsonl":
        assert [json.loads(line)["cell"] for line in content.splitlines()] == table()["cell"].to_pylist()
    else:
        assert pq.read_table(io.BytesIO(content))["cell"].to_pylist() == table()["cell"].to_pylist()


class Page(HTMLParser):
    """The elements and attributes of a page, as a browser would make them of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_report_shows_them_and_runs_none(graft: Graft, made: Json) -> None:
    answer = graft.get(f"/v1/models/{CHILD}/versions/1/report", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = Page(answer.text)
    assert not page.elements & {"script", "img", "iframe", "object", "embed", "form", "link", "base"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert all(link.startswith("#") for link in page.links)
    assert CLASSES[0] in "".join(page.words), "or the test shows nothing"


def test_no_page_may_run_or_load_what_is_not_its_own(graft: Graft) -> None:
    for path in ("/docs", "/v1/jobs", "/v1/models/none", "/openapi.json", "/static/docs.js"):
        headers = graft.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert ("script-src 'self';" in policy) is (path == "/docs")


FORGED_LINE = 'x\n{"event": "forged", "level": "error"}\r\n\x1b]0;forged\x07\x1b[2J'


def test_no_text_forges_a_line_of_a_log_or_speaks_to_a_terminal(graft: Graft, stack: RunningStack) -> None:
    """In paths, parameters, headers, names, cells, and the errors of children that fail on them."""
    name = "forged-lines"
    rows = [{"a": float(n), "cell": FORGED_LINE, "label": FORGED_LINE if n % 2 else "b"} for n in range(40)]
    dataset = graft.dataset(written(pa.Table.from_pylist(rows), JSONL), kind=JSONL)
    graft.run(train_body(dataset, name, model={"name": name, "description": FORGED_LINE}))
    assert graft.upload("a\n1\n", name=FORGED_LINE).status_code == 422
    assert graft.upload(written(pa.table({FORGED_LINE: [1]}), JSONL), kind=JSONL).status_code == 422
    graft.get(f"/v1/x{quote(FORGED_LINE)}")
    graft.get("/v1/jobs", params={"model": FORGED_LINE})
    graft.get(
        "/v1/jobs", headers={"User-Agent": 'x" forged', "X-Request-ID": "forged\x7f", "Referer": "forged"}
    )
    for header in ("X-Request-ID", "User-Agent"):
        raw = graft.build_request("GET", "/v1/jobs", headers={header: "x"})
        raw.headers.raw[:] = [
            (k, b"x\x1b[2J\x0bforged" if k.decode() == header else v) for k, v in raw.headers.raw
        ]
        assert graft.send(raw).status_code in {200, 400}
    graft.upload(f'a,"{FORGED_LINE}\n1,2,3', kind=CSV)
    graft.upload(f'{{"a": 1}}\n{{"a": "{FORGED_LINE}', kind=JSONL)
    for log in ("api", "worker"):
        for line in stack.log(log).splitlines():
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line), line
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                assert told.get("event") != "forged", line
            else:
                assert "forged" not in line, line


def test_the_kinds_are_all_there() -> None:
    assert len(TEXTS) > 90
    assert not [text for text in TEXTS if not text.strip()]
    assert set(KINDS) >= {"markup", "programs", "formulas", "control", "direction", "letters", "long"}
