"""Online prediction over HTTP."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import metrics
from api.auth import needs, project
from api.wiring import model_server, services
from shared.contracts.models import PredictBody, Predictions
from shared.errors import InvalidInput

blueprint = APIBlueprint("predictions", __name__, url_prefix="/v1/models", tag="Prediction")


@blueprint.post("/<ref>/predict")
@needs("read")
@blueprint.input(PredictBody, arg_name="body")
@blueprint.output(Predictions)
@blueprint.doc(
    responses={
        404: "",
        409: "The artifact is not what was signed, or other libraries made it.",
        503: "",
    }
)
def predict(ref: str, body: PredictBody) -> Response:
    """Score rows with a model: `name` (latest version), `name:3` or `name@alias`."""
    # Written by pydantic at once: thousands of rows need not become Python objects a second time.
    return Response(predicted(project(), ref, body).model_dump_json(), mimetype="application/json")


def predicted(owner: str, ref: str, body: PredictBody) -> Predictions:
    """Raises NotFound, InvalidInput with a pointer to each bad cell, Conflict."""
    most = services().settings.max_predict_rows
    if len(body.rows) > most:
        raise InvalidInput.at("/rows", f"at most {most} rows at a time; score more with a batch_predict job")
    name, version = services().models.resolve(owner, ref)
    with metrics.predicting(owner, name, version, len(body.rows)):
        return model_server().predict(owner, name, version, body.rows, probabilities=body.probabilities)
