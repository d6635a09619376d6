"""`graft predict`, `evaluate`, `shift-report` and `rank-sources`: what a trained model can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graft.commands import options
from graft.commands.completing import models
from graft.commands.following import finish, followed, show_outcome, upload_bar
from graft.commands.outputs import format_of_output
from graft.commands.showing import show_json
from graft.commands.telling import JOB_FAILED, connected, say
from shared.states import JobState

Model = Annotated[str, typer.Argument(help="name, name:3 or name@alias.", autocompletion=models)]
Columns = Annotated[str, typer.Option(help="What of the input goes beside each prediction: all, id or none.")]
_Input = Annotated[
    str,
    typer.Argument(
        metavar="FILE|DATASET|s3://…",
        help="A table, which is uploaded; a dataset's id; or objects in the store.",
    ),
]
_Target = Annotated[str | None, typer.Option(help="The column with the truth.")]


def predict(
    model: Model,
    source: _Input,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Wait, and write the rows there: a .parquet, .csv or .jsonl file, or a folder.",
        ),
    ] = None,
    columns: Columns = "all",
    column: options.Column = None,
    id_column: Annotated[
        str | None, typer.Option(help="The column that tells rows apart, for --columns id.")
    ] = None,
    probabilities: Annotated[bool, typer.Option(help="Write a probability for each class.")] = True,
    skip_bad_rows: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The share of rows that may be bad; they are listed, not scored."),
    ] = None,
    priority: options.PriorityOption = "normal",
    metadata: options.Metadata = None,
    timeout: options.Timeout = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Score a table with a model.

    graft predict churn@champion customers.csv -o scored.parquet
    """
    written = {
        "columns": columns,
        "probabilities": probabilities,
        "format": "parquet" if output is None else format_of_output(output),
    }
    common = options.common(priority, metadata, timeout)
    with connected() as client:
        with upload_bar(source) as common["on_progress"]:
            is_there = source.startswith("s3://")
            job = client.batch_predict(
                model,
                None if is_there else source,
                uri=source if is_there else None,
                output=written,
                column_map=options.pairs(column, "--column") or None,
                id_column=id_column,
                on_bad_row=None if skip_bad_rows is None else "skip",
                max_error_rate=skip_bad_rows,
                **common,
            )
        if output is None:
            followed(job, watch=watch, as_json=as_json)
            return
        finish(job)
        if job.status is not JobState.SUCCEEDED:
            show_outcome(job)
            raise typer.Exit(JOB_FAILED)
        paths = [str(path) for path in job.outputs.download(output)]
        if as_json:
            show_json({**job.to_dict(), "downloaded": paths})
        else:
            show_outcome(job, is_fetched=True)
            say(f"written: {', '.join(paths)}")


def evaluate(
    model: Model,
    source: options.Source,
    target: _Target = None,
    column: options.Column = None,
    label: options.Label = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Measure a model on a labelled table."""
    renames = _renames(column, label)
    with connected() as client:
        with upload_bar(source) as on_progress:
            job = client.evaluate(model, source, target=target, on_progress=on_progress, **renames)
        followed(job, watch=watch, as_json=as_json)


def shift_report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE|DATASET", help="What to compare with: a model's training rows, or a table."
        ),
    ],
    table: options.Source,
    target: _Target = None,
    column: options.Column = None,
    label: options.Label = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Say how a table differs from what a model was trained on, or from another table."""
    is_table = source.startswith("ds_") or Path(source).exists()
    compared: Any = {"source" if is_table else "model": source, **_renames(column, label)}
    with connected() as client:
        with upload_bar(table) as on_progress:
            job = client.shift_report(table, target=target, on_progress=on_progress, **compared)
        followed(job, watch=watch, as_json=as_json)


def rank_sources(
    table: options.Source,
    target: Annotated[str, typer.Option(help="The column that is to be predicted.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="A model to try; several times. All of the project's if left out."),
    ] = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Rank models by how well they would serve a labelled table, as they are and fine-tuned."""
    with connected() as client:
        with upload_bar(table) as on_progress:
            job = client.rank_sources(table, target=target, candidates=candidate, on_progress=on_progress)
        followed(job, watch=watch, as_json=as_json)


def _renames(column: list[str] | None, label: list[str] | None) -> dict[str, Any]:
    """Raises BadParameter."""
    return {
        "column_map": options.pairs(column, "--column") or None,
        "label_map": options.settings(label, "--label") or None,
    }
