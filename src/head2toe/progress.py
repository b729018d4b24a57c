"""Whoever is told how far long work has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Given the pieces that are done, their total, and what comes next in a few words."""


def silent(*_: object) -> None:
    """Tell nobody."""
