"""What the client makes of servers that are away, slow, cut off or not Graft's: one clear error each, real sockets."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import graft
from tests.support.scripted_server import HOST, Connection, Scripted, problem, scripted

KEY = "a-key-that-is-in-no-message"
DATASET = {
    "id": "ds_01M8DY69ZWQAN0X0BYF4D41W2Y",
    "name": "t",
    "project": "default",
    "format": "csv",
    "rows": 1,
    "bytes": 4,
    "sha256": "0" * 64,
    "columns": [{"name": "a", "type": "integer", "nulls": 0}],
    "created_at": "2026-11-27T07:23:23.029Z",
}


def client_of(url: str, *, retries: int = 0, timeout: float = 5.0) -> graft.Client:
    return graft.Client(url, KEY, retries=retries, timeout=timeout)


def error_of(url: str, *, retries: int = 0, timeout: float = 5.0) -> graft.GraftError:
    """Of a look at a dataset."""
    with (
        client_of(url, retries=retries, timeout=timeout) as client,
        pytest.raises(graft.GraftError) as caught,
    ):
        client.datasets.get("ds_0")
    assert KEY not in str(caught.value)
    return caught.value


def nobody() -> str:
    """A URL where nobody listens."""
    with socket.create_server((HOST, 0)) as listener:
        return f"http://{HOST}:{listener.getsockname()[1]}"


def test_nobody_there() -> None:
    error = error_of(nobody())
    assert type(error) is graft.NoConnection
    assert "connection refused" in error.message
    assert "graft up" in error.hint


def test_no_such_host() -> None:
    error = error_of("http://no-such-host.invalid")
    assert type(error) is graft.NoConnection
    assert "no host of that name" in error.message


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:8000", "http://", "http://[", "http://a:b", "nonsense"]
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(graft.BadSettings, match="is no URL of an API"):
        graft.Client(url, KEY)


def test_a_key_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRAFT_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(graft.BadSettings, match="GRAFT_API_KEY is not set"):
        graft.Client("http://127.0.0.1:1")
    with pytest.raises(graft.BadSettings, match="characters that no key has") as caught:
        graft.Client("http://127.0.0.1:1", "schlüssel")
    assert "schlüssel" not in str(caught.value)


def test_the_key_of_this_folders_stack_is_for_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GRAFT_API_KEY", raising=False)
    monkeypatch.delenv("GRAFT_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".graft").mkdir()
    (tmp_path / ".graft" / "api-key").write_text("graft-1234.secret\n")
    with scripted(lambda connection: connection.read() and connection.say(200, DATASET)) as server:
        with graft.Client(server.url) as client:
            client.datasets.get("ds_0")
        assert server.came[0].header("Authorization") == "Bearer graft-1234.secret"
    with pytest.raises(graft.BadSettings):
        graft.Client("https://graft.example.org")


def test_the_environment_is_asked_before_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(lambda connection: connection.read() and connection.say(200, DATASET)) as server:
        monkeypatch.setenv("GRAFT_URL", f"{server.url}/")
        monkeypatch.setenv("GRAFT_API_KEY", KEY)
        with graft.Client() as client:
            assert client.datasets.get("ds_0").rows == 1
        assert server.came[0].head.startswith("GET /v1/datasets/ds_0 ")
        assert server.came[0].header("Authorization") == f"Bearer {KEY}"


HTML = b"<html><h1>Welcome to nginx!</h1></html>"


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_server_that_answers_html(status: int) -> None:
    with scripted(lambda it: it.read() and it.say(status, HTML, Content_Type="text/html")) as server:
        error = error_of(server.url)
    assert type(error) is graft.NotGraft
    assert str(status) in error.message
    assert "GRAFT_URL" in error.hint
    assert "nginx" not in str(error)


def test_a_proxy_whose_api_is_away() -> None:
    with scripted(lambda it: it.read() and it.say(502, HTML, Content_Type="text/html")) as server:
        error = error_of(server.url)
    assert isinstance(error, graft.Unavailable)
    assert error.status == 502


def test_a_proxy_that_takes_no_large_bodies() -> None:
    with scripted(lambda it: it.read() and it.say(413, HTML, Content_Type="text/html")) as server:
        error = error_of(server.url)
    assert isinstance(error, graft.TooLarge)
    assert "proxy" in error.hint


def test_a_server_that_has_moved() -> None:
    with scripted(
        lambda it: it.read() and it.say(301, Location="https://graft.example.org/?token=x")
    ) as server:
        error = error_of(server.url)
    assert type(error) is graft.NotGraft
    assert "https://graft.example.org/" in error.message
    assert "token" not in error.message


def mail(connection: Connection) -> None:
    connection.socket.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
    while connection.socket.recv(65_536):
        pass


def test_a_server_of_another_protocol() -> None:
    with scripted(mail) as server:
        error = error_of(server.url)
    assert type(error) is graft.NotGraft
    with scripted(mail) as server:
        error = error_of(server.url.replace("http:", "https:"))
    assert type(error) is graft.NoConnection
    assert "TLS" in error.message


def test_json_that_is_not_what_was_asked_for() -> None:
    with scripted(lambda it: it.read() and it.say(200, {"id": 7})) as server:
        error = error_of(server.url)
    assert type(error) is graft.NotGraft
    assert "does not understand" in error.message


def test_fields_of_a_newer_server_are_left_out() -> None:
    newer = {**DATASET, "licence": "CC0", "columns": [{**DATASET["columns"][0], "unit": "m"}]}  # type: ignore[index]
    with scripted(lambda it: it.read() and it.say(200, newer)) as server, client_of(server.url) as client:
        assert client.datasets.get("ds_0").columns[0].name == "a"


def silent(connection: Connection) -> None:
    connection.read()
    time.sleep(2)


def test_a_server_that_says_nothing() -> None:
    with scripted(silent) as server:
        begun = time.monotonic()
        error = error_of(server.url, timeout=0.3)
    assert type(error) is graft.TimedOut
    assert 0.3 <= time.monotonic() - begun < 20
    assert "may have been done" in error.hint


def hang_up(connection: Connection) -> None:
    connection.read()
    connection.reset()


def half(connection: Connection) -> None:
    connection.read()
    connection.socket.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )


@pytest.mark.parametrize("step", [hang_up, half])
def test_a_connection_that_breaks_before_the_answer_is_whole(step: object) -> None:
    with scripted(step) as server:  # type: ignore[arg-type]
        error = error_of(server.url)
    assert type(error) is graft.ConnectionBroken


def test_a_connection_that_breaks_in_an_upload_which_is_not_sent_again() -> None:
    def cut(connection: Connection) -> None:
        connection.read(body_bytes=100_000)
        connection.reset()

    with scripted(cut) as server, client_of(server.url, retries=3) as client:
        with pytest.raises(graft.ConnectionBroken) as caught:
            client.upload(b"a\n" + b"1\n" * 4_000_000, format="csv", name="t")
        assert len(server.came) == 1
    assert "look before you repeat it" in caught.value.hint


def test_a_refusal_in_the_middle_of_an_upload_is_read() -> None:
    def refuse(connection: Connection) -> None:
        connection.read(body_bytes=10)
        connection.say(413, problem(413, "too_large"))
        connection.socket.shutdown(socket.SHUT_WR)
        while connection.socket.recv(65_536):
            pass

    with scripted(refuse) as server, client_of(server.url) as client, pytest.raises(graft.TooLarge) as caught:
        client.upload(b"a\n" + b"1\n" * 4_000_000, format="csv", name="t")
    assert "GRAFT_MAX_UPLOAD_BYTES" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, graft.InvalidInput),
        (401, graft.Unauthenticated),
        (403, graft.Forbidden),
        (404, graft.NotFound),
        (409, graft.Conflict),
        (412, graft.PreconditionFailed),
        (413, graft.TooLarge),
        (415, graft.InvalidInput),
        (418, graft.Refused),
        (422, graft.InvalidInput),
        (429, graft.TooMany),
        (500, graft.ServerFailed),
        (501, graft.ServerFailed),
        (503, graft.Unavailable),
    ],
)
def test_each_problem_is_an_error_of_its_own(status: int, kind: type[graft.GraftError]) -> None:
    told = problem(status, "a_code", errors=[{"pointer": "/rows/0/age", "detail": "is required"}])
    with scripted(lambda it: it.read() and it.say(status, told, ETag='"7"')) as server:
        error = error_of(server.url)
    assert type(error) is kind
    assert "it is a_code" in str(error)
    assert getattr(error, "code", None) == "a_code"
    assert getattr(error, "request_id", None) == "abc"
    if isinstance(error, graft.Refused):
        assert error.errors == {"/rows/0/age": "is required"}
        assert "/rows/0/age: is required" in str(error)
    if isinstance(error, graft.PreconditionFailed):
        assert error.etag == '"7"'


@pytest.fixture
def answering() -> Iterator[Scripted]:
    with scripted(lambda it: it.read() and it.say(200, DATASET)) as server:
        yield server


def test_what_cannot_be_uploaded_says_why_and_sends_nothing(answering: Scripted, tmp_path: Path) -> None:
    unnamed = tmp_path / "table"
    unnamed.write_text("a\n1\n")
    text = (tmp_path / "t.csv").open("w+")
    begun = io.BytesIO(b"a\n1\n")
    begun.read(2)
    with client_of(answering.url) as client, text:
        for source, words in [
            (tmp_path / "absent.csv", "cannot be read: No such file"),
            (tmp_path, "cannot be read: Is a directory"),
            (unnamed, "does not say what it holds"),
            (b"a\n1\n", "do not say what they hold"),
            (text, "open as text"),
            (begun, "read from already"),
            (7, "a int cannot be uploaded"),
        ]:
            with pytest.raises(graft.BadSource) as caught:
                client.upload(source)  # type: ignore[arg-type]
            assert words in caught.value.message
            assert caught.value.hint or isinstance(source, Path)
        with pytest.raises(graft.BadSource, match="there is no file ds_1"):
            client.train("ds_1", target="label", name="m")
        with pytest.raises(graft.BadSource, match="format should be one of"):
            client.upload(b"a", format="xlsx")  # type: ignore[arg-type]
    assert answering.came == []


def test_a_file_that_shrinks_while_it_is_sent_is_no_table(answering: Scripted, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + b"1\n" * 2_000_000)

    def shrink(done: int, total: int | None) -> None:
        path.write_bytes(b"a\n")

    with client_of(answering.url) as client, pytest.raises(graft.BadSource, match="has changed"):
        client.upload(path, on_progress=shrink)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_not_sent(answering: Scripted, name: str) -> None:
    with client_of(answering.url) as client, pytest.raises(graft.InvalidInput):
        client.datasets.delete(name)
    assert answering.came == []


@pytest.mark.parametrize("ref", ["", "Churn", "churn:0", "churn@", "churn:1@live", "a/b"])
def test_what_is_no_reference_is_not_sent(answering: Scripted, ref: str) -> None:
    with (
        client_of(answering.url) as client,
        pytest.raises(graft.InvalidInput, match="no reference to a model"),
    ):
        client.models.version(ref)
    assert answering.came == []


def test_a_slash_in_an_id_stays_in_it(answering: Scripted) -> None:
    with client_of(answering.url) as client:
        client.datasets.get("../jobs?x=1#y")
    assert answering.came[0].head.startswith("GET /v1/datasets/..%2Fjobs%3Fx%3D1%23y ")
