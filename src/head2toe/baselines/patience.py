"""When a path of growing models ends: neither accuracy nor loss gets better any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def without_progress(
    table: Sequence[Mapping[str, float]], patience: int, *, accuracy: str = "accuracy", loss: str = "loss"
) -> bool:
    """Whether neither of two columns has a new best in the last `patience` rows of a table."""
    if len(table) <= patience:
        return False
    before, late = table[:-patience], table[-patience:]
    no_better = max(row[accuracy] for row in late) <= max(row[accuracy] for row in before)
    return no_better and min(row[loss] for row in late) >= min(row[loss] for row in before)
