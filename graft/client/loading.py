"""A version's fitted model, opened here. A pickle can run anything, so nothing is unpickled before its signature holds.

The caller has the key that the server signs with (`GRAFT_SIGNING_KEY`; the local stack's is in
`.graft/credentials.json`). The signature binds the bytes to the project, the model's name, the number of the version,
the job that made it and the libraries it was made with (`shared.signing`). Needs joblib, numpy and pyarrow, and
scikit-learn for trees: they are imported when a model is opened.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft.client.errors import BadSettings, BadSignature, Conflict
from graft.client.rows import as_rows

if TYPE_CHECKING:
    from graft.client.model_version import ModelVersion
    from shared.modeling import Model
    from shared.signing import Signer

CREDENTIALS_FILE = Path(".graft") / "credentials.json"
_NEEDS = (
    "joblib, numpy and pyarrow are needed to open a model here: pip install joblib numpy pyarrow scikit-learn"
)


class LoadedModel:
    """A fitted model in this process. `model` is Graft's own; `predict` scores as the API does."""

    def __init__(self, version: ModelVersion, model: Model) -> None:
        self.version = version
        self.model = model

    def __repr__(self) -> str:
        return f"<LoadedModel {self.version.ref}>"

    @property
    def classes(self) -> list[Any] | None:
        """None for a regression."""
        return list(self.model.classes) if self.model.task == "classification" else None

    def predict(self, rows: Any) -> Any:
        """A numpy array with a label or a number for each row."""
        return self._scored(rows).values

    def predict_proba(self, rows: Any) -> Any:
        """A numpy array, (rows, classes); None for a regression."""
        return self._scored(rows).probabilities

    def _scored(self, rows: Any) -> Any:
        from shared.modeling import rows_to_batch

        return self.model.predict(rows_to_batch(as_rows(rows), self.model.schema()))


def signer(signing_key: str | None) -> Signer:
    """With the key that is given, else that of GRAFT_SIGNING_KEY, else the local stack's. Raises BadSettings."""
    from shared.signing import Signer

    key = (signing_key or os.environ.get("GRAFT_SIGNING_KEY", "")).strip() or _key_of_the_stack()
    if not key:
        raise BadSettings(
            "there is no signing key, and without it nothing is opened",
            "give signing_key=…, the server's GRAFT_SIGNING_KEY; or predict over HTTP, which needs none",
        )
    return Signer(key)


def expect_compatible(version: ModelVersion) -> None:
    """Raises Conflict if other library versions made it than can open it; nothing has been downloaded."""
    from shared import compatibility
    from shared.errors import Conflict as Incompatible

    found = compatibility.judged(version.record.library_versions, version.contents)
    try:
        compatibility.require(found, version.name, version.version)
    except Incompatible as error:
        raise Conflict(error.message, status=409, code=error.code) from None


def opened(version: ModelVersion, content: bytes, signer: Signer, project: str) -> LoadedModel:
    """The model in these bytes. Raises BadSignature, and then nothing of them has been unpickled."""
    from shared import errors as inner
    from shared.signing import BadSignature as NotSigned
    from shared.signing import Signed, made_of

    record = version.record
    made_with = made_of(record.library_versions, version.contents)
    signed = Signed(project, record.name, record.version, record.job, record.sha256, made_with)
    try:
        signer.verify(signed, record.signature, content)
    except NotSigned as error:
        raise BadSignature(
            error.message,
            "is signing_key the server's GRAFT_SIGNING_KEY? if it is, do not trust this artifact",
        ) from None
    try:
        from shared.modeling import load
    except ImportError as error:
        raise BadSettings(f"{error.name} is missing", _NEEDS) from error
    try:
        return LoadedModel(version, load(content))
    except inner.GraftError as error:
        raise Conflict(error.message, status=409, code=error.code) from error


def _key_of_the_stack() -> str:
    try:
        return str(json.loads(CREDENTIALS_FILE.read_text())["signing_key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
