"""Makes exports in a child process with limits and without secrets: the API itself computes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final, Literal

from shared import logs
from shared.compatibility import require
from shared.errors import GraftError, InternalError, InvalidInput, Temporary
from shared.model_cache import ModelCache
from shared.services import Services

log = logs.get(__name__)

Format = Literal["skops", "onnx"]

_SECONDS: Final = 50.0
_QUEUE_SECONDS: Final = 5.0
_CACHE_BYTES: Final = 64 * 2**20
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


class NotInstalled(GraftError):
    """The child lacks what writes the format."""

    default_code = "onnx_not_installed"
    status = 501


class Exporter:
    """One export at a time in each API process; those made last are kept, as versions do not change."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._place = threading.BoundedSemaphore(1)
        self._made: dict[Format, ModelCache[bytes]] = {
            "skops": ModelCache(_CACHE_BYTES),
            "onnx": ModelCache(_CACHE_BYTES),
        }

    def export(self, project: str, name: str, number: int, format: Format) -> bytes:
        """The file. Raises NotFound, BadSignature, Conflict `incompatible_versions`, InvalidInput `not_convertible`,
        NotInstalled, or Temporary."""

        def make() -> tuple[bytes, int]:
            content = self._make(project, name, number, format)
            return content, len(content)

        services = self._services
        artifact = services.models.artifact(project, name, number)  # also for what is kept: it may be gone
        require(artifact.compatibility, name, number, allow=services.settings.allow_incompatible_models)
        return self._made[format].get((project, name, number), make)

    def _make(self, project: str, name: str, number: int, format: Format) -> bytes:
        services = self._services
        artifact = services.models.artifact(project, name, number)
        content = services.objects.get_bytes(artifact.key)
        services.signer.verify(artifact.signed, artifact.signature, content)
        baseline = services.models.version(project, name, number).baseline
        if not self._place.acquire(timeout=_QUEUE_SECONDS):
            raise Temporary("another export is being made", code="exporter_busy", retry_after=5)
        try:
            return in_a_child(content, baseline, format, services.settings.temp_dir)
        finally:
            self._place.release()


def in_a_child(artifact: bytes, baseline: dict[str, Any], format: Format, temp_dir: Path) -> bytes:
    """The export of an artifact whose signature has been verified. Raises InvalidInput, NotInstalled, InternalError."""
    with tempfile.TemporaryDirectory(prefix="graft-export-", dir=temp_dir) as folder:
        Path(folder, "model.joblib").write_bytes(artifact)
        try:
            done = subprocess.run(  # noqa: S603  our own module, no part of it is a user's
                [sys.executable, "-P", "-m", "worker.exports", format],
                cwd=folder,
                env={name: os.environ[name] for name in _KEPT if name in os.environ} | _one_thread(),
                input=json.dumps(baseline).encode(),
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InvalidInput("the export takes too long", code="too_costly") from error
        if done.returncode:
            log.error(
                "export_failed",
                exit_code=done.returncode,
                stderr=done.stderr[-2000:].decode(errors="replace"),
            )
            raise InternalError("an error of Graft's own; its log has it under this request id")
        if answer := json.loads(done.stdout):
            refusal = NotInstalled if answer["code"] == NotInstalled.default_code else InvalidInput
            raise refusal(answer["message"], code=answer["code"])
        return Path(folder, "export").read_bytes()


def _one_thread() -> dict[str, str]:
    return dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
