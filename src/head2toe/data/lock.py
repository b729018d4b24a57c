"""A lock that may be pickled and copied."""

from __future__ import annotations

import threading


class Lock:
    """One thread at a time inside ``with lock:``. A copy is another lock: it guards another object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        return Lock, ()
