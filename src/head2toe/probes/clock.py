"""How long a search may take, and what it can still afford."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

SCREENING = 0.6  # share of the time that screening may take; the finalists' heads and the last fit need the rest


class Clock:
    """Wall-clock time of a search, from its beginning.

    What comes next is taken to last as long as its like did so far.

    Parameters
    ----------
    seconds : float or None
        What the search may take, about. None: there is no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.limited = seconds is not None
        self._seconds = math.inf if seconds is None else seconds
        self._start = time.monotonic()
        self._passes: list[float] = []
        self._heads: list[float] = []

    def screening(self) -> AbstractContextManager[None]:
        """Around one way of describing and weighing, tried in one fold."""
        return _timed(self._passes)

    def judging(self) -> AbstractContextManager[None]:
        """Around the heads of one finalist, in all folds."""
        return _timed(self._heads)

    def passes_left(self) -> float:
        """How often a way can still be tried in a fold."""
        if not self.limited or not self._passes:
            return math.inf
        left = SCREENING * self._seconds - (time.monotonic() - self._start)
        return max(0.0, left) / max(1e-9, sum(self._passes) / len(self._passes))

    def time_for_heads(self) -> bool:
        """Whether there is time for another finalist, should it take as long as the slowest before."""
        spent = time.monotonic() - self._start
        return spent + max(self._heads, default=0.0) <= self._seconds


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    begun = time.monotonic()
    yield
    spent.append(time.monotonic() - begun)
