"""Forms made from the contracts, and what is sent with them as a body again.

A field of a form is a field of the body, found in the contract's own JSON schema: so there is none that the API does
not take, and none that it takes is missing. Nothing is checked here. What cannot be read as what the field wants goes
on as it was typed, and the API's own check says what is wrong with it, by its pointer, which is the field's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pydantic import BaseModel

from api.dashboard import wording
from shared.errors import FieldError
from shared.pointers import pointer

Control = Literal[
    "text",
    "integer",
    "number",
    "choice",
    "switch",
    "lines",
    "integers",
    "json",
    "area",
    "dataset",
    "column",
    "model",
]

_BY_NAME: Final[dict[str, Control]] = {
    "/dataset": "dataset",
    "/source": "dataset",
    "/input/dataset": "dataset",
    "/target": "column",
    "/id_column": "column",
    "/base_model": "model",
    "/model": "model",
    "/model/description": "area",
    "/features": "lines",
    "/candidates": "lines",
}
_LABELS: Final = {
    "/estimator/kind": "Estimator",
    "/model/name": "Model name",
    "/model/description": "Description",
    "/model/tags": "Tags",
    "/input/dataset": "Dataset",
    "/input/uri": "Or objects at",
    "/input/format": "Input format",
    "/output/uri": "Output URI",
    "/output/format": "Output format",
    "/output/columns": "Columns in the output",
    "/id_column": "Id column",
    "/source": "Or compare with the dataset",
    "/webhook_url": "Webhook URL",
    "/catch_up_limit": "Catch up at most",
    "/job": "Job",
}
_HINTS: Final = {
    "/input/uri": "s3://bucket/prefix/, in place of a dataset",
    "/target": "The column to predict.",
    "/features": "One column a line; empty: every other column.",
    "/model/name": "Each training makes the next version under this name.",
    "/base_model": "name, name:3 or name@alias",
    "/candidates": "One model a line; empty: the latest version of each.",
    "/metadata": 'JSON, as in {"ticket": "ML-7"}',
    "/model/tags": 'JSON, as in {"team": "south"}',
    "/column_map": 'JSON: a column of the table → the model\'s, as in {"years": "age"}',
    "/label_map": 'JSON: a label of the table → the model\'s, as in {"ja": "yes"}',
    "/estimator/hidden_layers": "Widths, as in 64, 32",
    "/job": "A job's body, as POST /v1/jobs takes it.",
    "/cron": "minute hour day month weekday, as in 30 2 * * *",
    "/timezone": "An IANA zone, as in Europe/Berlin",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `value` is what stands in it, as text; `errors` what is wrong with that."""

    pointer: str
    label: str
    control: Control
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""
    hint: str = ""
    value: str = ""
    errors: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return "f" + re.sub(r"[^a-z0-9]", "-", self.pointer)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields in order, and what is wrong with none of them in particular."""

    fields: tuple[Field, ...]
    general: tuple[str, ...] = ()
    main: frozenset[str] = field(default_factory=frozenset)

    def parts(self) -> tuple[list[Field], list[Field]]:
        """Those to show at once, and those to show when asked for."""
        first = [one for one in self.fields if one.pointer in self.main]
        return first, [one for one in self.fields if one.pointer not in self.main]

    @property
    def wrong(self) -> list[Field]:
        return [one for one in self.fields if one.errors]


def form_of(contract: type[BaseModel], main: Sequence[str], *, without: Sequence[str] = ("/type",)) -> Form:
    """The empty form of a contract; those named first come first, in that order."""
    schema = contract.model_json_schema()
    found = [one for one in _fields(schema, schema, ()) if one.pointer not in without]
    order = {name: place for place, name in enumerate(main)}
    found.sort(key=lambda one: order.get(one.pointer, len(order)))
    return Form(tuple(found), main=frozenset(main))


def filled(form: Form, values: Mapping[str, str]) -> Form:
    """With these texts in its fields, by pointer; of others, what it would be by default."""
    return replace(
        form, fields=tuple(replace(one, value=values.get(one.pointer, one.default)) for one in form.fields)
    )


def refused(form: Form, errors: Sequence[FieldError], message: str) -> Form:
    """The same, with each error beside its field: the one with its pointer, or the nearest above it."""
    by_field: dict[str, list[str]] = {}
    general: list[str] = []
    names = [one.pointer for one in form.fields]
    for error in errors:
        place = error.pointer
        while place and place not in names:
            place = place.rpartition("/")[0]
        if place:
            by_field.setdefault(place, []).append(error.detail)
        else:
            within = next(
                (name for name in names if error.pointer and name.startswith(error.pointer + "/")), None
            )
            if within:
                by_field.setdefault(within, []).append(error.detail)
            else:
                general.append(
                    f"{error.pointer.lstrip('/')}: {error.detail}" if error.pointer else error.detail
                )
    marked = tuple(replace(one, errors=tuple(by_field.get(one.pointer, ()))) for one in form.fields)
    return replace(form, fields=marked, general=tuple(general or ([] if by_field else [message])))


def body_of(form: Form, sent: Mapping[str, str]) -> dict[str, Any]:
    """What was sent with the form, as a body. Empty fields are left out, so that their defaults hold."""
    body: dict[str, Any] = {}
    for one in form.fields:
        if one.control == "switch":
            value: Any = one.pointer in sent
        else:
            text = sent.get(one.pointer, "").replace("\r\n", "\n")
            value = None if not text.strip() else _read(one.control, text)
        *parents, name = one.pointer.split("/")[1:]
        within = body
        for parent in parents:
            within = within.setdefault(parent, {})
        if value is not None:
            within[name] = value
    return body


def texts_of(form: Form, body: Mapping[str, Any]) -> dict[str, str]:
    """A body as what would have to be typed for it, by pointer."""
    found: dict[str, str] = {}
    for one in form.fields:
        value: Any = body
        for name in one.pointer.split("/")[1:]:
            value = value.get(name) if isinstance(value, Mapping) else None
        found[one.pointer] = _typed(one.control, value)
    return found


def _read(control: Control, text: str) -> Any:
    plain = text.strip()
    match control:
        case "integer":
            return int(plain) if re.fullmatch(r"[+-]?\d{1,20}", plain) else plain
        case "number":
            return _number(plain)
        case "lines":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case "integers":
            parts = [part for part in re.split(r"[,\s]+", plain) if part]
            return [int(part) if re.fullmatch(r"\d{1,9}", part) else part for part in parts]
        case "json":
            try:
                return json.loads(plain)
            except ValueError:
                return plain
    return text if control in {"area", "column"} else plain


def _number(plain: str) -> Any:
    try:
        return int(plain) if re.fullmatch(r"[+-]?\d{1,20}", plain) else float(plain)
    except ValueError:
        return plain


def _typed(control: Control, value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    match control:
        case "switch":
            return "true" if value else ""
        case "lines":
            return "\n".join(map(str, value))
        case "integers":
            return ", ".join(map(str, value))
        case "json":
            return wording.as_json(value)
    return str(value)


def _fields(root: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Field]:
    """The leaves of an object's schema."""
    required = set(schema.get("required", ()))
    for name, raw in schema.get("properties", {}).items():
        told, optional = _resolved(root, raw)
        if told.get("properties") and not optional:
            yield from _fields(root, told, (*path, name))
            continue
        place = pointer(*path, name)
        control, choices = _control(root, place, told)
        yield Field(
            pointer=place,
            label=_LABELS.get(place, wording.words(name)),
            control=control,
            required=name in required,
            choices=("", *choices) if optional and choices else choices,
            default=_typed(control, raw.get("default")),
            hint=_HINTS.get(place, _range(told)),
        )


def _control(root: Mapping[str, Any], place: str, told: Mapping[str, Any]) -> tuple[Control, tuple[str, ...]]:
    if named := _BY_NAME.get(place):
        return named, ()
    choices = tuple(_choices(root, told))
    if choices:
        return "choice", choices
    match told.get("type"):
        case "boolean":
            return "switch", ()
        case "integer":
            return "integer", ()
        case "number":
            return "number", ()
        case "array":
            items, _ = _resolved(root, told.get("items", {}))
            return ("integers" if items.get("type") == "integer" else "lines"), ()
        case "object":
            return "json", ()
    return "text", ()


def _choices(root: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    """Of a Literal, or a union of Literals."""
    if "enum" in told or "const" in told:
        yield from map(str, told.get("enum", [told.get("const")]))
    for part in told.get("anyOf", ()):
        yield from _choices(root, _resolved(root, part)[0])


def _resolved(root: Mapping[str, Any], raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The schema that a reference, or what may be null, stands for; and whether it may be null."""
    while "$ref" in raw:
        raw = root["$defs"][raw["$ref"].rpartition("/")[2]]
    options = raw.get("anyOf", ())
    rest = [option for option in options if option.get("type") != "null"]
    if len(rest) < len(options):
        if len(rest) == 1:
            return _resolved(root, rest[0])[0], True
        return {**raw, "anyOf": rest}, True
    return raw, False


def _range(told: Mapping[str, Any]) -> str:
    low = told.get("minimum", told.get("exclusiveMinimum"))
    high = told.get("maximum", told.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return "" if low is None else f"from {low:,}"
