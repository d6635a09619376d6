"""What a message says: `{type, timestamp, data}`, with the job as `GET /v1/jobs/{id}` shows it, but thin.

It is made anew for every attempt from what does not change any more, so it is the same each time. What may be long
(spec, report, progress) stays behind the job's link; a message has at most `MOST_BYTES`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.contracts.base import from_ms
from shared.contracts.jobs import Job
from shared.contracts.schedules import Occurrence
from shared.contracts.webhooks import TEST_EVENT, Message

MOST_BYTES = 16_384
_LEFT_OUT = {"spec", "progress", "worker", "cancel_requested_at"}
_UNTIL_ITS_END = {"finished_at", "counts", "error", "usage", "result", "warnings"}
_OF_A_REPORT = ("verdict", "gain", "strategy")
_DROPPED_FIRST = ("metrics", "warnings", "metadata", "result")


def body(delivery: Mapping[str, str], *, job: Job | None = None, occurrence: Occurrence | None = None) -> str:
    """The text that is signed and sent. A job or occurrence that is gone by now is told by its id."""
    event = delivery["event"]
    if event == TEST_EVENT:
        data: dict[str, Any] = {"webhook": delivery["webhook"], "message": "a test: nothing has happened"}
    elif "schedule" in delivery:
        data = _occurrence(delivery, occurrence)
    else:
        data = _job(delivery, job)
    message = Message(type=event, timestamp=from_ms(int(delivery["occurred_at"])), data=data)
    return _capped(message.model_dump(mode="json"))


def _job(delivery: Mapping[str, str], job: Job | None) -> dict[str, Any]:
    state = {"started": "running"}.get(name := delivery["event"].removeprefix("job."), name)
    if job is None:
        return {"id": delivery["job"], "status": state, "links": {"self": f"/v1/jobs/{delivery['job']}"}}
    told = job.model_dump(mode="json", exclude=_LEFT_OUT)
    if state in {"queued", "running"}:  # it may have gone on meanwhile
        told = {name: value for name, value in told.items() if name not in _UNTIL_ITS_END}
        told |= {"attempt": int(state == "running")}
        if state == "queued":
            told["started_at"] = None
    elif job.result:
        told["result"] = _thin(job.result)
    return {**told, "status": state}


def _thin(result: Mapping[str, Any]) -> dict[str, Any]:
    """A report's verdict, an output without its files."""
    thin = {name: value for name, value in result.items() if name not in {"report", "output"}}
    if report := result.get("report"):
        thin["report"] = {name: report[name] for name in _OF_A_REPORT if name in report}
    if output := result.get("output"):
        thin["output"] = {name: value for name, value in output.items() if name not in {"files", "errors"}}
    return thin


def _occurrence(delivery: Mapping[str, str], occurrence: Occurrence | None) -> dict[str, Any]:
    schedule = delivery["schedule"]
    told = {} if occurrence is None else occurrence.model_dump(mode="json", exclude={"job", "through"})
    return {
        "schedule": schedule,
        "status": "failed",
        **told,
        "links": {
            "schedule": f"/v1/schedules/{schedule}",
            "occurrences": f"/v1/schedules/{schedule}/occurrences",
        },
    }


def _capped(message: dict[str, Any]) -> str:
    """`truncated` names what was left out."""
    text, dropped = _text(message), []
    for name in _DROPPED_FIRST:
        if len(text.encode()) <= MOST_BYTES:
            break
        for holder in (message["data"].get("result"), message["data"]):
            if holder and holder.pop(name, None):
                dropped.append(name)
        message["data"]["truncated"] = dropped
        text = _text(message)
    if len(text.encode()) > MOST_BYTES and message["data"].get("error"):
        message["data"]["error"]["message"] = message["data"]["error"]["message"][:1_000]
        text = _text(message)
    return text


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
