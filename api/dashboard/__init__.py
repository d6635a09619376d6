"""The dashboard: pages for people, made on the server, that do what the JSON API does by the same functions.

site.py       the blueprint, and how a page is rendered: who looks, what they may, the headers of every page
sessions.py   who looks: a session that was opened with an API key, and the token that every form carries
errors.py     errors as pages
forms.py      forms made from the contracts, and what is sent with them as a body again
jobs.py, job.py, new_job.py, models.py, versions.py, datasets.py, schedules.py, system.py    the pages
charts.py, timeline.py, lineage_drawing.py, histograms.py, trying.py, wording.py    what stands in them

A page is no part of the OpenAPI document. Its view says with `@needs` which scope it takes, as every view does.
"""

from __future__ import annotations

from api.dashboard import (
    datasets,
    errors,
    job,
    jobs,
    models,
    new_job,
    schedules,
    sessions,
    system,
    versions,
)
from api.dashboard.sessions import Door
from api.dashboard.site import blueprint

__all__ = ["Door", "blueprint", "sessions"]

_PAGES = (datasets, errors, job, jobs, models, new_job, schedules, sessions, system, versions)
"""Loaded for the routes that they add."""
