"""The clock of a search: what it says can be afforded is what there is time for."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from head2toe.probes.clock import SCREENING, Clock

PASS, HEADS = 3.0, 5.0


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that is turned by hand."""
    now = [100.0]
    monkeypatch.setattr("head2toe.probes.clock.time.monotonic", lambda: now[0])

    def turn(seconds: float) -> None:
        now[0] += seconds

    return turn


def test_as_many_passes_as_fit_into_the_screening_share(wait: Callable[[float], None]) -> None:
    clock = Clock(100.0)
    assert clock.passes_left() == math.inf  # nothing is known of how long one takes
    for done in range(1, 30):
        with clock.screening():
            wait(PASS)
        assert clock.passes_left() == pytest.approx(max(0.0, SCREENING * 100 / PASS - done))


def test_another_finalist_is_judged_while_the_slowest_would_end_in_time(wait: Callable[[float], None]) -> None:
    clock, judged = Clock(17.0), 0
    while clock.time_for_heads():
        with clock.judging():
            wait(HEADS if judged == 0 else 1.0)
        judged += 1
    assert judged == 1 + (17 - 2 * HEADS) + 1  # the first; then one a second while five more are left


def test_without_a_limit_there_is_always_time(wait: Callable[[float], None]) -> None:
    clock = Clock(None)
    with clock.screening(), clock.judging():
        wait(1e9)
    assert clock.passes_left() == math.inf and clock.time_for_heads()
