"""Scores the rows of a table, or of one shard of it, with one model version, in constant memory.

Rows in = rows out + failed rows, always: a row that the model cannot take is either named and ends the job
(`on_bad_row: fail`) or is listed in `_errors.jsonl` and counted (`skip`), up to `max_error_rate`.
Files whose names begin with `_` are not data to pyarrow.dataset and Spark, so an output reads as it lies.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.tables import Rows, read_rows
from worker.handlers.base import Assignment, Context, Outcome, TableFiles
from worker.handlers.batch_columns import check_columns, kept_columns
from worker.handlers.batch_output import BatchOutput
from worker.handlers.scoring import Scorer
from worker.handlers.source import model_file, open_model
from worker.learning.target import Renames


def run(assignment: Assignment, context: Context) -> Outcome:
    """Score `assignment.tables["dataset"]` with the spec's model; the output is still local files."""
    spec, table = assignment.spec, assignment.tables["dataset"]
    model = open_model(model_file(assignment, spec["model"]))
    if not table.pieces:
        check_columns(model, table.columns, spec, context)
    kept = kept_columns(spec, table.columns)
    scorer = Scorer(
        model,
        kept,
        Renames.of(spec),
        probabilities=spec["output"]["probabilities"],
        decision=spec["output"].get("decision", False),
        row_numbers=spec["output"].get("row_numbers", False),
    )
    total = sum(piece.rows for piece in table.pieces) or table.rows
    with BatchOutput(assignment.workdir, spec, part=assignment.part, job_rows=table.rows) as output:
        for name, rows in _rows(table, scorer):
            good, bad = scorer.split(rows.batch)
            output.errors.add(name, rows, bad)
            if good.table.num_rows:
                output.part.write(scorer.score(name, rows, good))
            output.seen += rows.count
            context.progress("scoring", output.seen, total, "rows")
    if output.part.rows + output.errors.rows != output.seen or output.seen != total:
        raise AssertionError(f"rows do not add up: {output.counts} of {total}")
    schema = output.part.schema or scorer.empty(table.columns)
    described = [{"name": field.name, "type": str(field.type)} for field in schema]
    result = {"columns": described, "latest_bad_row": output.errors.latest}
    return Outcome(result=result, outputs=output.files, counts=output.counts)


def _rows(table: TableFiles, scorer: Scorer) -> Iterator[tuple[str, Rows]]:
    """(file, rows) in order."""
    columns = scorer.needed(table.format, table.columns)
    pieces = table.pieces or (None,) * len(table.paths)
    for path, name, piece in zip(table.paths, table.names, pieces, strict=True):
        for rows in read_rows(path, table.format, columns, piece=piece):
            yield name, rows
