"""Is a version asked about rows like those it was trained on, and does it answer as it did then?

Every watched column's cells are compared with the version's baseline by the population stability index, in the
baseline's own bins. A column is `drifted` above 0.25 and to be `watch`ed above 0.1 (the conventions of Siddiqi, 2006),
but only beyond what PSI reaches by chance with so few rows (`shared.modeling.stability.noise`, for all columns together
1 %); where chance alone could pass 0.25 and nothing has, there are `too_few` rows to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from shared.asked import AskedStore, Unit
from shared.contracts.drift import ColumnDrift, Drift, DriftStatus, PredictionDrift, PredictionShare
from shared.contracts.models import ModelVersion, VersionRef
from shared.modeling.bins import from_baseline
from shared.modeling.stability import noise, psi

DRIFTED, MODERATE = 0.25, 0.1
FAMILY_ERROR = 0.01
_WORST: tuple[DriftStatus, ...] = ("drifted", "watch", "too_few", "ok")


def drift(asked: AskedStore, project: str, version: ModelVersion, unit: Unit, length: int) -> Drift:
    """What was asked of the version in the last hours or days, beside its baseline."""
    sums, since = asked.read(project, version.name, version.version, unit, length)
    baseline = version.baseline
    described, trained = baseline.get("columns") or {}, int(baseline.get("rows") or 0)
    tests = sum(1 for field in sums if field[0] == "c") + ("p" in sums)
    columns = [
        _column(place, name, described.get(name) or {}, trained, sums, tests)
        for place, name in enumerate(version.features)
    ]
    columns.sort(key=lambda item: (item.psi is None, -(item.psi or 0.0)))
    predictions = _predictions(version, sums.get("p"), tests)
    found = {item.status for item in columns} | ({predictions.status} if predictions else set())
    return Drift(
        model=VersionRef(name=version.name, version=version.version),
        window=f"{length}{unit}",
        since=datetime.fromtimestamp(since, UTC),
        requests=_one(sums, "requests"),
        rows=_one(sums, "rows"),
        unwatched_rows=_one(sums, "unwatched"),
        baseline_rows=trained,
        status=next((status for status in _WORST if status in found), "too_few"),
        columns=columns,
        predictions=predictions,
    )


def judged(baseline: Sequence[int], found: Sequence[int], tests: int) -> tuple[float, float, DriftStatus]:
    """(PSI, what it reaches by chance, status) of counts in the same bins; `tests` are made together."""
    before, now = np.asarray(baseline, np.int64), np.asarray(found, np.int64)
    bins = int(((before + now) > 0).sum())
    index = psi(before, now)
    chance = noise(bins, int(before.sum()), int(now.sum()), FAMILY_ERROR / max(tests, 1))
    if index > max(DRIFTED, chance):
        return index, chance, "drifted"
    if chance > DRIFTED:
        return index, chance, "too_few"
    return index, chance, "watch" if index > max(MODERATE, chance) else "ok"


def _column(
    place: int,
    name: str,
    described: Mapping[str, Any],
    trained: int,
    sums: Mapping[str, list[int]],
    tests: int,
) -> ColumnDrift:
    counts, binned = sums.get(f"c{place}"), from_baseline(described, trained)
    kind = described.get("type")
    if counts is None or binned is None or not sum(counts):
        return ColumnDrift(name=name, type=kind, status="too_few")
    rows = sum(counts)
    index, chance, status = judged(binned.counts.tolist(), counts, tests)
    return ColumnDrift(
        name=name,
        type=kind,
        status=status,
        psi=index,
        psi_by_chance=chance,
        missing_rate=counts[-1] / rows,
        baseline_missing_rate=float(binned.counts[-1] / max(int(binned.counts.sum()), 1)),
        unseen=_one(sums, f"u{place}") if kind == "string" else None,
    )


def _predictions(version: ModelVersion, counts: list[int] | None, tests: int) -> PredictionDrift | None:
    said = version.baseline.get("predictions") or {}
    if counts is None or not said:
        return None
    if labels := said.get("labels"):
        before, names = [int(item["count"]) for item in labels], [item["label"] for item in labels]
    else:
        binned = from_baseline(said, int(said.get("rows") or 0))
        if binned is None:
            return None
        before = binned.counts.tolist()
        edges = [float(edge) for edge in said["bins"]["edges"]]
        above = [f"> {edges[-1]:.6g}", "missing"]
        names = [*(f"≤ {edge:.6g}" for edge in edges), *above]
    index, chance, status = judged(before, counts, tests)
    shares = [
        PredictionShare(
            prediction=name, share=now / max(sum(counts), 1), baseline_share=then / max(sum(before), 1)
        )
        for name, now, then in zip(names, counts, before, strict=True)
        if now or then
    ]
    return PredictionDrift(
        status=status, psi=index, psi_by_chance=chance, baseline_of=said.get("of", "held_out"), shares=shares
    )


def _one(sums: Mapping[str, list[int]], field: str) -> int:
    return sums.get(field, [0])[0]
