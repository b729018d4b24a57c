"""The settings of experiments; light, so that `head2toe experiment --help` tells the same defaults."""

from __future__ import annotations

from dataclasses import dataclass

from head2toe.benchmark.defaults import STEPS


@dataclass(frozen=True)
class Settings:
    """What all experiments share.

    Attributes
    ----------
    target_sizes
        Target sizes N; the first is the one that experiments on other things use.
    fractions
        Shares F of the features to choose from.
    folds
        Of cross-validation inside the training images, which chooses fractions and ridge strengths.
    group
        Features of one group of the offset experiment.
    shots
        Training images a class.
    repeats
        Draws of the training images, where an experiment repeats itself.
    steps, batch_size, learning_rate, side
        Of networks that are trained as a whole: gradient steps, images of one, learning rate, pixels.
    seed
        Of folds, draws and networks.
    """

    target_sizes: tuple[int, ...] = (512, 64, 2048)
    fractions: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    folds: int = 3
    group: int = 2048
    shots: tuple[int, ...] = (2, 5, 10, 20, 50)
    repeats: int = 3
    steps: int = STEPS
    batch_size: int = 32
    learning_rate: float = 0.03
    side: int = 64
    seed: int = 0

    @property
    def view(self) -> str:
        """The view of the first target size."""
        return str(self.target_sizes[0])
