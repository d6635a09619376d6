"""What people do at the dashboard, done in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import tables
from tests.e2e.conftest import KEYS, MADE_KEYS, RunningStack
from tests.support.browser import PHONE, PICTURES, chromium, needs_chromium, picture, window
from tests.support.client import CSV, Graft, Json, written

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Any, stack: RunningStack) -> Iterator[Any]:
    with window(browser, stack.url, KEYS["default"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as people have it, with a column to predict."""
    file = tmp_path_factory.mktemp("tables") / "Customers of May.csv"
    file.write_bytes(written(tables.mixed(400), CSV))
    return file


def test_the_first_model_takes_less_than_a_minute(
    browser: Any, stack: RunningStack, operator: Graft, churn: Path
) -> None:
    """From the login of an empty project: upload, look at what is guessed, train, see the metrics."""
    made = operator.post("/v1/keys", json={"project": "first-minute", "scopes": ["read", "submit"]}).json()
    MADE_KEYS.append(made["key"])
    with window(browser, stack.url, made["key"]) as page:
        began = time.monotonic()
        assert page.get_by_role("heading", name="Train your first model").is_visible()
        picture(page, "empty")
        page.set_input_files("input[type=file]", churn)
        page.wait_for_url("**/jobs/new/train?dataset=ds_*")
        assert page.input_value("[name='/target']") == "label"
        assert page.input_value("[name='/model/name']") == "customers-of-may"
        picture(page, "train")
        page.get_by_role("button", name="Train").click()
        page.wait_for_url("**/jobs/job_*")
        page.get_by_role("heading", name="Result").wait_for()
        assert page.get_by_text("Accuracy").first.is_visible()
        assert page.get_by_role("link", name="customers-of-may:1").is_visible()
        took = time.monotonic() - began
        print(f"first model after {took:.1f} s")
        assert took < 60


def test_a_form_is_refused_beside_its_fields(page: Any, graft: Graft) -> None:
    dataset = graft.dataset(tables.iris(), name="irises")
    page.goto(f"/jobs/new/train?dataset={dataset}")
    page.fill("[name='/model/name']", "Not A Name")
    page.get_by_text("More options").click()
    page.fill("[name='/estimator/max_depth']", "a few")
    page.get_by_role("button", name="Train").click()
    summary = page.locator(".summary")
    summary.wait_for()
    assert page.evaluate("document.activeElement.classList.contains('summary')")
    name = page.locator("[name='/model/name']")
    assert name.get_attribute("aria-invalid") == "true"
    assert "small letters" in page.locator(f"#{name.get_attribute('id')}-error").inner_text()
    assert page.locator("[name='/estimator/max_depth']").get_attribute("aria-invalid") == "true"
    assert page.input_value("[name='/model/name']") == "Not A Name"  # nothing is lost
    page.complaints.clear()  # the console has the 422


def test_another_dataset_brings_its_columns(page: Any, graft: Graft) -> None:
    first = graft.dataset("a,b,outcome\n1,2,x\n2,3,y\n", name="first")
    second = graft.dataset("red,green\n1,2\n2,3\n", name="second")
    page.goto(f"/jobs/new/train?dataset={first}")
    assert page.input_value("[name='/target']") == "outcome"
    with page.expect_response("**/fields"):
        page.select_option("[name='/dataset']", second)
    page.wait_for_function("document.querySelector(\"[name='/target']\").value === 'green'")


def test_progress_is_live_and_a_cancel_is_seen(page: Any, graft: Graft, endless: Json) -> None:
    job = graft.started(endless)
    page.goto(f"/jobs/{job}")
    page.locator(".big-progress").wait_for()
    before = page.locator(".big-progress p").inner_text()
    page.wait_for_function(
        "before => document.querySelector('.big-progress p').innerText !== before", arg=before
    )
    page.locator("svg[aria-label^='Running loss']").wait_for()
    page.locator(".logs p", has_text="fitting").wait_for()
    if PICTURES:  # a curve says more when it has some points
        page.wait_for_timeout(12_000)
    picture(page, "job")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("The job has been asked to stop.").wait_for()
    page.locator("h1 .pill.cancelled").wait_for()
    page.get_by_role("button", name="Retry").wait_for()
    assert graft.ended(job)["status"] == "cancelled"


def test_the_list_follows_the_jobs(page: Any, graft: Graft, endless: Json) -> None:
    page.goto("/")
    running = graft.started({**endless, "metadata": {"ticket": "LIST-1"}})
    row = page.locator("tr", has=page.locator(f"a[href='/jobs/{running}']"))
    row.locator(".pill.running").wait_for()
    graft.post(f"/v1/jobs/{running}/cancel")
    row.locator(".pill.cancelled").wait_for()
    page.fill("[name=q]", "list-1")
    page.press("[name=q]", "Enter")
    page.wait_for_url("**/?q=list-1*")
    assert page.locator("tbody tr").count() >= 1
    page.goto(f"/?q={running}")
    assert page.url.endswith(f"/jobs/{running}")


def test_nothing_is_asked_for_while_nobody_looks(page: Any, graft: Graft) -> None:
    graft.dataset(tables.iris())
    page.goto("/")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = true"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(5_000)
    assert not asked
    page.evaluate("window.away = false")
    page.wait_for_event("request")


def test_a_job_is_edited_and_submitted_again(page: Any, graft: Graft) -> None:
    dataset = graft.dataset(tables.iris(), name="irises")
    job = graft.run(
        {
            "type": "train",
            "dataset": dataset,
            "target": "label",
            "estimator": {"kind": "neural_network", "hidden_layers": [8, 4], "epochs": 3},
            "features": ["f0", "f1"],
            "metadata": {"why": "to be edited"},
            "model": {"name": "edited"},
        }
    )
    page.goto(f"/jobs/{job['id']}")
    page.get_by_role("link", name="Edit and resubmit").click()
    assert page.input_value("[name='/model/name']") == "edited"
    page.get_by_text("More options").click()
    assert page.input_value("[name='/estimator/hidden_layers']") == "8, 4"
    page.fill("[name='/estimator/epochs']", "4")
    page.get_by_role("button", name="Train").click()
    page.wait_for_url("**/jobs/job_*")
    again = graft.ended(page.url.split("/")[-1].partition("?")[0])
    assert again["spec"]["estimator"]["epochs"] == 4
    assert {**again["spec"], "estimator": None} == {**job["spec"], "estimator": None}


def test_an_alias_is_moved_and_rolled_back_with_a_click(
    page: Any, graft: Graft, places: dict[str, str]
) -> None:
    graft.put("/v1/models/seen/aliases/canary", json={"version": 1})
    page.goto("/models/seen")
    picture(page, "model")
    page.fill("#alias-name", "canary")
    page.select_option("#alias-version", "2")
    page.get_by_role("button", name="Point it there").click()
    page.get_by_text("The alias has been moved.").wait_for()
    assert graft.get("/v1/models/seen").json()["aliases"]["canary"] == 2
    line = page.locator(".aliases li", has_text="canary")
    line.get_by_role("button", name="Roll back").click()
    page.get_by_text("The alias points where it pointed before.").wait_for()
    assert graft.get("/v1/models/seen").json()["aliases"]["canary"] == 1
    line.get_by_text("History of canary").click()
    line.get_by_text("rolled back to").wait_for()


def test_an_alias_that_somebody_else_has_moved_is_not_rolled_back(
    page: Any, graft: Graft, places: dict[str, str]
) -> None:
    for version in (1, 2):
        graft.put("/v1/models/seen/aliases/contested", json={"version": version})
    page.goto("/models/seen")
    graft.put("/v1/models/seen/aliases/contested", json={"version": 1})
    page.locator(".aliases li", has_text="contested").get_by_role("button", name="Roll back").click()
    page.get_by_role("heading", name="It has changed meanwhile").wait_for()
    assert graft.get("/v1/models/seen").json()["aliases"]["contested"] == 1
    page.complaints.clear()  # the 412


def test_the_report_of_a_transfer_has_its_plots(page: Any, places: dict[str, str]) -> None:
    page.goto("/models/moved/1")
    page.get_by_role("link", name="Transfer report").click()
    page.get_by_role("heading", name="Did fine-tuning help?").wait_for()
    assert page.locator(".report svg.plot").count() >= 4
    assert page.locator(".report .verdict").is_visible()
    fills = page.evaluate(
        "[...document.querySelectorAll('.report svg rect')].map(r => getComputedStyle(r).fill)"
    )
    assert "rgb(0, 0, 0)" not in fills, "a shape has no colour of its own"
    picture(page, "report")


def test_a_version_is_tried_and_its_lineage_is_drawn(page: Any, places: dict[str, str]) -> None:
    page.goto("/models/seen/1")
    form = page.locator("#try-form")
    page.get_by_role("button", name="Predict").click()
    page.locator(".answer b").wait_for()
    assert page.locator(".chances li").count() == 2
    page.locator("#c0").fill("not a number")
    page.get_by_role("button", name="Predict").click()
    page.locator("#c0-error").wait_for()
    assert form.locator("#c0").input_value() == "not a number"
    page.locator("svg.lineage a", has_text="everything").click()
    page.wait_for_url(f"**/datasets/{places['dataset']}")


def test_two_versions_are_compared(page: Any, places: dict[str, str]) -> None:
    page.goto("/models/seen")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Both were measured on the same rows.").wait_for()
    assert page.get_by_text("estimator.kind").is_visible()


def test_a_schedule_is_made_of_a_job_paused_and_run(page: Any, graft: Graft, places: dict[str, str]) -> None:
    page.goto(f"/jobs/{places['job']}")
    page.get_by_role("link", name="Schedule", exact=True).click()
    page.fill("[name='/name']", "every-night")
    page.fill("[name='/cron']", "61 2 * * *")
    page.get_by_role("button", name="Make the schedule").click()
    page.locator("[name='/cron'][aria-invalid]").wait_for()
    page.complaints.clear()  # the 422
    page.fill("[name='/cron']", "30 2 * * *")
    page.fill("[name='/timezone']", "Europe/Berlin")
    page.get_by_role("button", name="Make the schedule").click()
    page.get_by_text("The schedule has been made.").wait_for()
    assert page.locator(".upcoming li").count() == 5
    picture(page, "schedule")
    schedule = page.url.split("/")[-1].partition("?")[0]
    page.get_by_role("button", name="Pause").click()
    page.locator("h1 .pill.paused").wait_for()
    assert graft.get(f"/v1/schedules/{schedule}").json()["paused"]
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/jobs/job_*")
    job = graft.ended(page.url.split("/")[-1].partition("?")[0])
    assert (job["status"], job["schedule"]) == ("succeeded", schedule)
    page.goto(f"/schedules/{schedule}")
    page.get_by_text("by hand").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("The schedule goes on.").wait_for()


def test_the_system_says_how_it_is(page: Any) -> None:
    page.goto("/system")
    assert page.locator(".checks .pill.ok").count() == 3
    assert page.locator("section", has=page.locator("#workers")).locator("tbody .pill.ok").count() >= 1
    picture(page, "system")


def test_the_theme_follows_the_system_until_it_is_chosen(browser: Any, stack: RunningStack) -> None:
    def background(page: Any) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with window(browser, stack.url, KEYS["default"], color_scheme="dark") as page:
        dark = background(page)
        picture(page, "dark")
        page.get_by_role("button", name="Change between light and dark").click()
        light = background(page)
        assert light != dark
        page.reload()
        assert background(page) == light
    with window(browser, stack.url, KEYS["default"], color_scheme="light") as page:
        assert background(page) == light


PAGES = [
    "/",
    "/datasets",
    "/datasets/{dataset}",
    "/jobs/new",
    "/jobs/new/train?dataset={dataset}",
    "/jobs/{job}",
    "/jobs/{failed}",
    "/jobs/job_none",
    "/models",
    "/models/seen",
    "/models/seen/1",
    "/models/compare?a=seen:1&b=seen:2",
    "/models/moved/1",
    "/models/moved/1/report",
    "/schedules",
    "/schedules/{schedule}",
    "/schedules/new?like={job}",
    "/system",
]


@pytest.fixture(scope="module")
def places(graft: Graft) -> dict[str, str]:
    """What the paths above need."""
    dataset = graft.dataset(tables.mixed(300), name="everything")
    body = {
        "type": "train",
        "dataset": dataset,
        "target": "label",
        "estimator": {"kind": "logistic_regression"},
        "model": {"name": "seen"},
    }
    job = graft.run(body)["id"]
    graft.run({**body, "estimator": {"kind": "random_forest"}})
    for version in (1, 2):
        graft.put("/v1/models/seen/aliases/champion", json={"version": version})
    other = graft.dataset(tables.mixed(150, seed=3), name="elsewhere")
    graft.run(
        {
            "type": "fine_tune",
            "base_model": "seen:1",
            "dataset": other,
            "target": "label",
            "model": {"name": "moved"},
        }
    )
    single = graft.dataset("a,label\n" + "1,x\n" * 50, name="one class")
    failed = graft.submit({**body, "dataset": single}).json()["id"]
    graft.ended(failed)
    template = {"type": "batch_predict", "model": "seen", "input": {"dataset": dataset}}
    schedule = graft.post("/v1/schedules", json={"name": "seen", "cron": "0 3 * * *", "job": template})
    return {"dataset": dataset, "job": job, "failed": failed, "schedule": schedule.json()["id"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Any, stack: RunningStack, places: dict[str, str], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = []
    with window(browser, stack.url, KEYS["default"], color_scheme=scheme) as page:
        for path in ["/login", *PAGES]:
            page.goto(path.format(**places))
            page.wait_for_timeout(400)
            results = Axe().run(page).response["violations"]
            found += [
                (path, one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"][:200])
                for one in results
                if one["impact"] in {"serious", "critical"}
            ]
        page.complaints.clear()  # one of them is a 404
    assert not found


def test_nothing_is_wider_than_a_phone(browser: Any, stack: RunningStack, places: dict[str, str]) -> None:
    with window(browser, stack.url, KEYS["default"], viewport=PHONE, is_mobile=True, has_touch=True) as page:
        for path in ["/login", *PAGES]:
            page.goto(path.format(**places))
            page.wait_for_timeout(300)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], f"{path} is {width} wide"
        page.goto("/")
        picture(page, "phone")
        page.complaints.clear()


def test_everything_is_reached_with_the_keyboard(page: Any, places: dict[str, str]) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(document.activeElement.name || document.activeElement.textContent || '').trim().slice(0, 30)"
            )
        )
    assert {"New job", "q", "status", "Filter"} <= reached
    assert any(word.startswith("Train job_") for word in reached)
