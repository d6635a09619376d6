"""Lays an attempt's inputs into its work directory, so that its child needs no credentials.

Every byte is checked on the way: a dataset against its recorded digest, an artifact against its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from shared import datasets, logs, storage
from shared.contracts.datasets import DatasetFile
from shared.contracts.tables import Format
from shared.errors import InvalidInput, NotFound
from shared.jobs import decode
from shared.services import Services
from shared.signing import Signed
from worker.handlers.base import Assignment, ModelFile, TableFiles

log = logs.get(__name__)

Check = Callable[[], None]

_COMPARE_WITH_SOURCE = ("fine_tune", "shift_report")
"""Types of jobs that want the rows a model was trained on, where they still exist."""


def gather(services: Services, record: Mapping[str, Any], workdir: Path, check: Check) -> Assignment:
    """Download what the job needs. `check` is called between steps and may raise to stop."""
    spec, project = record["spec"], record["project"]
    source = spec.get("input", {"dataset": spec.get("dataset")})
    if source.get("dataset"):
        tables = {"dataset": _dataset(services, project, source["dataset"], workdir / "dataset", check)}
    else:
        place = workdir / "dataset"
        tables = {"dataset": _objects(services, source["uri"], source["format"], place, check)}
    models = {}
    for number, ref in enumerate(_models_of(spec)):
        check()
        models[ref] = _model(services, project, ref, workdir / f"model-{number:05d}.joblib")
    if spec.get("source"):
        tables["source"] = _dataset(services, project, spec["source"], workdir / "source", check)
    elif record["type"] in _COMPARE_WITH_SOURCE:
        tables |= _trained_on(services, project, next(iter(models.values())), workdir / "source", check)
    return Assignment(
        job_id=record["id"],
        type=record["type"],
        attempt=int(record["attempt"]),
        spec=spec,
        workdir=workdir,
        tables=tables,
        models=models,
    )


def pack(assignment: Assignment) -> dict[str, Any]:
    """The assignment in plain values, to be handed to another process."""
    packed = asdict(assignment)
    packed["workdir"] = str(assignment.workdir)
    for table in packed["tables"].values():
        table["paths"] = [str(path) for path in table["paths"]]
        table["columns"] = [column.model_dump() for column in table["columns"]]
    for model in packed["models"].values():
        model["path"] = str(model["path"])
    packed["checkpoint"] = str(assignment.checkpoint) if assignment.checkpoint else None
    return packed


def _models_of(spec: Mapping[str, Any]) -> Iterator[str]:
    """The references of a spec; `model` of a train or fine_tune is where a result goes, and no reference."""
    for ref in (spec.get("base_model"), spec.get("model")):
        if isinstance(ref, str):
            yield ref
    yield from spec.get("candidates") or ()


def _trained_on(
    services: Services, project: str, model: ModelFile, folder: Path, check: Check
) -> dict[str, TableFiles]:
    """{"source": the table that the model was trained on}, or nothing where that has gone or changed."""
    try:
        return {"source": _dataset(services, project, model.record["dataset"], folder, check)}
    except (NotFound, InvalidInput) as error:
        log.info("source_rows_unavailable", reason=error.message)
        return {}


def _dataset(services: Services, project: str, dataset_id: str, folder: Path, check: Check) -> TableFiles:
    dataset = services.datasets.get(project, dataset_id)
    files = services.datasets.files(project, dataset_id)
    folder.mkdir(exist_ok=True)
    paths = []
    for number, file in enumerate(files):
        check()
        path = folder / f"part-{number:05d}.{dataset.format}"
        _fetch(services, file, path)
        paths.append(path)
    return TableFiles(
        format=dataset.format,
        paths=tuple(paths),
        columns=tuple(dataset.columns),
        rows=dataset.rows,
        sha256=dataset.sha256,
        names=tuple(PurePosixPath(file.key).name for file in files),
    )


def _fetch(services: Services, file: DatasetFile, path: Path) -> None:
    try:
        stored = services.objects.at(file.bucket).download(file.key, path)
    except NotFound as error:
        raise InvalidInput(
            f"the object {file.key} of the dataset is gone from the store", code="dataset_gone"
        ) from error
    if stored.sha256 != file.sha256:
        raise InvalidInput(
            f"the object {file.key} has changed since it became a dataset; register it again",
            code="dataset_changed",
        )


def _objects(
    services: Services, uri: str, format: Literal["auto"] | Format, folder: Path, check: Check
) -> TableFiles:
    """The objects of a URI, as they are now; their columns are for the handler to find out."""
    bucket, key = storage.split_uri(uri)
    objects = services.objects.at(bucket)
    found, names = datasets.tables_at(objects, key, format)
    folder.mkdir(exist_ok=True)
    paths, digests = [], []
    for number, name in enumerate(names):
        check()
        path = folder / f"part-{number:05d}.{found}"
        digests.append(objects.download(name, path).sha256)
        paths.append(path)
    return TableFiles(
        format=found,
        paths=tuple(paths),
        columns=(),
        rows=0,
        sha256=datasets.joint_digest(digests),
        names=tuple(PurePosixPath(name).name for name in names),
    )


def _model(services: Services, project: str, ref: str, path: Path) -> ModelFile:
    name, number = services.models.resolve(project, ref)
    artifact = services.models.artifact(project, name, number)
    content = services.objects.get_bytes(artifact.key)
    services.signer.verify(
        Signed(project, name, artifact.job_id, artifact.sha256), artifact.signature, content
    )
    path.write_bytes(content)
    version = services.models.version(project, name, number)
    return ModelFile(
        path=path,
        sha256=artifact.sha256,
        name=name,
        version=number,
        record=version.model_dump(mode="json", by_alias=True),
        made_by=_made_by(services, project, artifact.job_id),
    )


def _made_by(services: Services, project: str, job_id: str) -> Mapping[str, Any]:
    """The spec of a job; of one that made a version, which is kept as long as the version is."""
    try:
        spec: Mapping[str, Any] = decode(services.jobs.record(project, job_id))["spec"]
    except NotFound:
        return {}
    return spec
