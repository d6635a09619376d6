"""What happens to a job when the processes that run it die. (The fault suite proper is tests/chaos.)"""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.e2e import tables
from tests.e2e.conftest import RunningStack
from tests.support.client import Graft, Json, train_body
from tests.support.waiting import eventually


@pytest.fixture
def long_job(graft: Graft) -> Json:
    """A few seconds of work, so that there is time to kill it."""
    dataset = graft.dataset(tables.digits(slice(0, 1500)))
    estimator = {"kind": "neural_network", "epochs": 600, "hidden_layers": [256], "learning_rate": 1e-6}
    return train_body(dataset, "hunted", estimator=estimator)


def worker_process(stack: RunningStack) -> psutil.Process:
    processes = psutil.Process(stack.process.pid).children(recursive=True)
    return next(process for process in processes if " -m worker " in " ".join(process.cmdline()))


def job_children(stack: RunningStack) -> list[psutil.Process]:
    """The processes that compute: the forkserver's children."""
    found = []
    for process in worker_process(stack).children(recursive=False):
        if "forkserver" in " ".join(process.cmdline()):
            found += process.children()
    return found


def test_a_job_whose_child_is_killed_is_run_again_and_has_one_effect(
    graft: Graft, stack: RunningStack, long_job: Json
) -> None:
    job_id = graft.submit(long_job).json()["id"]
    child = eventually(lambda: job_children(stack))[0]
    child.send_signal(signal.SIGKILL)
    job = graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert graft.get("/v1/models/hunted").json()["latest_version"] == 1
    moves = [event for event in events_of(graft, job_id) if event not in {"checkpoint", "resumed"}]
    assert moves == ["submitted", "claimed", "requeued", "claimed", "succeeded"]


def test_a_job_that_kills_its_process_every_time_fails_in_the_end(
    graft: Graft, stack: RunningStack, long_job: Json
) -> None:
    job_id = graft.submit({**long_job, "max_attempts": 2, "model": {"name": "poison"}}).json()["id"]
    for attempt in (1, 2):
        eventually(lambda attempt=attempt: graft.job(job_id)["attempt"] == attempt)  # type: ignore[misc]
        eventually(lambda: job_children(stack))[0].send_signal(signal.SIGKILL)
    job = graft.ended(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "worker_lost")
    assert graft.get("/v1/models/poison").status_code == 404


def test_no_child_outlives_its_worker_and_the_job_goes_on_elsewhere(
    graft: Graft, stack: RunningStack, long_job: Json
) -> None:
    job_id = graft.submit({**long_job, "model": {"name": "orphan"}}).json()["id"]
    children = eventually(lambda: job_children(stack))
    worker_process(stack).send_signal(signal.SIGKILL)
    eventually(lambda: not any(child.is_running() for child in children), 5)
    job = graft.ended(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert graft.get("/v1/models/orphan").json()["latest_version"] == 1


def events_of(graft: Graft, job_id: str) -> list[str]:
    return [
        event["event"]
        for event in graft.get(f"/v1/jobs/{job_id}/events", params={"limit": 500}).json()["data"]
    ]


def test_a_resumed_fit_gives_the_very_model_of_an_uninterrupted_one(
    graft: Graft, stack: RunningStack, long_job: Json
) -> None:
    straight = graft.run({**long_job, "model": {"name": "straight"}})
    job_id = graft.submit({**long_job, "model": {"name": "resumed"}}).json()["id"]
    eventually(lambda: "checkpoint" in events_of(graft, job_id))
    job_children(stack)[0].send_signal(signal.SIGKILL)
    resumed = graft.ended(job_id)
    assert (resumed["status"], resumed["attempt"]) == ("succeeded", 2)
    assert "resumed" in events_of(graft, job_id)
    digests = {
        graft.get(f"/v1/models/{name}/versions/1").json()["sha256"] for name in ("straight", "resumed")
    }
    assert len(digests) == 1
    assert resumed["result"]["metrics"] == straight["result"]["metrics"]
