"""Lays an attempt's inputs into its work directory, so that its child needs no credentials.

Every byte is checked on the way: a dataset against its recorded digest, an artifact against its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from shared import compatibility, datasets, logs, storage
from shared.contracts.datasets import DatasetFile
from shared.contracts.tables import Column, Format
from shared.errors import Conflict, InvalidInput, NotFound
from shared.job_records import decode
from shared.services import Services
from shared.signing import BadSignature
from shared.storage import Object
from shared.tables import Piece, footer
from worker.artifacts import ArtifactCache
from worker.handlers.base import Assignment, ModelFile, TableFiles

log = logs.get(__name__)

Check = Callable[[], None]

_TAIL_BYTES = 8
_COMPARE_WITH_SOURCE = ("fine_tune", "shift_report")
"""Types of jobs that want the rows a model was trained on, where they still exist."""


def gather(services: Services, record: Mapping[str, Any], workdir: Path, check: Check) -> Assignment:
    """Download what the job needs. `check` is called between steps and may raise to stop."""
    spec, project = record["spec"], record["project"]
    models = _models(services, project, spec, workdir, check)
    dataset = spec["input"]["dataset"] if "input" in spec else spec["dataset"]
    tables = {"dataset": _dataset(services, project, dataset, workdir / "dataset", check)}
    if spec.get("source"):
        tables["source"] = _dataset(services, project, spec["source"], workdir / "source", check)
    elif record["type"] in _COMPARE_WITH_SOURCE:
        tables |= _trained_on(services, project, next(iter(models.values())), workdir / "source", check)
    usable, unusable = _usable_candidates(services, project, spec.get("candidates") or (), workdir, check)
    return replace(_assignment(record, workdir, tables, {**models, **usable}), unusable=unusable)


def outline(
    services: Services, record: Mapping[str, Any], workdir: Path, check: Check
) -> tuple[Assignment, list[Found]]:
    """What planning a batch needs of its input, and what there is of it. Of Parquet files only the footer is there."""
    table, found = _located(services, record["project"], record["spec"]["input"])
    folder = workdir / "outline"
    folder.mkdir(exist_ok=True)  # the store may have been away the first time
    paths, known = [], []
    for number, source in enumerate(found):
        check()
        path = _numbered(folder, number, table.format)
        paths.append(path)
        known.append(_outlined(services, source, path, table.format))
    digest = datasets.joint_digest([f"{source.key} {source.bytes} {source.etag}" for source in known])
    table = replace(table, paths=tuple(paths), sha256=table.sha256 or digest)
    models = _models(services, record["project"], record["spec"], workdir, check)
    return _assignment(record, workdir, {"dataset": table}, models), known


def _outlined(services: Services, source: Found, path: Path, format: Format) -> Found:
    objects = services.objects.at(source.bucket)
    tail, seen = objects.tail(source.key, _TAIL_BYTES)
    if format == "parquet":
        head = (0, min(4, seen.bytes))
        objects.download_ranges(source.key, path, [head, footer(seen.bytes, tail)], seen, in_place=True)
    elif objects.download(source.key, path).sha256 != source.sha256 and source.sha256:
        raise _changed(source.key)
    return replace(source, bytes=seen.bytes, etag=seen.etag)


def shard(
    services: Services,
    record: Mapping[str, Any],
    pieces: Sequence[Mapping[str, Any]],
    workdir: Path,
    check: Check,
) -> Assignment:
    """Download the pieces of one shard. `record` is the job's, with the table that was planned."""
    planned, folder = record["table"], workdir / "shard"
    folder.mkdir(exist_ok=True)  # the store may have been away the first time
    paths, names, chosen = [], [], []
    for number, held in enumerate(pieces):
        check()
        piece, source = Piece.unpack(held["piece"]), Found(**held["file"])
        path = _numbered(folder, number, planned["format"])
        services.objects.at(source.bucket).download_ranges(
            source.key,
            path,
            piece.ranges,
            Object(source.bytes, source.etag),
            in_place=piece.groups is not None,
        )
        paths.append(path)
        names.append(PurePosixPath(source.key).name)
        chosen.append(piece)
    table = TableFiles(
        format=planned["format"],
        paths=tuple(paths),
        columns=tuple(Column.model_validate(column) for column in planned["columns"]),
        rows=planned["rows"],
        sha256=planned["sha256"],
        names=tuple(names),
        pieces=tuple(chosen),
    )
    models = _models(services, record["project"], record["spec"], workdir, check)
    return _assignment(record, workdir, {"dataset": table}, models)


@dataclass(frozen=True, slots=True)
class Found:
    """An object that holds rows of a batch's input, and what tells it from a later one under the same key."""

    bucket: str
    key: str
    sha256: str = ""
    """Of a dataset's object, which must not have changed since it became one."""
    bytes: int = 0
    etag: str = ""


def _located(services: Services, project: str, source: Mapping[str, Any]) -> tuple[TableFiles, list[Found]]:
    """The table without its files, and where those are."""
    if source.get("dataset"):
        dataset = services.datasets.get(project, source["dataset"])
        files = services.datasets.files(project, source["dataset"])
        found = [Found(file.bucket, file.key, file.sha256) for file in files]
        format, columns, rows, sha256 = dataset.format, tuple(dataset.columns), dataset.rows, dataset.sha256
    else:
        bucket, key = storage.split_uri(source["uri"])
        format, names = datasets.tables_at(services.objects.at(bucket), key, source["format"])
        found = [Found(bucket, name) for name in names]
        columns, rows, sha256 = (), 0, ""
    named = tuple(PurePosixPath(item.key).name for item in found)
    return TableFiles(format, (), columns, rows, sha256, named), found


def _assignment(
    record: Mapping[str, Any],
    workdir: Path,
    tables: Mapping[str, TableFiles],
    models: Mapping[str, ModelFile],
) -> Assignment:
    return Assignment(
        job_id=record["id"],
        type=record["type"],
        attempt=int(record["attempt"]),
        spec=record["spec"],
        workdir=workdir,
        tables=tables,
        models=models,
    )


def _numbered(folder: Path, number: int, format: Format) -> Path:
    return folder / f"part-{number:05d}.{format}"


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


def _models(
    services: Services, project: str, spec: Mapping[str, Any], workdir: Path, check: Check
) -> dict[str, ModelFile]:
    """The models that a spec names. Raises BadSignature, NotFound."""
    found = {}
    for number, ref in enumerate(_models_of(spec)):
        check()
        found[ref] = _model(services, project, ref, workdir / f"model-{number:05d}.joblib")
    return found


def _usable_candidates(
    services: Services, project: str, refs: Sequence[str], workdir: Path, check: Check
) -> tuple[dict[str, ModelFile], dict[str, str]]:
    """Those of a ranking's candidates that can be opened, and what is wrong with each other one."""
    found, unusable = {}, {}
    for number, ref in enumerate(refs):
        check()
        try:
            found[ref] = _model(services, project, ref, workdir / f"candidate-{number:05d}.joblib")
        except (BadSignature, Conflict, NotFound) as error:
            unusable[ref] = error.message
    return found, unusable


def _models_of(spec: Mapping[str, Any]) -> Iterator[str]:
    """The references of a spec; `model` of a train or fine_tune is where a result goes, and no reference."""
    for ref in (spec.get("base_model"), spec.get("model")):
        if isinstance(ref, str):
            yield ref


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
        path = _numbered(folder, number, dataset.format)
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
        raise _changed(file.key)


def _changed(key: str) -> InvalidInput:
    return InvalidInput(
        f"the object {key} has changed since it became a dataset; register it again", code="dataset_changed"
    )


def _model(services: Services, project: str, ref: str, path: Path) -> ModelFile:
    name, number = services.models.resolve(project, ref)
    artifact = services.models.artifact(project, name, number)
    settings = services.settings
    compatibility.require(artifact.compatibility, name, number, allow=settings.allow_incompatible_models)
    cache = ArtifactCache(settings.temp_dir / "graft-artifacts", settings.artifact_cache_bytes)
    content = cache.content(artifact.sha256, lambda: services.objects.get_bytes(artifact.key))
    services.signer.verify(artifact.signed, artifact.signature, content)
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
