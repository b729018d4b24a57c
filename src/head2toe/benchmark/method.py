"""A method under its name: what it is asked for, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from head2toe.backbones import Backbone
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.refusals import telling
from head2toe.benchmark.trial import Trial


@dataclass(frozen=True)
class Method:
    """A method under its name.

    Attributes
    ----------
    name : str
    fit : callable
        From a `Trial` to `Fitted`.
    reads_rows : bool
        It learns from the rows of the frozen backbone, whose extraction is part of its cost.
    trains_network : bool
        It trains a whole network, which takes far longer than a probe.
    fewest_beside : int
        It chooses on one split (`Trial.split`), and needs so many training images beside those held out; 0: on none.
    check : callable, optional
        Raises a `Head2ToeError` where a `Backbone` is none that it can use, or a package is missing.
    """

    name: str
    fit: Callable[[Trial], Fitted]
    reads_rows: bool = True
    trains_network: bool = False
    fewest_beside: int = 0
    check: Callable[[Backbone], Any] | None = None


def check_methods(methods: Iterable[Method], backbone: Backbone) -> None:
    """Refuse what cannot run, before the others have run for nothing.

    Raises
    ------
    MissingDependencyError, ParameterError
        A package is not installed, or the backbone has no classifier to replace, or what else the method needs.
    """
    for method in methods:
        if method.check is not None:
            with telling(method.name):
                method.check(backbone)
