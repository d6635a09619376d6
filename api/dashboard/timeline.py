"""A job's life as one line: where it waited, where attempts ran, and how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from api.dashboard import charts, wording
from api.report_page import svg
from shared.contracts.jobs import Job, JobEvent
from shared.states import TERMINAL, JobState

_STYLES = {"waiting": "fill-muted", "running": "fill-live", "succeeded": "fill-tuned", "failed": "fill-bad"}
_LEFT, _RIGHT = 2.0, 718.0


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the line. `how`: waiting, running, or how the attempt ended: succeeded, failed, cancelled, queued."""

    begins: datetime
    ends: datetime
    how: str
    attempt: int


def spans(job: Job, events: Sequence[JobEvent], now: datetime | None = None) -> list[Span]:
    """Waits and attempts in turn, from the events that change the state."""
    end = job.finished_at or now or datetime.now(UTC)
    found: list[Span] = []
    since, state, attempt = job.created_at, JobState.QUEUED, 0
    for event in events:
        if event.state == state and event.attempt == attempt:
            continue
        if state is JobState.QUEUED:
            found.append(Span(since, event.at, "waiting", attempt))
        else:
            found.append(Span(since, event.at, event.state.value, attempt))
        since, state, attempt = event.at, event.state, event.attempt
    if state not in TERMINAL:
        how = "waiting" if state is JobState.QUEUED else "running"
        found.append(Span(since, max(end, since), how, attempt))
    return [span for span in found if span.ends > span.begins]


def drawn(job: Job, events: Sequence[JobEvent]) -> Markup | None:
    """None while nothing has taken any time."""
    parts = spans(job, events)
    if not parts:
        return None
    begins, ends = parts[0].begins, parts[-1].ends
    whole = max((ends - begins).total_seconds(), 0.001)

    def x(moment: datetime) -> float:
        return _LEFT + (moment - begins).total_seconds() / whole * (_RIGHT - _LEFT)

    shapes, words = [], []
    for span in parts:
        took = wording.between(span.begins, span.ends)
        sentence = (
            f"waited {took}" if span.how == "waiting" else f"attempt {span.attempt}: {span.how} after {took}"
        )
        if span.how == "running":
            sentence = f"attempt {span.attempt} has been running for {took}"
        style = _STYLES.get(span.how, "fill-warn")
        tall = 10.0 if span.how == "waiting" else 22.0
        box = svg.rect(
            x(span.begins), 16 - tall / 2, max(x(span.ends) - x(span.begins) - 1, 2.0), tall, style
        )
        shapes.append(svg.titled(sentence, [box]))
        words.append(sentence)
    return charts.drawing(720, 32, "Timeline", "; ".join(words), shapes, "timeline", stretched=True)
