"""Names that are made to mean something to whoever reads them: a path, a key of Redis, a bucket, a shell."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.e2e import tables
from tests.e2e.conftest import KEYS, USER_BUCKET, RunningStack
from tests.e2e.test_datasets import objects, s3
from tests.support.client import Graft, Json, train_body
from tests.support.routes import Route, protected

MODEL = "named-target"

#: As they stand in the path, raw.
CLIMBING = [
    "..",
    "../..",
    "../../another/models",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%252e%252e%252f",
    "%252e%252e%255c",
    "%c0%ae%c0%ae%c0%af",
    "%e2%80%a5%ef%bc%8f",
    "..;",
    "..%00",
    ".",
    "%2f",
    "%2fetc",
    "a%2fb",
    "~root",
]
#: Names with a meaning in Redis' keys, patterns and protocol, in Lua, Python, shells and terminals.
SPEAKING = [
    f"{MODEL}:versions",
    f"{MODEL}:version:1",
    f"{MODEL}:aliases",
    f"{MODEL}:1:2",
    f"{MODEL}@a@b",
    f"{MODEL}@",
    "*",
    "job_*",
    "[a-z]",
    "a\r\nDEL graft:projects\r\n",
    "'..os.execute('id')..'",
    "{{ 7*7 }}",
    "{0.__class__}",
    "%s%n%x",
    "$(id)",
    "`id`",
    "x\x00y",
    "\x1b[31mred",
    "\u202eevil",
    "naïve",
    "名前",
    "a" * 64,
    "a" * 3_000,
    "-rf",
    "CON",
    "1e309",
    "-1",
    "0",
    "99999999999999999999",
    "None",
    "__proto__",
]
VALUES = [*CLIMBING, *(quote(value, safe="") for value in SPEAKING)]
ROUTES = [route for route in protected() if route.parameters]
BODIES: dict[str, Any] = {"PUT": {"version": 1}, "POST": {"rows": [{}]}, "PATCH": {"description": "taken"}}


def raw(stack: RunningStack, method: str, target: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    """A request whose target nobody has tidied up on the way."""
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    headers = {"Authorization": f"Bearer {KEYS['default']}"}
    content = None if body is None else json.dumps(body).encode()
    if content:
        headers["Content-Type"] = "application/json"
    connection.request(method, target, body=content, headers=headers)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


@pytest.fixture(scope="module")
def dataset(graft: Graft) -> str:
    dataset = graft.dataset(tables.iris())
    graft.run(train_body(dataset, MODEL))
    return dataset


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_name_in_a_path_reaches_nothing(
    graft: Graft, stack: RunningStack, dataset: str, route: Route
) -> None:
    """Each parameter in turn, the others naming nothing, too. 405: climbing has led to a path of another method."""
    found = graft.get("/v1/jobs").json()["data"][0]["id"]
    keys_of_redis = [f"{found}:events", f"{found}:logs", f"{found}.00000", f"{dataset}:users", "x:y"]
    for value in [*VALUES, *keys_of_redis]:
        target = route.filled(**dict.fromkeys(route.parameters, value))
        status, headers, body = raw(stack, route.method, target, BODIES.get(route.method))
        assert 400 <= status < 500, (target, status, body)
        assert status in {404, 405, 422, 414} or (status == 400 and len(target) > 3_000), (
            target,
            status,
            body,
        )
        assert headers["Content-Type"] == "application/problem+json", target
        assert b"Traceback" not in body
        assert b"<" not in body


@pytest.mark.parametrize("value", VALUES)
def test_a_static_file_is_one_of_ours_or_none(stack: RunningStack, value: str) -> None:
    for target in (f"/static/{value}", f"/static/swagger-ui/{value}", f"/{value}"):
        status, headers, body = raw(stack, "GET", target)
        is_page = status == 303 and headers["Location"].startswith("/login")  # of the dashboard, for nobody
        assert is_page or status in {400, 401, 404, 414}, target
        assert b"root:" not in body


URIS = [
    "s3://elsewhere/key.csv",
    f"s3://{USER_BUCKET}.evil/key.csv",
    f"s3://evil.{USER_BUCKET}/key.csv",
    f"s3://{USER_BUCKET.upper()}/key.csv",
    f"S3://{USER_BUCKET}/key.csv",
    f"s3:/{USER_BUCKET}/key.csv",
    f"s3:///{USER_BUCKET}/key.csv",
    f"s3://{USER_BUCKET}@elsewhere/key.csv",
    f"s3://elsewhere@{USER_BUCKET}/key.csv",
    f"s3://{USER_BUCKET}:80/key.csv",
    f"s3://{USER_BUCKET}\\@elsewhere/key.csv",
    f"s3://{USER_BUCKET}%2f..%2felsewhere/key.csv",
    f"s3://{USER_BUCKET}%00/key.csv",
    f"s3://{USER_BUCKET}\x00/key.csv",
    f"s3://{USER_BUCKET}/../elsewhere/key.csv",
    f"s3://{USER_BUCKET}/a/../../elsewhere/key.csv",
    f"s3://{USER_BUCKET}/a/..",
    f"s3://{USER_BUCKET}/..",
    f"s3://{USER_BUCKET}/./key.csv",
    f"s3://{USER_BUCKET}/a/./b.csv",
    f"s3://{USER_BUCKET}/a\x00.csv",
    f"s3://{USER_BUCKET}/a\n.csv",
    f"s3://{USER_BUCKET}/a\x1b[31m.csv",
    f"s3://{USER_BUCKET}/\ud800.csv",
    f"s3://{USER_BUCKET}",
    f"s3://{USER_BUCKET}?x/key.csv",
    f"s3://{USER_BUCKET}#x/key.csv",
    f" s3://{USER_BUCKET}/key.csv",
    f"//{USER_BUCKET}/key.csv",
    f"https://{USER_BUCKET}/key.csv",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "http://169.254.169.254/latest/meta-data/",
    "s3://169.254.169.254/latest/meta-data/",
    "s3://127.0.0.1/key.csv",
    "arn:aws:s3:::lake/key.csv",
    f"s3://{USER_BUCKET}/" + "x" * 2_000,
    "",
    f"s3://{USER_BUCKET}//elsewhere/key.csv",
    f"s3://{USER_BUCKET}/..\\elsewhere\\key.csv",
    f"s3://{USER_BUCKET}/%2e%2e/elsewhere/key.csv",
    f"s3://{USER_BUCKET}/%252e%252e/elsewhere/key.csv",
    f"s3://{USER_BUCKET}/..%2felsewhere/key.csv",
    f"s3://{USER_BUCKET}/..;/elsewhere/key.csv",
]
#: A key that is odd, and lies in the bucket all the same: for an output as good as another.
ODD = frozenset(URIS[-4:])


@pytest.mark.parametrize("uri", URIS)
def test_a_uri_outside_the_allowed_buckets_is_refused_wherever_it_stands(
    graft: Graft, dataset: str, uri: str
) -> None:
    """As a dataset, an input, an output and in a schedule. What is odd but inside is an object that is not there."""

    def post(path: str, body: Json) -> httpx.Response:
        content = json.dumps(body).encode()  # httpx would refuse to send some of them
        return graft.post(path, content=content, headers={"Content-Type": "application/json"})

    answers = [(post("/v1/datasets", {"name": "x", "uri": uri}), "/uri")]
    scoring = {"type": "batch_predict", "model": f"{MODEL}:1"}
    inside = {**scoring, "input": {"uri": uri}}
    output = {**scoring, "input": {"dataset": dataset}, "output": {"uri": uri}}
    for body, place in ((inside, "/input/uri"), (output, "/output/uri")) if uri not in ODD else ():
        answers.append((post("/v1/jobs", body), place))
        schedule = {"name": "x", "cron": "0 0 1 1 *", "job": body}
        answers.append((post("/v1/schedules", schedule), f"/job{place}"))
    for answer, place in answers:
        if "\ud800" in uri:
            assert answer.status_code == 400
            continue
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [place]


def test_an_output_with_an_odd_key_stays_in_its_bucket(
    graft: Graft, stack: RunningStack, dataset: str
) -> None:
    client = s3(stack.store.settings)
    before = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for uri in sorted(ODD):
        body = {"type": "batch_predict", "model": f"{MODEL}:1", "input": {"dataset": dataset}}
        job = graft.run({**body, "output": {"uri": uri}})
        assert any(job["id"] in key for key in objects(stack.store)), uri
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == before


ESTIMATORS: dict[str, tuple[str, Any]] = {
    "n_jobs": ("/estimator/n_jobs", {"kind": "random_forest", "n_jobs": -1}),
    "verbose": ("/estimator/verbose", {"kind": "random_forest", "verbose": 10}),
    "a callable by name": ("/estimator/kernel", {"kind": "svm", "kernel": "os.system"}),
    "a kernel of ours that is no kernel": ("/estimator/kernel", {"kind": "svm", "kernel": "precomputed"}),
    "a dotted kind": ("/estimator/kind", {"kind": "sklearn.ensemble.RandomForestClassifier"}),
    "a module": ("/estimator/kind", {"kind": "os"}),
    "a dunder": ("/estimator/__class__", {"kind": "svm", "__class__": "x"}),
    "a billion trees": ("/estimator/n_estimators", {"kind": "random_forest", "n_estimators": 10**9}),
    "no tree": ("/estimator/n_estimators", {"kind": "random_forest", "n_estimators": 0}),
    "trees of a fraction": ("/estimator/n_estimators", {"kind": "random_forest", "n_estimators": 1.5}),
    "trees as text": ("/estimator/n_estimators", {"kind": "random_forest", "n_estimators": "10"}),
    "trees of truth": ("/estimator/n_estimators", {"kind": "random_forest", "n_estimators": True}),
    "a depth of a million": ("/estimator/max_depth", {"kind": "random_forest", "max_depth": 10**6}),
    "a negative depth": ("/estimator/max_depth", {"kind": "gradient_boosting", "max_depth": -1}),
    "a layer of a billion": (
        "/estimator/hidden_layers/0",
        {"kind": "neural_network", "hidden_layers": [10**9]},
    ),
    "a negative layer": ("/estimator/hidden_layers/1", {"kind": "neural_network", "hidden_layers": [8, -8]}),
    "ninety layers": ("/estimator/hidden_layers", {"kind": "neural_network", "hidden_layers": [1] * 90}),
    "layers of layers": ("/estimator/hidden_layers/0", {"kind": "neural_network", "hidden_layers": [[8]]}),
    "a billion epochs": ("/estimator/epochs", {"kind": "neural_network", "epochs": 10**9}),
    "epochs of 4,000 digits": ("/estimator/epochs", {"kind": "neural_network", "epochs": int("9" * 4_000)}),
    "a negative rate": ("/estimator/learning_rate", {"kind": "neural_network", "learning_rate": -1}),
    "a rate beyond doubles": (
        "/estimator/learning_rate",
        {"kind": "neural_network", "learning_rate": 1e308 * 10},
    ),
    "a negative penalty": ("/estimator/alpha", {"kind": "svm", "alpha": -0.1}),
    "a parameter of another kind": ("/estimator/kernel", {"kind": "random_forest", "kernel": "rbf"}),
    "a list for a kind": ("/estimator/kind", {"kind": ["svm"]}),
    "a list for an estimator": ("/estimator", ["svm"]),
    "no estimator": ("/estimator", None),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_takes_what_the_list_allows_and_nothing_else(
    graft: Graft, dataset: str, name: str
) -> None:
    pointer, estimator = ESTIMATORS[name]
    body = {**train_body(dataset, "mine"), "estimator": estimator}
    text = json.dumps(body).replace("Infinity", "1e400").encode()
    answer = graft.post("/v1/jobs", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "999999" not in answer.text
