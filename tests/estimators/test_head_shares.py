"""Shares of a network that a head may take: positive and finite, or none."""

from __future__ import annotations

import math

import pytest

from head2toe.errors import ParameterError
from head2toe.estimators.head_size import check_head_size, most_features


@pytest.mark.parametrize("share", [0, -0.01, math.inf, math.nan, "0.01", True])
def test_what_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(ParameterError, match="head_size is"):
        check_head_size(share)


def test_without_a_share_there_is_no_limit() -> None:
    check_head_size(None)
    assert most_features(None, 10**6, 10) is None
