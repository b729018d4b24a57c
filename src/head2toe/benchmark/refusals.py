"""Who refused, named in what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from head2toe.errors import Head2ToeError


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Name a method in what it refuses."""
    try:
        yield
    except Head2ToeError as error:
        raise type(error)(f"{name}: {error}") from error
