"""How many features a head may keep, so that it stays small beside its network."""

from __future__ import annotations

import math
from typing import Any

from head2toe.checks import is_number
from head2toe.errors import ParameterError
from head2toe.probes.heads import features_within

HEAD_SIZE = 0.01  # of the body's bytes: a hundred tasks take no more than one network fine-tuned for one


def check_head_size(share: Any) -> None:
    """Refuse what is neither a positive number nor None.

    Raises
    ------
    ParameterError
    """
    if share is not None and not (is_number(share) and 0 < share < math.inf):
        raise ParameterError(f"head_size is {share!r}: give a share of the backbone's bytes such as 0.01, or None")


def most_features(share: float | None, body_bytes: int, classes: int) -> int | None:
    """How many features a head of that share of the network's body may keep.

    Parameters
    ----------
    share : float or None
        None: no limit.
    body_bytes : int
        Of all parameters and buffers but the classifier's, as in `Backbone.body_bytes`.
    classes : int
        Each has a coefficient for every feature.
    """
    if share is None:
        return None
    return features_within(share * body_bytes, classes)
