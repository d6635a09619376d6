"""The loaded models: which are kept, and that a cold one is loaded once however many ask for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.model_cache import Key, ModelCache


def key(name: str) -> Key:
    return ("p", name, 1)


class Store:
    """Gives its models' names, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def get(self, cache: ModelCache[str], name: str, size: int = 10) -> str:
        def load() -> tuple[str, int]:
            self.loaded.append(name)
            return name.upper(), size

        return cache.get(key(name), load)


def test_a_model_is_loaded_once() -> None:
    cache, store = ModelCache[str](100), Store()
    assert [store.get(cache, "a") for _ in range(3)] == ["A"] * 3
    assert store.loaded == ["a"]


@pytest.mark.parametrize(("most", "kept"), [(30, True), (29, False)])
def test_models_are_kept_up_to_the_bound_and_not_a_byte_beyond(most: int, kept: bool) -> None:
    cache, store = ModelCache[str](most), Store()
    for name, size in (("a", 10), ("b", 20), ("a", 10)):
        store.get(cache, name, size)
    assert store.loaded == (["a", "b"] if kept else ["a", "b", "a"])
    assert cache.bytes == (30 if kept else 10)


def test_the_one_used_longest_ago_goes_first() -> None:
    cache, store = ModelCache[str](20), Store()
    for name in ("a", "b", "a", "c", "a", "b"):
        store.get(cache, name)
    assert store.loaded == ["a", "b", "c", "b"]
    assert cache.bytes == 20


def test_a_model_larger_than_the_bound_is_held_alone() -> None:
    cache, store = ModelCache[str](20), Store()
    for name, size in (("a", 10), ("large", 21), ("large", 21), ("b", 10)):
        store.get(cache, name, size)
    assert store.loaded == ["a", "large", "b"]
    assert cache.bytes == 10


def test_many_who_ask_for_a_cold_model_at_once_wait_for_one_load() -> None:
    cache = ModelCache[object](100)
    everybody, loads, again = threading.Barrier(16), [], threading.Event()

    def load() -> tuple[object, int]:
        loads.append(threading.get_ident())
        if len(loads) > 1:
            again.set()
        again.wait(0.5)  # a second load would begin meanwhile, and end the wait
        return object(), 1

    def ask() -> object:
        everybody.wait(30)
        return cache.get(key("a"), load)

    with ThreadPoolExecutor(16) as pool:
        found = {id(future.result(30)) for future in [pool.submit(ask) for _ in range(16)]}
    assert len(loads) == 1
    assert len(found) == 1


def test_a_load_holds_up_nobody_who_asks_for_another_model() -> None:
    cache, store = ModelCache[str](100), Store()
    began, may_end = threading.Event(), threading.Event()

    def slow() -> tuple[str, int]:
        began.set()
        assert may_end.wait(30)
        return "SLOW", 1

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, key("slow"), slow)
        assert began.wait(30)
        assert store.get(cache, "quick") == "QUICK"
        assert not waiting.done()
        may_end.set()
        assert waiting.result(30) == "SLOW"


def test_an_error_is_told_to_all_who_wait_and_the_next_one_tries_again() -> None:
    cache, loads, again = ModelCache[str](100), [], threading.Event()
    everybody = threading.Barrier(4)

    def fail() -> tuple[str, int]:
        loads.append(1)
        if len(loads) > 1:
            again.set()
        again.wait(0.5)
        raise OSError("the store is away")

    def ask() -> str:
        everybody.wait(30)
        return cache.get(key("a"), fail)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(ask) for _ in range(4)]:
            with pytest.raises(OSError, match="away"):
                future.result(30)
    assert len(loads) == 1
    assert cache.bytes == 0
    assert cache.get(key("a"), lambda: ("A", 1)) == "A"
