"""Does a fine-tune leave anyone worse off? `auto` and every strategy on the fourteen shifts of `shifts`.

    python -m benchmarks.transfer [--source linear mlp] [--grid public] [--shifts …] [--sizes …] [--seeds 10]
                                  [--jobs 1] [--out DIR]

A run is one source, trained with Graft's defaults on the shift's source rows, and n target rows. It fits every
candidate out of fold and on all n rows, as `worker.learning.tuning` does, and predicts the target's test rows. What it
found is kept in DIR, so that a benchmark that was stopped goes on where it was; from it follow the score of each
strategy and of `auto`, by Graft's own selection and blend. Score: accuracy x 100; R² x 100, at least -100.

    cell         shift x n: means over seeds, `auto` less the better of source_only and scratch
    single run   the same for one seed

The oracle is the candidate that is best on the test rows. Everything is seeded; the same versions give the same table.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.transfer.grids import GRIDS, SIZES
from benchmarks.transfer.runs import FAMILIES, Run, fit_group, scored
from benchmarks.transfer.table import print_tables


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--grid", choices=GRIDS, default="public")
    parser.add_argument("--shifts", nargs="+", metavar="NAME", help="some of the grid's; default: all")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "graft-bench-transfer")
    asked = parser.parse_args()
    asked.shifts = asked.shifts or GRIDS[asked.grid]
    asked.out.mkdir(parents=True, exist_ok=True)
    groups = list(itertools.product(asked.source, range(asked.seeds), asked.shifts))
    fit_all(groups, asked.sizes, asked.out, asked.jobs)
    for family in asked.source:
        runs = [
            Run(family, shift, rows, seed)
            for shift in asked.shifts
            for rows in asked.sizes
            for seed in range(asked.seeds)
        ]
        print_tables(family, {run: scores for run in runs if (scores := scored(run, asked.out)) is not None})


def fit_all(groups: Iterable[tuple[str, int, str]], sizes: Sequence[int], out: Path, jobs: int) -> None:
    """Every run that `out` does not hold yet; runs that share a source are done together."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(fit_group, family, seed, shift, sizes, out) for family, seed, shift in groups]
        for number, future in enumerate(as_completed(waiting), 1):
            print(f"\r{number} of {len(waiting)} sources: {future.result():<40}", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
