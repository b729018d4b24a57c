"""What a method gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from head2toe import FeatureProbe
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
        Rows (b, d) float32 of the trial's plan to class numbers (b,).
    of_images : callable, optional
        Images to class numbers, (n,). Without either, the method was only costed.
    estimated : bool
        Seconds and FLOPs were extrapolated from a part of the training.
    seconds : float or None
        Training time where it is not what `compare` measures: extrapolated, or with the time of another method.
    probe : FeatureProbe, optional
        What other methods of the same trial may start from.
    accuracy_before : float or None
        head2toe-ft: of a head of the same kind, untuned, on the images held out, in [0, 1].
    """

    flops: int
    stored: dict[str, torch.Tensor]
    choice: dict[str, Any]
    cv_accuracy: float | None = None
    of_rows: Callable[[np.ndarray], np.ndarray] | None = None
    of_images: Callable[[Images], np.ndarray] | None = None
    estimated: bool = False
    seconds: float | None = None
    probe: FeatureProbe | None = field(default=None, repr=False)
    accuracy_before: float | None = None
