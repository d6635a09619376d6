"""Other ways to do the same job, as scripts for a Python of their own, timed from outside.

They are spared the object store and everything that Graft promises: no claim, no digest, no manifest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.dataset

SCRIPTS = {
    "naive pandas script": "naive.py",
    "Dask dataframe": "dask_frame.py",
    "Ray Data": "ray_data.py",
}
_SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Measured:
    seconds: float
    """From starting the interpreter to its end."""
    peak_bytes: int
    """Of the process and its children together (USS, so that what they share is not counted twice)."""


def run(python: Path, name: str, source: Path, model: Path, rows: int) -> Measured | None:
    """One script, one thread of BLAS and OpenMP; None where its library is not installed or it fails."""
    target = source.parent / f"{SCRIPTS[name]}.out.parquet"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"}
    script = Path(__file__).with_name(SCRIPTS[name])
    errors = source.parent / "rival.log"
    with errors.open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen([python, script, source, model, target], env=env, stdout=log, stderr=log)
        peak = _Peak(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - started
    peak_bytes = peak.stop()
    if code != 0:
        print(f"  {name}: {errors.read_text().strip().splitlines()[-1][:150]}")
        return None
    written = pyarrow.dataset.dataset(target, format="parquet").count_rows()
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    if written != rows:
        raise SystemExit(f"{name} wrote {written} rows of {rows}")
    return Measured(seconds, peak_bytes)


class _Peak(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    total += process.memory_full_info().uss
            except psutil.Error:
                continue
            self._peak = max(self._peak, total)

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self._peak
