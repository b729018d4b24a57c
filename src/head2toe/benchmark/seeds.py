"""Seeds as users give them."""

from __future__ import annotations

from typing import Any

from head2toe.checks import is_whole, require

_LARGEST = 2**63 - 1  # torch takes no larger one


def seeds_of(given: Any, name: str = "seed") -> list[int]:
    """One seed or several as numbers, each once; `name` is the parameter's.

    Raises
    ------
    ParameterError
    """
    try:
        found = [given] if is_whole(given) else list(given)
    except TypeError:  # no sequence
        found = []
    fits = bool(found) and all(is_whole(seed) and 0 <= seed <= _LARGEST for seed in found)
    require(fits, name, given, "a whole number from 0 to 2**63 - 1, or several")
    return list(dict.fromkeys(int(seed) for seed in found))
