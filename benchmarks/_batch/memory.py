"""Does the memory of a worker's child grow with the rows? Its peak for one million rows and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._batch import service, tables
from benchmarks._batch.families import FAMILIES
from benchmarks._batch.service import Service
from shared.contracts.tables import Format

MILLION = 1_000_000
PROMISE = 1.20
ONE_SHARD = 100_000_000
"""With a child for every million rows there could be no growth to see."""


def compare(graft: Service, folder: Path, formats: Sequence[Format], millions: int, columns: str) -> None:
    """Print both peaks for each format, the probabilities and `columns` written. Fails above +20 %."""
    body = {
        "output": {"format": "parquet", "columns": columns, "probabilities": True},
        "shard_rows": ONE_SHARD,
    }
    family = FAMILIES["MLP"]
    training = service.as_parquet(tables.training_table(), folder / "training.parquet")
    graft.train(graft.dataset(training, "parquet", "training"), family.ref, family.estimator)
    print(f"peak memory of the child, MB\n{'':<10}{'1 M rows':>12}{f'{millions} M rows':>12}{'ratio':>8}")
    broken = []
    for format in formats:
        few, many = (_peak(graft, folder, family.ref, format, n * MILLION, body) for n in (1, millions))
        print(f"{format:<10}{few / 1e6:12.0f}{many / 1e6:12.0f}{many / few:8.2f}", flush=True)
        if many > PROMISE * few:
            broken.append(format)
    if broken:
        raise SystemExit(f"the promise of at most {PROMISE - 1:+.0%} is broken for {', '.join(broken)}")


def _peak(graft: Service, folder: Path, ref: str, format: Format, rows: int, body: Mapping[str, Any]) -> int:
    path = tables.write(folder / f"table.{format}", format, rows)
    dataset = graft.dataset(path, format, "table")
    path.unlink()
    try:
        return graft.score(ref, dataset, rows, **body).peak_bytes
    finally:
        graft.delete(dataset)
