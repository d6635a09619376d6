"""`graft train` and `graft fine-tune`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graft.commands import options
from graft.commands.completing import models
from graft.commands.following import followed, upload_bar
from graft.commands.telling import connected

_Name = Annotated[str, typer.Option(help="The model of which this becomes the next version.")]
_Description = Annotated[str | None, typer.Option(help="What the model is.")]
_Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="name=value, kept with the version; several times.")
]
_TestFraction = Annotated[
    float | None, typer.Option(min=0.01, max=0.99, help="The share of the rows that is held out to measure.")
]
_Seed = Annotated[int | None, typer.Option(min=0, help="Decides every draw; the same seed, the same model.")]


def train(
    source: options.Source,
    target: Annotated[str, typer.Option(help="The column that is to be predicted.")],
    name: _Name,
    model: Annotated[
        str,
        typer.Option(
            help="The kind of model: logistic, linear, svm, neural-network, forest, boosting; auto is logistic for "
            "classes and linear for numbers.",
            autocompletion=options.kinds,
        ),
    ] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the model: epochs=50, hidden_layers=64,32; several times."),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Columns to learn from, with commas; all if left out.")
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification or regression.")] = "auto",
    test_fraction: _TestFraction = None,
    description: _Description = None,
    tag: _Tags = None,
    seed: _Seed = None,
    priority: options.PriorityOption = "normal",
    metadata: options.Metadata = None,
    timeout: options.Timeout = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Train a model on a table and publish it as the next version of a name.

    graft train customers.csv --target churned --model svm --name churn --watch
    """
    estimator = {**options.settings(set_), "kind": options.kind(model)}
    common = options.common(priority, metadata, timeout)
    chosen: Any = task
    with connected() as client:
        with upload_bar(source) as common["on_progress"]:
            job = client.train(
                source,
                target=target,
                name=name,
                estimator=estimator,
                features=[column for column in features.split(",") if column] if features else None,
                task=chosen,
                evaluation=_held_out(test_fraction),
                seed=seed,
                description=description,
                tags=options.pairs(tag, "--tag") or None,
                **common,
            )
        followed(job, watch=watch, as_json=as_json)


def fine_tune(
    base: Annotated[
        str, typer.Argument(help="What to start from: name, name:3 or name@alias.", autocompletion=models)
    ],
    source: options.Source,
    name: _Name,
    target: Annotated[
        str | None, typer.Option(help="The column that is to be predicted; the model's own if left out.")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="auto, continue, l2_sp, new_head, stack, augment, reweight or scratch.")
    ] = "auto",
    column: options.Column = None,
    label: options.Label = None,
    test_fraction: _TestFraction = None,
    description: _Description = None,
    tag: _Tags = None,
    seed: _Seed = None,
    priority: options.PriorityOption = "normal",
    metadata: options.Metadata = None,
    timeout: options.Timeout = None,
    watch: options.Watch = False,
    as_json: options.Json = False,
) -> None:
    """Move a model to other data, and say whether that helped.

    It is measured against the model as it was and against training from scratch, on the same held-out rows:
    graft fine-tune churn customers-south.csv --name churn-south --watch
    """
    common = options.common(priority, metadata, timeout)
    chosen: Any = strategy
    with connected() as client:
        with upload_bar(source) as common["on_progress"]:
            job = client.fine_tune(
                base,
                source,
                target=target or client.models.version(base).record.target,
                name=name,
                strategy=chosen,
                evaluation=_held_out(test_fraction, method="holdout"),
                column_map=options.pairs(column, "--column") or None,
                label_map=options.settings(label, "--label") or None,
                seed=seed,
                description=description,
                tags=options.pairs(tag, "--tag") or None,
                **common,
            )
        followed(job, watch=watch, as_json=as_json)


def _held_out(test_fraction: float | None, **more: Any) -> dict[str, Any] | None:
    return None if test_fraction is None else {"test_fraction": test_fraction, **more}
