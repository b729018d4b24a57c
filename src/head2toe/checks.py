"""Numbers that parameters may be, and the message where one is not."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from head2toe.errors import ParameterError


def is_number(value: Any) -> bool:
    """A real number, of Python or of NumPy; booleans are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """A whole number, of Python or of NumPy; booleans are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require(fits: bool, name: str, value: Any, use: str) -> None:
    """Refuse the value of a parameter where it does not fit; `use` ends the message: what to use instead.

    Raises
    ------
    ParameterError
    """
    if not fits:
        raise ParameterError(f"{name} is {value!r}: use {use}")


def require_whole(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number, or is less than `least`.

    Raises
    ------
    ParameterError
    """
    require(is_whole(value) and value >= least, name, value, f"a whole number of at least {least}")
