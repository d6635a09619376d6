"""The live line in a notebook's cell. rich draws it there by ipywidgets; without them, the cell's output is renewed."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

_PAUSE_SECONDS = 0.25


def needs_cell(console: Console) -> bool:
    """Whether this is a notebook in which rich alone would draw nothing."""
    return console.is_jupyter and find_spec("ipywidgets") is None


class InCell(Progress):
    """A progress display that is an output of its own, which is shown anew when it has changed."""

    _output: Any = None
    _shown = 0.0

    def start(self) -> None:
        from IPython.display import display

        show: Any = display  # IPython's has no types
        self._output = show(self, display_id=True)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        if self._output is not None and time.monotonic() - self._shown >= _PAUSE_SECONDS:
            self._show()

    def stop(self) -> None:
        if self._output is not None:
            self._show()
            self._output = None

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._output.update(self)
