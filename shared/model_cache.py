"""Loaded models, the last used ones, up to so many bytes; a model that is not there is loaded once, whoever asks.

A model counts as the bytes of its artifact. Artifacts are not compressed, so that is what its arrays take in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Literal, TypeVar

Key = tuple[str, str, int]
"""Project, name, version."""
T = TypeVar("T")


class CacheWatch:
    """Hears what a cache does; this one does not care."""

    def looked(self, outcome: Literal["hit", "miss", "joined"]) -> None:
        """Somebody asked for a model: it was there, has to be loaded, or is being loaded for another."""

    def evicted(self) -> None:
        """A model made room for others."""

    def holds(self, models: int, size: int) -> None:
        """So many models, of so many bytes, are held from now on."""


class ModelCache(Generic[T]):
    """Safe to share between threads. Each process has its own."""

    def __init__(self, most_bytes: int, watch: CacheWatch | None = None) -> None:
        self._most_bytes = most_bytes
        self._watch = watch or CacheWatch()
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._loading: dict[Key, Future[T]] = {}

    def get(self, key: Key, load: Callable[[], tuple[T, int]]) -> T:
        """What is held under the key; else what `load` gives, with its bytes, which is then held.

        Of those who ask while it is loaded one loads and the others wait for it. Its error is everybody's, and the
        next to ask tries again.
        """
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                self._watch.looked("hit")
                return self._held[key][0]
            coming = self._loading.get(key)
            if coming is None:
                mine = self._loading[key] = Future[T]()
        self._watch.looked("miss" if coming is None else "joined")
        if coming is not None:
            return coming.result()
        try:
            model, size = load()
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._keep(key, model, size)
        mine.set_result(model)
        return model

    @property
    def bytes(self) -> int:
        """Of what is held now."""
        return self._bytes

    def _keep(self, key: Key, model: T, size: int) -> None:
        """The newest is held however large it is: it is about to be used."""
        self._held[key] = (model, size)
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._held) > 1:
            _, (_, gone) = self._held.popitem(last=False)
            self._bytes -= gone
            self._watch.evicted()
        self._watch.holds(len(self._held), self._bytes)
