"""A target's labels in the source's words: renamed where they are mapped, and of the source's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shared.errors import InvalidInput
from shared.modeling.model import Label
from shared.modeling.parsing import parse_boolean, parse_number, shown
from shared.pointers import pointer
from worker.learning.data import Labelled
from worker.learning.wording import listed

MAP = "if they mean the same, say which is which with label_map (`--label theirs=ours` on the command line)"
"""What to do about labels that are written otherwise."""
_KINDS = {bool: "true and false", int: "integers", str: "texts"}
#: Labels that a sentence lists.
_NAMED = 10


def with_labels_of(source: Sequence[Label], data: Labelled, mapped: Mapping[str, Label]) -> Labelled:
    """The same rows, labelled as the source would. Classes are sorted, as they are in any table, so that what follows
    from their order (folds, rounding) does not depend on what the target calls them. Raises as `renamed_labels`."""
    found = renamed_labels(source, data.classes, mapped)
    order = sorted(range(len(found)), key=lambda code: found[code])
    return replace(data, classes=tuple(found[code] for code in order), y=np.argsort(order)[data.y])


def renamed_labels(
    source: Sequence[Label], target: Sequence[Label], mapped: Mapping[str, Label]
) -> tuple[Label, ...]:
    """The target's labels, in their order, as the source would write them. The source's are all of one kind.

    mapped: a target label's text → the source's label for it. Raises InvalidInput: `unknown_label` and
    `label_clash` at /label_map/<text>, `label_type_mismatch` for labels that are not of the source's kind.
    """
    kind = type(source[0])
    texts = [label_text(label) for label in target]
    meant = {text: _meant(text, label, source) for text, label in mapped.items()}
    for text in mapped:
        if text not in texts:
            sentence = f"no target row has the label {shown(text)}; there are {_named(texts)}"
            raise InvalidInput.at(pointer("label_map", text), sentence, code="unknown_label")
    found: dict[Label, str] = {}
    for text, label in zip(texts, target, strict=True):
        new = meant[text] if text in meant else _of_kind(kind, label)
        if new in found:
            raise _clash(new, found[new], text, mapped)
        found[new] = text
    return tuple(found)


def label_text(label: Label) -> str:
    """How a label is written as a key of `label_map`."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _named(texts: Sequence[str]) -> str:
    return listed([shown(text) for text in texts], _NAMED)


def _meant(text: str, label: Label, source: Sequence[Label]) -> Label:
    here = pointer("label_map", text)
    try:
        new = _converted(label, type(source[0]))
    except ValueError as error:
        raise InvalidInput.at(here, f"the source has no such label: {error}", code="unknown_label") from error
    if new not in source:
        known = _named([label_text(item) for item in source])
        sentence = f"the source has no label {shown(label_text(new))}; it has {known}"
        raise InvalidInput.at(here, sentence, code="unknown_label")
    return new


def _of_kind(kind: type[Label], label: Label) -> Label:
    try:
        return label if type(label) is kind else _converted(label, kind)
    except ValueError as error:
        sentence = f"the source's labels are {_KINDS[kind]}, the target's are not: {error}; {MAP}"
        raise InvalidInput(sentence, code="label_type_mismatch") from error


def _clash(new: Label, first: str, second: str, mapped: Mapping[str, Label]) -> InvalidInput:
    for text in (second, first):
        if text in mapped:
            other = first if text == second else second
            sentence = f"{text!r} and {other!r} would both be {label_text(new)}; map one to one"
            return InvalidInput.at(pointer("label_map", text), sentence, code="label_clash")
    sentence = f"as the source's labels are written, {first!r} and {second!r} become the same"
    return InvalidInput(sentence, code="label_type_mismatch")


def _converted(label: Label, wanted: type[Label]) -> Label:
    if wanted is str:
        return label_text(label)
    number = parse_number(label) if isinstance(label, str) and wanted is int else label
    if wanted is bool:
        return parse_boolean(str(number).lower())
    if int(number) != number:
        raise ValueError(f"{shown(str(label))} is not an integer")
    return int(number)
