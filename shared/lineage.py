"""Lineage: what a version or a dataset comes from, and what has come of it.

    dataset ──▶ job ──▶ version ──▶ job ──▶ output
                           └──────▶ version (fine-tuned from it; by a job, which is there too)

Back it follows what the records themselves say: a version its job and its parent, a job what it used. On it follows
indexes that are written in the very scripts that accept a job and publish a version. The way is breadth first, so what
is left out for its bounds is what is farthest. What has been deleted is still a node where something came of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from shared import keys, lineage_indexing
from shared.contracts.base import from_ms
from shared.contracts.models import Lineage, LineageEdge, LineageNode, Relation
from shared.database import Database
from shared.errors import NotFound
from shared.models import unknown_version

Direction = Literal["up", "down"]
Kind = Literal["dataset", "job", "version", "output"]

_JOB = ("type", "status", "created_at", "spec", "uses", "model", "model_version")
_VERSION = ("name", "version", "job", "dataset", "parent", "created_at", "deleted_at")
_DATASET = ("name", "created_at")
#: Ids that are read of the indexes of all places at one distance.
_MOST_READ = 20_000
_TRAINING = ("train", "fine_tune")


class Place(NamedTuple):
    """A node by its kind and its id: `ds_…`, `job_…`, `churn:3`; an output by its job's."""

    kind: Kind
    id: str


class Step(NamedTuple):
    """An edge that leads to another place."""

    to: Place
    source: Place
    target: Place
    relation: Relation


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis holds of a place: its fields (none: it is gone), and what the indexes say has come of it."""

    fields: dict[str, str]
    children: list[str]
    users: list[str]


class LineageStore:
    """Reads lineage from Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database

    def of_version(
        self,
        project: str,
        name: str,
        number: int,
        *,
        directions: Iterable[Direction] = ("up", "down"),
        depth: int = 20,
        limit: int = 200,
    ) -> Lineage:
        """Up to `limit` nodes no more than `depth` edges away. Raises NotFound."""
        if not self._redis.exists(keys.model_version(project, name, number)):
            raise unknown_version(name, number)
        return self._graph(project, Place("version", f"{name}:{number}"), directions, depth, limit)

    def of_dataset(
        self,
        project: str,
        dataset_id: str,
        *,
        directions: Iterable[Direction] = ("up", "down"),
        depth: int = 20,
        limit: int = 200,
    ) -> Lineage:
        """The same of a dataset. Raises NotFound."""
        if not self._redis.exists(keys.dataset(project, dataset_id)):
            raise NotFound(f"there is no dataset {dataset_id}", code="unknown_dataset")
        return self._graph(project, Place("dataset", dataset_id), directions, depth, limit)

    def index_past(self, project: str) -> int:
        """See `shared.lineage_indexing`."""
        return lineage_indexing.index_past(self._redis, project)

    def _graph(
        self, project: str, start: Place, directions: Iterable[Direction], depth: int, limit: int
    ) -> Lineage:
        nodes: dict[Place, LineageNode] = {}
        edges: list[Step] = []
        truncated = False
        for direction in directions:
            frontier, seen = [start], {start}
            for distance in range(depth + 1):
                reached: list[Step] = []
                most = min(limit + 1, max(2, _MOST_READ // len(frontier)))
                for place, held in zip(frontier, self._held(project, frontier, most), strict=True):
                    truncated |= most in (len(held.children), len(held.users))
                    if direction == "down" and place.kind == "job" and not held.fields:
                        continue  # it is forgotten, and what it made with it
                    nodes.setdefault(place, _node(place, held))
                    reached += _up(project, place, held) if direction == "up" else _down(place, held)
                    edges += _uses(project, place, held)
                fresh = dict.fromkeys(step.to for step in reached if step.to not in seen)
                room = limit - len(nodes.keys() | set(frontier))
                taken = list(fresh)[: max(0, room)] if distance < depth else []
                truncated |= len(taken) < len(fresh)
                edges += reached
                seen |= set(taken)
                frontier = taken
                if not frontier:
                    break
        return Lineage(
            root=_id(start),
            nodes=list(nodes.values()),
            edges=_told(step for step in edges if step.source in nodes and step.target in nodes),
            truncated=truncated,
        )

    def _held(self, project: str, places: list[Place], most: int) -> list[Held]:
        """What there is of each place, the newest `most` of what came of it; one round to Redis."""
        with self._redis.pipeline() as pipe:
            for place in places:
                _ask(pipe, project, place, most)
            answers = iter(pipe.execute())
        return [_answered(place, answers) for place in places]


def _ask(pipe: Any, project: str, place: Place, most: int) -> None:
    newest = {"desc": True, "start": 0, "end": most - 1}
    if place.kind == "version":
        name, number = place.id.split(":")
        version = keys.model_version(project, name, int(number))
        pipe.hmget(version, *_VERSION)
        pipe.hmget(keys.tombstone_of(version), *_VERSION)
        pipe.zrange(keys.version_children(project, name, int(number)), **newest)
        pipe.zrange(keys.ever(keys.live_users(version)), **newest)
    elif place.kind == "dataset":
        pipe.hmget(keys.dataset(project, place.id), *_DATASET)
        pipe.zrange(keys.ever(keys.dataset_users(project, place.id)), **newest)
    else:
        pipe.hmget(keys.job(project, place.id), *_JOB)


def _answered(place: Place, answers: Iterator[list[Any]]) -> Held:
    if place.kind == "version":
        alive, buried = next(answers), next(answers)
        values = alive if alive[0] is not None else buried
        return Held(_fields(_VERSION, values), next(answers), next(answers))
    if place.kind == "dataset":
        return Held(_fields(_DATASET, next(answers)), [], next(answers))
    return Held(_fields(_JOB, next(answers)), [], [])


def _fields(names: Iterable[str], values: list[str | None]) -> dict[str, str]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _up(project: str, place: Place, held: Held) -> list[Step]:
    """What the place comes from."""
    if place.kind == "output":
        job = Place("job", place.id)
        return [Step(job, job, place, "produced_by")]
    if place.kind == "job":
        return _uses(project, place, held)
    if place.kind == "dataset" or not held.fields:
        return []
    job, dataset = Place("job", held.fields["job"]), Place("dataset", held.fields["dataset"])
    steps = [Step(job, job, place, "produced_by"), Step(dataset, dataset, job, "trained_on")]
    if parent := json.loads(held.fields.get("parent", "null")):
        source = Place("version", f"{parent['name']}:{parent['version']}")
        steps.append(Step(source, source, place, "fine_tuned_from"))
    return steps


def _down(place: Place, held: Held) -> list[Step]:
    """What has come of the place."""
    steps = []
    for child in held.children:
        target = Place("version", child)
        steps.append(Step(target, place, target, "fine_tuned_from"))
    for job_id in held.users:
        job = Place("job", job_id)
        steps.append(Step(job, place, job, "read_by" if place.kind == "dataset" else "used_by"))
    if place.kind == "job":
        if "model_version" in held.fields:
            made = Place("version", f"{held.fields['model']}:{held.fields['model_version']}")
            steps.append(Step(made, place, made, "produced_by"))
        if held.fields.get("type") == "batch_predict" and held.fields.get("status") == "succeeded":
            output = Place("output", place.id)
            steps.append(Step(output, place, output, "produced_by"))
    return steps


def _uses(project: str, place: Place, held: Held) -> list[Step]:
    """What a job used, and what for; nothing of any other place."""
    return [_use(place, source, held) for source in _used(project, held)] if place.kind == "job" else []


def _used(project: str, held: Held) -> Iterator[Place]:
    for users in held.fields.get("uses", "").split():
        match keys.used(project, users):
            case (dataset_id,):
                yield Place("dataset", dataset_id)
            case (name, number):
                yield Place("version", f"{name}:{number}")


def _use(job: Place, source: Place, held: Held) -> Step:
    if source.kind == "version":
        return Step(source, source, job, "used_by")
    spec = json.loads(held.fields.get("spec", "{}"))
    is_training = held.fields.get("type") in _TRAINING and spec.get("dataset") == source.id
    return Step(source, source, job, "trained_on" if is_training else "read_by")


def _node(place: Place, held: Held) -> LineageNode:
    fields = held.fields
    created, deleted = fields.get("created_at"), fields.get("deleted_at")
    is_version = place.kind == "version"
    name, _, number = place.id.partition(":")
    return LineageNode(
        kind=place.kind,
        id=_id(place),
        name=name if is_version else fields.get("name"),
        version=int(number) if is_version else None,
        type=fields.get("type") if place.kind == "job" else None,
        status=fields.get("status") if place.kind == "job" else None,
        job=place.id if place.kind == "output" else None,
        created_at=from_ms(int(created)) if created and place.kind != "output" else None,
        deleted=not fields or deleted is not None,
        deleted_at=from_ms(int(deleted)) if deleted else None,
    )


def _id(place: Place) -> str:
    return f"{place.id}/output" if place.kind == "output" else place.id


def _told(steps: Iterable[Step]) -> list[LineageEdge]:
    """Each edge once. That a dataset was read is what an index knows; what for, the job knows."""
    found: dict[tuple[Place, Place], Relation] = {}
    for step in steps:
        if step.relation != "read_by" or (step.source, step.target) not in found:
            found[step.source, step.target] = step.relation
    return [
        LineageEdge(source=_id(source), target=_id(target), relation=relation)
        for (source, target), relation in found.items()
    ]
