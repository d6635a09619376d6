"""A fine-tune's report as one HTML page that needs nothing but itself: no script, no font, no image from elsewhere.

sections.py    the parts in order: comparison.py, reasons.py, shifts.py, mistakes.py; parts.py what each consists of
bars.py, curve.py, matrix.py    plots as SVG; svg.py the shapes they are made of
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask import render_template
from markupsafe import Markup

from api.report_page.sections import sections
from shared.contracts.models import ModelVersion

__all__ = ["content_security_policy", "context", "render"]

_STYLE = Path(__file__).parent.parent / "templates" / "report.css"
_VERDICTS = {
    "improved": "It helped",
    "neutral": "No sure difference",
    "negative_transfer": "It made things worse",
}


def render(report: Mapping[str, Any], version: ModelVersion) -> str:
    """The page. Every text of the user's (names, columns, labels) is escaped."""
    style = Markup(_style())  # noqa: S704  a file of ours
    return render_template("report.html", **context(report, version), style=style)


def context(report: Mapping[str, Any], version: ModelVersion) -> dict[str, Any]:
    """What `report_body.html` needs, wherever it stands."""
    return {
        "report": report,
        "version": version,
        "words": report.get("summary") or {},
        "verdict": _VERDICTS.get(report["verdict"], report["verdict"]),
        "measured": _measured(report),
        "sections": sections(report),
    }


def _measured(report: Mapping[str, Any]) -> str:
    """How the models were measured, in a phrase."""
    evaluation = report.get("evaluation") or {}
    fitted, tested = f"{report['n_train']:,}", f"{report['n_test']:,}"
    if evaluation.get("method") == "cross_validation":
        return f"measured on {tested} target rows in {evaluation['folds']} folds, each left out once"
    return f"fitted on {fitted} target rows, measured on {tested} others"


@cache
def content_security_policy() -> str:
    """Allows the page's own style, by its digest, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    nothing = "; ".join(
        f"{what} 'none'" for what in ("default-src", "base-uri", "form-action", "frame-ancestors")
    )
    return f"{nothing}; style-src 'sha256-{digest}'"


@cache
def _style() -> str:
    return _STYLE.read_text(encoding="utf-8")
