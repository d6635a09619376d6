"""The worker's event loop hears of a free thread at once."""

from __future__ import annotations

import threading

from kombu.asynchronous import Hub

from worker.pool import Pool


def test_the_end_of_a_task_wakes_the_event_loop() -> None:
    hub, pool, free = Hub(), Pool(1), threading.Event()
    pool.start()
    pool.register_with_event_loop(hub)
    try:
        assert not hub.poller.poll(0)
        result = pool.apply_async(free.wait, ())
        assert not hub.poller.poll(0.05), "it is busy"
        free.set()
        (fd, _), *_ = hub.poller.poll(30)
        callback, args = hub.readers[fd]
        callback(*args)
        assert result.f.done()
        assert not hub.poller.poll(0), "it rings once"
    finally:
        pool.stop()
        hub.close()
