"""Row numbers of folds that a user names: none counts from the end, and none lies beyond."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe.errors import ParameterError
from head2toe.estimators.folds import folds_of

Y = np.arange(6) % 2


@pytest.mark.parametrize("rows", [[0, 1, -1], [0, 1, 6]])
def test_rows_that_are_not_there_are_refused(rows: list[int]) -> None:
    for fold in ((rows, [2, 3]), ([2, 3], rows)):
        with pytest.raises(ParameterError, match="beyond the 6"):
            folds_of([fold], Y)


def test_numbers_and_masks_name_the_same_rows() -> None:
    mask = Y == 0
    ((train, test),) = folds_of([(mask, np.flatnonzero(~mask))], Y)
    assert train.tolist() == [0, 2, 4] and test.tolist() == [1, 3, 5]
