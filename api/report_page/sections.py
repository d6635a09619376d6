"""The parts of the page, each from its part of the report: a question, its answer in words, what to do, a plot.

A part that the report lacks is left out, and one that could not be computed says why. Nothing is computed here but
where things are drawn.
"""

from __future__ import annotations

from api.report_page.comparison import help_section
from api.report_page.mistakes import mistakes_section
from api.report_page.parts import Json, Section
from api.report_page.reasons import explanation_section, forgetting_section, labels_section
from api.report_page.shifts import shift_section

_PARTS = (
    help_section,
    labels_section,
    shift_section,
    explanation_section,
    forgetting_section,
    mistakes_section,
)


def sections(report: Json) -> list[Section]:
    """In the order in which a reader asks."""
    made = (part(report) for part in _PARTS)
    return [section for section in made if section is not None]
