"""What parameters and features must be, checked before any long work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from head2toe.checks import is_number, require
from head2toe.errors import ConstantFeaturesError, NotFiniteError, ParameterError
from head2toe.probes import LINEAR_VIEW, Columns, deviates
from head2toe.probes.standardised import CONSTANT

log = logging.getLogger(__name__)

MANY = 4000  # images or rows; the search works in matrices with a row and a column for each of them
_ROUNDING = 1e-5  # of features that a network made of one and the same image
_CHUNK = 4096  # columns looked at together


def check_columns(columns: Any) -> None:
    """Refuse columns whose blocks overlap or whose views name none of them."""
    if not isinstance(columns, Columns):
        raise ParameterError(f"columns is a {type(columns).__name__}: use head2toe.probes.Columns, or None")
    at = 0
    for block in sorted(columns.blocks, key=lambda block: block.start):
        if not at <= block.start < block.stop:
            raise ParameterError(
                f"columns= has the block {block.start}:{block.stop}, which is empty or overlaps another"
            )
        at = block.stop
    if LINEAR_VIEW not in columns.views or not columns.candidate_views():
        raise ParameterError(f"columns= needs the view {LINEAR_VIEW!r}, for the linear probe, and at least one more")
    for name, numbers in columns.views.items():
        if not numbers or not set(numbers) <= set(range(len(columns.blocks))):
            raise ParameterError(f"columns= has the view {name!r} of no block, or of one that is not there")
        if deviates(name):
            raise ParameterError(f"columns= has the view {name!r}: such names are the search's own, use another")


def check_views(views: Sequence[str] | None, columns: Columns) -> None:
    """Refuse views that the columns do not have."""
    unknown = [view for view in views or () if view not in columns.candidate_views()]
    if unknown or (views is not None and not len(views)):
        known = ", ".join(columns.candidate_views())
        raise ParameterError(f"views is {views!r}: the columns have the views {known}")


def unique_names(names: Any) -> tuple[str, ...]:
    """One name or several, each once; none where it is no list."""
    if isinstance(names, str):
        return (names,)
    found = list(names) if isinstance(names, Iterable) else []
    return tuple(name for i, name in enumerate(found) if name not in found[:i])  # what has no hash is refused later


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed, drawn where a generator or nothing is given."""
    if isinstance(random_state, int | np.integer):
        if random_state < 0:
            raise ParameterError(f"random_state is {random_state}: use a whole number from 0 on")
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    except ValueError as error:
        raise ParameterError(f"random_state is {random_state!r}: use a whole number, a RandomState or None") from error


def check_finite(X: np.ndarray) -> None:
    """Raise for NaN and infinity; one sum over everything is enough to know that there is none."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = X.sum(dtype=np.float64)
    if np.isfinite(total):
        return
    bad = [first for first in range(0, X.shape[1], _CHUNK) if not np.isfinite(X[:, first : first + _CHUNK]).all()]
    if not bad:
        return  # finite numbers may have a sum that is not
    row, column = np.argwhere(~np.isfinite(X[:, bad[0] : bad[0] + _CHUNK]))[0]
    where = f"first in row {row}, column {bad[0] + column}"
    raise NotFiniteError(f"NaN or infinity (inf) among the features as {X.dtype} holds them, {where}")


def check_varies(X: np.ndarray, columns: Columns) -> None:
    """Raise where every column is constant; usually the first few columns settle it.

    The same image in two batches of different sizes gives features that differ by rounding: features of one unit vary
    where one of them moves by more than that, measured by the largest. Features of different units are measured by
    themselves, as standardisation does.
    """
    for start, stop in columns.spans() or [(0, X.shape[1])]:
        largest = np.abs(X[0, start:stop]).max(initial=0)
        for first in range(start, stop, _CHUNK):
            part = X[:, first : min(first + _CHUNK, stop)]
            size = _ROUNDING * largest if columns.commensurable else 2 * CONSTANT * np.abs(part).max(axis=0)
            if (np.abs(part - part[0]).max(axis=0) > size).any():
                return
    raise ConstantFeaturesError(
        f"all {X.shape[1]} features are the same for every image, or differ by less than float32 tells beside their "
        "size: there is nothing to learn from, unless a large offset is taken away"
    )


def check_strength(name: str, value: Any, ridge: float) -> None:
    """Refuse a strength of the group lasso that has no solution."""
    fits = is_number(value) and (0 < value < np.inf or (value == 0 and ridge > 0))
    require(fits, name, value, "a positive number (zero only with a ridge)")


def tell_of_many(n: int, what: str) -> None:
    """Warn of so many images (or rows) that the search will take long."""
    if n > MANY:
        log.warning(
            "%d %s: the time of the search grows with the cube of their number, and its memory with the square; "
            "draw some %d of them at random if that is too long",
            n,
            what,
            MANY // 2,
        )
