"""Ways that go on in the race: one at least, the best by its best features."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe.probes.race import going_on
from head2toe.probes.settings import Features

N = 400
RATES = {
    Features("a", "equal", 0.1): 0.80,
    Features("b", "equal", 0.1): 0.79,
    Features("b", "equal", 1.0): 0.78,
    Features("a", "equal", 1.0): 0.77,
}


@pytest.mark.parametrize("most", [0.0, 0.3, 1.0, 1.9])
def test_the_way_with_the_best_features_goes_on_however_little_time_is_left(most: float) -> None:
    draws = (np.arange(N) + 0.5) / N
    hits = {features: draws < rate for features, rate in RATES.items()}
    left = going_on(hits, np.full(N, 1 / N), 5.0, most, N)
    assert {features.view for features in left} == {"a"} and len(left) == 2
