"""The live line in a notebook, run by a real kernel."""

from __future__ import annotations

import re
from typing import Any

import nbclient
import nbformat
import pytest

from tests.e2e.conftest import KEYS, RunningStack

CELL = """
import graft
from sklearn.datasets import load_digits

client = graft.Client()
estimator = {"kind": "neural_network", "epochs": 500, "hidden_layers": [256], "learning_rate": 1e-5}
job = client.train(load_digits(as_frame=True).frame, target="target", name="notebook", estimator=estimator)
job.wait(progress=True)
"""


def plain(data: dict[str, str]) -> str:
    """What a cell's output says, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(data.get("text/plain", "")))


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_a_cell_shows_how_far_the_job_is(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_URL", stack.url)
    monkeypatch.setenv("GRAFT_API_KEY", KEYS["default"])
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(CELL)])
    seen: list[str] = []

    class Watched(nbclient.NotebookClient):
        def process_message(self, message: Any, *arguments: Any) -> Any:
            seen.append(plain(message.get("content", {}).get("data", {})))
            return super().process_message(message, *arguments)

    Watched(notebook, kernel_name="python3", timeout=240).execute()
    assert any("train fitting" in text and "epochs" in text for text in seen), seen
    bars = [output for output in notebook.cells[0].outputs if output.output_type == "display_data"]
    assert any("train succeeded" in plain(output.data) for output in bars)
    assert "ipywidgets" not in "".join(seen)
