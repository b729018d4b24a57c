"""What a method is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from head2toe.errors import Head2ToeError

if TYPE_CHECKING:
    from head2toe.backbones import Backbone
    from head2toe.benchmark.cell import Cell
    from head2toe.data import Images


@dataclass(frozen=True)
class Fitted:
    """A method after training on one task.

    Attributes
    ----------
    flops : int
        Floating-point operations of training, a multiply-add as 2, without those that made the rows.
    stored : dict of str to Tensor
        What must be kept for this task besides the frozen backbone, which all tasks share; or the whole network where
        that was changed.
    choice : dict
        Hyper-parameters chosen and how they were, as JSON.
    cv_accuracy : float or None
        Of the choice on held-out training images, in [0, 1].
    of_rows : callable, optional
        Rows (b, d) float32 of the cell's plan to class numbers (b,).
    of_images : callable, optional
        Images to class numbers, (n,). Without either, the method was only costed.
    estimated : bool
        Seconds and FLOPs were extrapolated from a part of the training.
    seconds : float or None
        Training time where it is not what `compare` measures: extrapolated, or with the time of another method.
    probe : Any
        What other methods of the same cell may start from.
    """

    flops: int
    stored: dict[str, torch.Tensor]
    choice: dict[str, Any]
    cv_accuracy: float | None = None
    of_rows: Callable[[np.ndarray], np.ndarray] | None = None
    of_images: Callable[[Images], np.ndarray] | None = None
    estimated: bool = False
    seconds: float | None = None
    probe: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Method:
    """A method under its name.

    Attributes
    ----------
    name : str
    fit : callable
        From a `Cell` to `Fitted`.
    reads_rows : bool
        It learns from the rows of the frozen backbone, whose extraction is part of its cost.
    trains_network : bool
        It trains a whole network, which takes far longer than a probe.
    fewest_beside : int
        It chooses on one split (`Cell.split`), and needs so many training images beside those held out; 0: on none.
    check : callable, optional
        Raises a `Head2ToeError` where a `Backbone` is none that it can use, or a package is missing.
    """

    name: str
    fit: Callable[[Cell], Fitted]
    reads_rows: bool = True
    trains_network: bool = False
    fewest_beside: int = 0
    check: Callable[[Backbone], Any] | None = None


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Name a method in what it refuses."""
    try:
        yield
    except Head2ToeError as error:
        raise type(error)(f"{name}: {error}") from error


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
