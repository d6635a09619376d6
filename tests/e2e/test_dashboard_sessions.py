"""Who gets into the dashboard, how long, and what a session may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from graft.stack import Endpoint, RunningServer
from tests.e2e.conftest import KEYS, RunningStack, running_stack
from tests.support.client import Graft, Json
from tests.support.visitor import Visitor, elements
from tests.support.waiting import eventually

PAGES = ("/", "/datasets", "/jobs/new")


@pytest.fixture
def visitor(stack: RunningStack) -> Iterator[Visitor]:
    with Visitor(stack.url, KEYS["default"]) as opened:
        yield opened


@pytest.fixture
def outsider(stack: RunningStack) -> Iterator[Visitor]:
    with Visitor(stack.url) as opened:
        yield opened


def test_who_has_no_session_is_sent_to_the_login_and_back(outsider: Visitor) -> None:
    for page in PAGES:
        response = outsider.get(page)
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/login")
    response = outsider.get("/datasets?limit=5")
    assert response.headers["Location"] == "/login?next=%2Fdatasets%3Flimit%3D5"
    response = outsider.log_in(KEYS["default"], next="/datasets?limit=5")
    assert (response.status_code, response.headers["Location"]) == (303, "/datasets?limit=5")
    assert outsider.get("/datasets").status_code == 200


@pytest.mark.parametrize(
    "place", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_login_leads_to_no_other_site(outsider: Visitor, place: str) -> None:
    assert outsider.log_in(KEYS["default"], next=place).headers["Location"] == "/"


def test_a_bearer_key_opens_no_page_and_a_cookie_no_api(
    stack: RunningStack, visitor: Visitor, graft: Graft
) -> None:
    assert graft.get("/").status_code == 303
    assert visitor.get("/v1/jobs").status_code == 401
    assert visitor.get("/v1/jobs").headers["Content-Type"] == "application/problem+json"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(outsider: Visitor) -> None:
    cookies = outsider.log_in(KEYS["default"]).headers.get_list("Set-Cookie")
    session = next(cookie for cookie in cookies if cookie.startswith("graft="))
    assert "HttpOnly" in session
    assert "SameSite=Strict" in session
    assert "Path=/" in session
    assert KEYS["default"] not in "".join(cookies)
    assert len(session.partition("=")[2].partition(";")[0]) >= 43  # 256 bits


def test_over_tls_the_cookie_is_bound_to_the_host(outsider: Visitor, stack: RunningStack) -> None:
    token = outsider.token("/login")
    host = httpx.URL(stack.url).netloc.decode()
    response = outsider.post(
        "/login", data={"csrf": token, "key": KEYS["default"]}, headers={"Origin": f"https://{host}"}
    )
    session = next(c for c in response.headers.get_list("Set-Cookie") if c.startswith("__Host-graft="))
    assert "Secure" in session
    assert "Domain" not in session


@pytest.mark.parametrize("cookie", ["", "x", "0" * 43, "ü", "a" * 4000])
def test_a_forged_cookie_opens_nothing(outsider: Visitor, cookie: str) -> None:
    response = outsider.get("/", headers={"Cookie": f"graft={cookie}".encode("latin-1")})
    assert response.status_code == 303
    response = outsider.get("/", headers={"Cookie": f"__Host-graft={cookie}".encode("latin-1")})
    assert response.status_code == 303


def test_logging_out_ends_the_session_for_everybody_who_has_its_cookie(
    visitor: Visitor, stack: RunningStack
) -> None:
    cookies = dict(visitor.cookies)
    assert visitor.send_form("/logout").status_code == 303
    with Visitor(stack.url) as thief:
        thief.cookies.update(cookies)
        assert thief.get("/").status_code == 303


def test_a_session_ends_at_once_with_its_key(stack: RunningStack, operator: Graft) -> None:
    made = operator.post("/v1/keys", json={"project": "another", "scopes": ["read"]}).json()
    with Visitor(stack.url, made["key"]) as guest:
        assert guest.get("/").status_code == 200
        assert operator.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert guest.get("/").status_code == 303


def test_a_session_ends_when_its_key_is_rotated_away(stack: RunningStack, operator: Graft) -> None:
    made = operator.post("/v1/keys", json={"project": "another", "scopes": ["read"]}).json()
    with Visitor(stack.url, made["key"]) as guest:
        rotated = operator.post(f"/v1/keys/{made['id']}/rotate", json={}).json()
        assert guest.get("/").status_code == 303
        assert guest.log_in(made["key"]).status_code == 401
        assert guest.log_in(rotated["key"]).status_code == 303


def test_a_session_ends_when_its_key_expires(stack: RunningStack, operator: Graft) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = operator.post(
        "/v1/keys", json={"project": "another", "scopes": ["read"], "expires_at": soon}
    ).json()
    with Visitor(stack.url, made["key"]) as guest:
        assert guest.get("/").status_code == 200
        eventually(lambda: guest.get("/").status_code == 303)


def test_wrong_keys_are_refused_and_counted(tmp_path: Path, object_store: RunningServer | Endpoint) -> None:
    with (
        running_stack(
            tmp_path, object_store, GRAFT_RATE_LIMIT_FAILURES="5", GRAFT_SESSION_SECONDS="3"
        ) as small,
        Visitor(small.url, KEYS["default"]) as early,
        Visitor(small.url) as guest,
    ):
        assert early.get("/").status_code == 200
        eventually(lambda: early.get("/").status_code == 303)  # a session has an end of its own
        answers = [guest.log_in(f"wrong-{n}").status_code for n in range(8)]
        assert answers[0] == 401
        assert answers[-1] == 429
        assert set(answers) == {401, 429}
        assert guest.log_in(KEYS["default"]).status_code == 429  # so nobody tries keys one by one


def test_a_wrong_key_is_not_repeated(outsider: Visitor) -> None:
    response = outsider.log_in("<script>a-wrong-key</script>")
    assert response.status_code == 401
    assert "a-wrong-key" not in response.text


# Forms


def test_a_form_without_its_token_does_nothing(visitor: Visitor, graft: Graft, endless: Json) -> None:
    job = graft.submit(endless).json()["id"]
    other = "0" * 64
    for data in ({}, {"csrf": ""}, {"csrf": other}, {"csrf": "ü"}):
        assert visitor.post(f"/jobs/{job}/cancel", data=data).status_code == 403
    assert graft.job(job)["cancel_requested_at"] is None
    assert visitor.send_form(f"/jobs/{job}/cancel").status_code == 303
    assert graft.ended(job)["status"] == "cancelled"


def test_the_token_of_another_session_is_none(stack: RunningStack, visitor: Visitor) -> None:
    with Visitor(stack.url, KEYS["default"]) as other:
        assert visitor.post("/logout", data={"csrf": other.token()}).status_code == 403
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_what_begins_on_another_site_is_refused_whatever_it_carries(
    visitor: Visitor, headers: dict[str, str]
) -> None:
    assert visitor.post("/logout", data={"csrf": visitor.token()}, headers=headers).status_code == 403


def test_a_login_needs_the_token_of_its_own_page(outsider: Visitor) -> None:
    """Else another site could log somebody in to a project that is not theirs."""
    assert outsider.post("/login", data={"key": KEYS["default"]}).status_code == 403
    token = outsider.token("/login")
    outsider.cookies.clear()
    assert outsider.post("/login", data={"key": KEYS["default"], "csrf": token}).status_code == 403


# Scopes and projects


def test_a_key_that_may_only_read_is_offered_nothing_else_and_refused_it(
    stack: RunningStack, client_of: Callable[..., Graft], graft: Graft, endless: Json
) -> None:
    reader = client_of("default", "read")
    job = graft.submit(endless).json()["id"]
    with Visitor(stack.url, reader.headers["Authorization"].removeprefix("Bearer ")) as guest:
        page = guest.page(f"/jobs/{job}")
        assert "/cancel" not in page
        assert "/jobs/new" not in page
        assert "data-upload" not in guest.page("/datasets")
        for path in ("/jobs/new", "/jobs/new/train"):
            assert guest.get(path).status_code == 403
        for path in (
            f"/jobs/{job}/cancel",
            f"/jobs/{job}/retry",
            "/jobs/new/train",
            "/datasets/upload?name=a",
        ):
            assert guest.send_form(path).status_code == 403, path
    assert graft.job(job)["cancel_requested_at"] is None
    graft.post(f"/v1/jobs/{job}/cancel")


def test_nothing_of_another_project_is_there(stack: RunningStack, graft: Graft, endless: Json) -> None:
    job = graft.submit(endless).json()["id"]
    dataset = endless["dataset"]
    with Visitor(stack.url, KEYS["another"]) as stranger:
        for path in (
            f"/jobs/{job}",
            f"/jobs/{job}/live",
            f"/jobs/{job}/lines",
            f"/datasets/{dataset}",
            f"/datasets/{dataset}/rows",
            f"/jobs/new/train?like={job}",
        ):
            assert stranger.get(path).status_code == 404, path
        for path in (f"/jobs/{job}/cancel", f"/jobs/{job}/retry", f"/datasets/{dataset}/delete"):
            assert stranger.send_form(path).status_code == 404, path
        assert job not in stranger.page(f"/?q={job[-8:]}")
    assert graft.job(job)["cancel_requested_at"] is None
    graft.post(f"/v1/jobs/{job}/cancel")


# Headers


def test_every_page_forbids_what_it_does_not_need(visitor: Visitor, outsider: Visitor) -> None:
    answers = [visitor.get(path) for path in (*PAGES, "/jobs/job_unknown", "/jobs/live")]
    answers += [outsider.get("/login"), outsider.get("/"), visitor.post("/logout")]
    for response in answers:
        policy = dict(
            part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in str(policy)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        for tag, attributes in elements(response.text):
            assert tag != "style"
            assert tag != "script" or "src" in attributes
            assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_pages_are_no_part_of_the_document_of_the_api(visitor: Visitor) -> None:
    paths = visitor.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if not path.startswith(("/v1/", "/metrics", "/healthz", "/readyz"))]


def test_errors_are_pages_here_and_problems_there(visitor: Visitor) -> None:
    page = visitor.get("/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert page.status_code == 404
    assert "There is nothing here" in page.text
    assert visitor.get("/?status=lost").status_code == 422
    for path in ("/v1/jobs/x", "/nowhere", "/jobs/a/b/c"):
        assert visitor.get(path).headers["Content-Type"] == "application/problem+json", path


def test_what_htmx_asks_for_without_a_session_leads_to_the_login(outsider: Visitor) -> None:
    response = outsider.get("/jobs/live", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")
