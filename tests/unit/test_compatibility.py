"""Which differences of libraries are fine, warned about, or refused."""

from __future__ import annotations

import pytest

from shared.compatibility import FORMAT_NAME, installed, judged, require, warning
from shared.errors import Conflict
from shared.modeling.model import FORMAT

HERE = {"python": "3.11.7", "scikit-learn": "1.9.1", "numpy": "2.4.6", "scipy": "1.17.1", "joblib": "1.6.0"}
PLAIN = {"format": 1, "libraries": ["graft", "numpy"]}
TREES = {"format": 1, "libraries": ["graft", "numpy", "scikit-learn"]}


@pytest.mark.parametrize(
    ("library", "made_with", "artifact", "status"),
    [
        ("numpy", "2.4.6", PLAIN, "same"),
        ("numpy", "2.4.0rc1", PLAIN, "same"),
        ("numpy", "2.3.6", PLAIN, "differs"),
        ("numpy", "2.5.0", PLAIN, "differs"),
        ("numpy", "1.26.4", PLAIN, "incompatible"),
        ("numpy", "3.0.0", PLAIN, "incompatible"),
        ("scikit-learn", "1.9.0", TREES, "same"),
        ("scikit-learn", "1.8.2", TREES, "incompatible"),
        ("scikit-learn", "1.10.0", TREES, "incompatible"),
        ("scikit-learn", "1.8.2", PLAIN, "differs"),
        ("scikit-learn", "2.0.0", PLAIN, "differs"),
        ("scikit-learn", "1.8.2", None, "incompatible"),
        ("joblib", "1.5.3", PLAIN, "differs"),
        ("joblib", "2.0.0", PLAIN, "incompatible"),
        ("python", "3.11.2", PLAIN, "same"),
        ("python", "3.12.1", PLAIN, "differs"),
        ("python", "4.0.0", PLAIN, "incompatible"),
        ("scipy", "1.16.0", TREES, "differs"),
        ("graft", "9.9.9", PLAIN, "same"),
    ],
)
def test_a_difference_counts_by_what_the_library_breaks_at(
    library: str, made_with: str, artifact: dict | None, status: str
) -> None:
    found = judged({**HERE, library: made_with}, artifact, HERE)
    assert found.status == status
    assert [item.library for item in found.differences] == ([] if status == "same" else [library])


def test_the_worst_difference_decides() -> None:
    found = judged({**HERE, "scipy": "1.0.0", "numpy": "1.0.0"}, PLAIN, HERE)
    assert found.status == "incompatible"
    assert {item.library: item.severity for item in found.differences} == {
        "numpy": "incompatible",
        "scipy": "differs",
    }


@pytest.mark.parametrize(("format", "status"), [(FORMAT, "same"), (FORMAT + 1, "incompatible")])
def test_a_format_of_a_later_graft_is_refused_even_if_everything_is_allowed(format: int, status: str) -> None:
    found = judged(HERE, {**PLAIN, "format": format}, HERE)
    assert found.status == status
    if status == "incompatible":
        with pytest.raises(Conflict, match=FORMAT_NAME):
            require(found, "churn", 3, allow=True)


def test_what_is_incompatible_is_refused_by_name_unless_it_is_allowed() -> None:
    found = judged({**HERE, "scikit-learn": "1.7.0"}, TREES, HERE)
    with pytest.raises(Conflict) as caught:
        require(found, "churn", 3)
    assert (caught.value.code, caught.value.status, caught.value.retryable) == (
        "incompatible_versions",
        409,
        False,
    )
    assert "churn:3" in caught.value.message
    assert "scikit-learn 1.7.0 (here: 1.9.1)" in caught.value.message
    require(found, "churn", 3, allow=True)
    assert warning(found, ["churn:3"])


def test_what_only_differs_passes_with_a_warning_and_what_does_not_passes_without() -> None:
    found = judged({**HERE, "numpy": "2.3.0"}, PLAIN, HERE)
    require(found, "churn", 3)
    assert warning(found, ["a:1", "b:2"]) == (
        "a:1, b:2: made with numpy 2.3.0 (here: 2.4.6); predictions may differ in small ways"
    )
    assert warning(judged(HERE, PLAIN, HERE), ["a:1"]) is None


def test_a_record_that_says_nothing_is_not_judged() -> None:
    assert judged({}, None, HERE).status == "same"


def test_this_process_knows_its_own_libraries() -> None:
    assert set(installed()) == {"python", "scikit-learn", "numpy", "scipy", "joblib", "pyarrow"}
    assert judged(installed(), TREES).status == "same"
