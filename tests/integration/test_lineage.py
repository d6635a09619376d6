"""The graph of what comes from what, back and on, on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from shared import datasets, keys
from shared.contracts.models import Lineage
from shared.errors import NotFound
from shared.job_records import NewJob, Uses
from shared.services import Services
from shared.states import JobState
from tests.support.schedules import a_dataset
from tests.support.versions import PROJECT, publish

NORTH, SOUTH, ROWS = (f"ds_{letter * 26}" for letter in "NSR")


def reads(dataset_id: str) -> Uses:
    return datasets.used(PROJECT, dataset_id, "/dataset")


def takes(name: str, number: int) -> Uses:
    return Uses(
        keys.model_version(PROJECT, name, number), keys.version_users(PROJECT, name, number), "/model"
    )


def scored(services: Services, name: str, number: int, dataset_id: str) -> str:
    """A batch that has succeeded; its id."""
    uses = (takes(name, number), reads(dataset_id))
    job, _ = services.jobs.submit(
        NewJob(project=PROJECT, type="batch_predict", spec={}, model=name, uses=uses)
    )
    claimed = services.jobs.claim("normal", "w")
    assert claimed
    services.jobs.finish(claimed[0], JobState.SUCCEEDED, result={"output": {"uri": "s3://b/k/"}})
    return job.id


def tuned(services: Services, name: str, dataset_id: str, parent: str, number: int) -> int:
    made_from = {"name": parent, "version": number}
    uses = (reads(dataset_id), takes(parent, number))
    return publish(services, name, uses=uses, dataset=dataset_id, parent=made_from)


@pytest.fixture
def family(services: Services) -> Services:
    """NORTH → north:1 → south:1 (of SOUTH) → south:2 (of SOUTH); a batch over ROWS with south:1."""
    for dataset_id in (NORTH, SOUTH, ROWS):
        a_dataset(services, dataset_id)
    publish(services, "north", uses=(reads(NORTH),), dataset=NORTH)
    tuned(services, "south", SOUTH, "north", 1)
    tuned(services, "south", SOUTH, "south", 1)
    scored(services, "south", 1, ROWS)
    return services


def of(services: Services, ref: str, **how: Any) -> Lineage:
    if ref.startswith("ds_"):
        return services.lineage.of_dataset(PROJECT, ref, **how)
    name, _, number = ref.partition(":")
    return services.lineage.of_version(PROJECT, name, int(number), **how)


def job_of(services: Services, name: str, number: int) -> str:
    return services.models.version(PROJECT, name, number).job


def told(lineage: Lineage) -> set[tuple[str, str, str]]:
    ids = {node.id for node in lineage.nodes}
    assert len(ids) == len(lineage.nodes)
    assert all({edge.source, edge.target} <= ids for edge in lineage.edges), "an edge that dangles"
    found = {(edge.source, edge.relation, edge.target) for edge in lineage.edges}
    assert len(found) == len(lineage.edges)
    return found


def test_a_version_shows_what_it_comes_from_and_what_came_of_it(family: Services) -> None:
    north, south, later = (job_of(family, *at) for at in (("north", 1), ("south", 1), ("south", 2)))
    (batch,) = family.database.zrange(keys.jobs_by(PROJECT, "type", "batch_predict"), 0, -1)
    lineage = of(family, "south:1")
    assert told(lineage) == {
        (NORTH, "trained_on", north),
        (north, "produced_by", "north:1"),
        ("north:1", "fine_tuned_from", "south:1"),
        ("north:1", "used_by", south),
        (SOUTH, "trained_on", south),
        (south, "produced_by", "south:1"),
        ("south:1", "fine_tuned_from", "south:2"),
        ("south:1", "used_by", later),
        (SOUTH, "trained_on", later),
        (later, "produced_by", "south:2"),
        ("south:1", "used_by", batch),
        (batch, "produced_by", f"{batch}/output"),
    }
    assert (lineage.root, lineage.truncated) == ("south:1", False)
    kinds = {node.id: (node.kind, node.type, node.status, node.job, node.deleted) for node in lineage.nodes}
    assert kinds[batch] == ("job", "batch_predict", "succeeded", None, False)
    assert kinds[f"{batch}/output"] == ("output", None, None, batch, False)
    assert kinds[SOUTH] == ("dataset", None, None, None, False)
    assert next(node for node in lineage.nodes if node.id == "south:2").version == 2


def test_either_direction_can_be_had_alone(family: Services) -> None:
    up = {node.id for node in of(family, "south:1", directions=["up"]).nodes}
    down = {node.id for node in of(family, "south:1", directions=["down"]).nodes}
    both = {node.id for node in of(family, "south:1").nodes}
    assert up | down == both
    assert up & down == {"south:1"}
    assert {"north:1", NORTH, SOUTH} <= up
    assert "south:2" in down


def test_a_dataset_shows_all_that_came_of_it(family: Services) -> None:
    found = {node.id for node in of(family, NORTH).nodes}
    assert {"north:1", "south:1", "south:2"} <= found
    assert ROWS not in found
    assert len([item for item in found if item.endswith("/output")]) == 1
    assert {edge[1] for edge in told(of(family, ROWS))} == {"read_by", "produced_by"}
    for unknown in (f"ds_{'0' * 26}", "north:9"):
        with pytest.raises(NotFound):
            of(family, unknown)
    with pytest.raises(NotFound):
        family.lineage.of_version("another", "north", 1)


def test_bounds_cut_off_what_is_farthest_and_say_so(family: Services) -> None:
    whole = of(family, "north:1")
    size = len(whole.nodes)
    assert not whole.truncated
    assert not of(family, "north:1", limit=size).truncated
    for limit in range(1, size):
        cut = of(family, "north:1", limit=limit)
        assert (len(cut.nodes), cut.truncated) == (limit, True)
        assert cut.nodes[0].id == "north:1"
        told(cut)
    for depth in range(1, 4):
        near = of(family, "north:1", depth=depth, directions=["down"])
        assert near.truncated is (depth < 3)
        told(near)
    assert {node.id for node in of(family, "north:1", depth=1, directions=["down"]).nodes} == {
        "north:1",
        "south:1",
        job_of(family, "south", 1),
    }


def test_a_long_chain_is_walked_as_far_as_was_asked(services: Services) -> None:
    publish(services, "chain", dataset=NORTH)
    for number in range(1, 31):
        tuned_from = {"name": "chain", "version": number}
        publish(services, "chain", parent=tuned_from, dataset=NORTH)
    versions = [node.version for node in of(services, "chain:31", depth=100).nodes if node.kind == "version"]
    assert sorted(version or 0 for version in versions) == list(range(1, 32))
    near = of(services, "chain:31", depth=5)
    assert near.truncated
    assert sorted(node.version or 0 for node in near.nodes if node.kind == "version") == list(range(26, 32))
    middle = of(services, "chain:16", depth=2)
    assert {node.version for node in middle.nodes if node.kind == "version"} == {14, 15, 16, 17, 18}


def test_many_with_many_are_not_all_read(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    a_dataset(services, NORTH)
    for _ in range(6):
        publish(services, "wide", uses=(reads(NORTH),), dataset=NORTH)
    assert not of(services, NORTH).truncated
    monkeypatch.setattr("shared.lineage._MOST_READ", 4)
    cut = of(services, NORTH)
    assert cut.truncated
    assert [node.version for node in cut.nodes if node.kind == "version"] == [6, 5, 4, 3], "the newest"


def test_what_was_deleted_is_still_a_node_and_nothing_dangles(family: Services) -> None:
    before = told(of(family, "south:2"))
    family.deletions.version(PROJECT, "south", 1)
    after = of(family, "south:2")
    assert told(after) == before
    gone = next(node for node in after.nodes if node.id == "south:1")
    assert (gone.deleted, gone.deleted_at is not None) == (True, True)
    assert [node.id for node in after.nodes if node.deleted] == ["south:1"]
    assert "south:2" in {node.id for node in of(family, "north:1").nodes}, "and on through it"
    family.datasets.delete(PROJECT, NORTH)
    assert [node.id for node in of(family, "north:1").nodes if node.deleted] == ["south:1", NORTH][::-1]


def test_a_job_that_is_forgotten_is_left_out_or_told_as_gone(family: Services) -> None:
    (batch,) = family.database.zrange(keys.jobs_by(PROJECT, "type", "batch_predict"), 0, -1)
    record = family.jobs.record(PROJECT, batch)
    assert family.jobs.forget(record, ended_before_ms=2**50)
    assert batch not in {node.id for node in of(family, "south:1").nodes}
    users = [keys.version_users(PROJECT, "south", 1), keys.dataset_users(PROJECT, ROWS)]
    assert [family.database.zscore(keys.ever(key), batch) for key in users] == [None, None]
    family.database.delete(keys.job(PROJECT, job_of(family, "north", 1)))
    lineage = of(family, "north:1", directions=["up"])
    assert {(node.kind, node.deleted) for node in lineage.nodes} == {
        ("version", False),
        ("job", True),
        ("dataset", False),
    }
    assert len(told(lineage)) == 2


def test_the_past_is_indexed_once(family: Services) -> None:
    refs = ("north:1", "south:1", "south:2", NORTH, SOUTH, ROWS)
    before = {ref: told(of(family, ref)) for ref in refs}
    for pattern in ("*:ever", "*:children"):
        for key in family.database.keys(pattern):
            family.database.delete(key)
    assert {ref: told(of(family, ref)) for ref in refs} != before
    assert family.lineage.index_past(PROJECT) == 4
    assert {ref: told(of(family, ref)) for ref in refs} == before
    assert family.lineage.index_past(PROJECT) == 0
    assert family.lineage.index_past("another") == 0


def test_what_was_made_before_there_were_indexes_still_has_its_past(family: Services) -> None:
    for pattern in ("*:ever", "*:children"):
        for key in family.database.keys(pattern):
            family.database.delete(key)
    family.database.hdel(keys.job(PROJECT, job_of(family, "south", 1)), "uses")
    up = {node.id for node in of(family, "south:1").nodes}
    assert {"north:1", NORTH, SOUTH, job_of(family, "south", 1)} <= up
    assert of(family, NORTH).nodes[0].id == NORTH
