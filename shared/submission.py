"""What can be checked of a job before it is accepted: that what it names exists and fits together.

What only the rows can show (one class, a column that is all text) fails the job later, with a code of its own.
"""

from __future__ import annotations

from shared.checks import batches, training, transfer
from shared.checks.base import Checks
from shared.contracts.jobs import AnyJobBody, BatchPredictBody, TrainBody
from shared.contracts.transfer import EvaluateBody, FineTuneBody, RankSourcesBody, ShiftReportBody
from shared.errors import InvalidInput
from shared.job_records import NewJob
from shared.services import Services


def check(
    services: Services, project: str, body: AnyJobBody, *, request_id: str | None, parent: str | None = None
) -> NewJob:
    """A job that can be accepted. Raises InvalidInput with a pointer for each field that is wrong."""
    limit = services.settings.max_timeout_seconds
    if body.timeout_seconds is not None and body.timeout_seconds > limit:
        raise InvalidInput.at("/timeout_seconds", f"should be at most {limit}")
    checks = Checks(services, project, body.model_dump(mode="json"))
    model: str | None = None
    match body:
        case TrainBody():
            model = training.train(checks, body)
        case FineTuneBody():
            model = transfer.fine_tune(checks, body)
        case EvaluateBody():
            model = transfer.evaluate(checks, body)
        case ShiftReportBody():
            model = transfer.shift_report(checks, body)
        case RankSourcesBody():
            transfer.rank_sources(checks, body)
        case BatchPredictBody():
            model = batches.batch_predict(checks, body)
    if body.webhook_url is not None:
        checks.webhook(body.webhook_url)
    if checks.errors:
        raise InvalidInput(checks.errors[0].detail, errors=checks.errors)
    return NewJob(
        project=project,
        type=body.type,
        spec=checks.spec,
        priority=body.priority,
        max_attempts=body.max_attempts,
        timeout_seconds=body.timeout_seconds,
        metadata=body.metadata,
        webhook_url=body.webhook_url,
        model=model,
        uses=checks.uses,
        request_id=request_id,
        parent=parent,
    )
