"""How the learning handlers read their table and speak while they fit."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_info, threadpool_limits

from shared.contracts.tables import Column
from shared.modeling.columns import Table
from shared.tables import read_all
from worker.handlers.base import Assignment, Context, TableFiles
from worker.learning.estimators import Hooks
from worker.learning.optimizers import FitState, OnState


def read_table(files: TableFiles, columns: Sequence[Column], context: Context) -> Table:
    """These columns of all files as one table in memory."""
    parts = []
    for number, path in enumerate(files.paths):
        context.progress("reading", number, len(files.paths), "files")
        parts.append(read_all(path, files.format, columns))
    context.progress("reading", len(parts), len(parts), "files")
    return pa.concat_tables(parts, promote_options="permissive")


def fitting_hooks(context: Context) -> Hooks:
    """Phases, epochs with their running loss, trees, and warnings, as the job's progress."""

    def step(completed: int, total: int, unit: str, loss: float | None) -> None:
        details = {} if loss is None else {"loss": loss}
        context.progress("fitting", completed, total, unit, **details)

    return Hooks(on_step=step, on_phase=lambda name: context.progress(name, 0, 1, "steps"), warn=context.warn)


def checkpointing(context: Context) -> OnState:
    """Offers a fit's state as the attempt's checkpoint whenever it is complete."""

    def offer(state: FitState) -> None:
        context.checkpoint(lambda folder: _write(folder, state), state.epoch, "epochs")

    return offer


def resumed_state(assignment: Assignment) -> FitState | None:
    """Where an earlier attempt's fit had got to, if it left a checkpoint."""
    if assignment.checkpoint is None:
        return None
    (path,) = assignment.checkpoint.iterdir()
    with np.load(path, allow_pickle=False) as arrays:
        return FitState.from_arrays(dict(arrays))


def _write(folder: Path, state: FitState) -> None:
    np.savez(folder / f"epoch-{state.epoch}.npz", **state.to_arrays())  # type: ignore[arg-type]


def allowed_threads() -> int:
    """As many as the numeric libraries of this process may use, which the supervisor limits."""
    return max((int(pool["num_threads"]) for pool in threadpool_info()), default=1)


def one_blas_thread() -> AbstractContextManager[object]:
    """While it is entered, BLAS works in one thread: a model's bytes then do not depend on the number of cores.

    The engine's matrices are blocks of rows, too small to gain from more, and on busy cores BLAS threads wait for
    one another (measured: 12 to 21 times slower). Trees have their own threads and are not affected.
    """
    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def library_versions() -> dict[str, str]:
    """What the model was made with, and needs to be opened again."""
    names = ("graft", "numpy", "scikit-learn", "scipy", "pyarrow", "joblib")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
