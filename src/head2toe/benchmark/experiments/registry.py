"""The experiments by name; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from head2toe.errors import ParameterError

if TYPE_CHECKING:
    from head2toe.benchmark.experiments.experiment import Experiment

# Name -> module of this folder; in the order of the reproduction page.
MODULES = {
    "one-layer": "one_layer",
    "affine": "affine",
    "affinity": "affinity",
    "offset": "offset",
    "scorers": "scorer_comparison",
    "whole-layers": "whole_layers",
    "fraction": "fraction",
    "target-size": "target_size",
    "several-sizes": "several_sizes",
    "other-task": "other_task",
    "kept-layers": "kept_layers",
    "stability": "stability",
    "shots": "shots",
    "backbones": "several_backbones",
    "hidden-layer": "hidden_layer",
    "normalisation": "normalisation",
}
NAMES = tuple(MODULES)
TRAINING = "affine", "affinity"  # those in which a whole network is trained


def find(name: str) -> Experiment:
    """Return an experiment.

    Raises
    ------
    ParameterError
        There is none of this name.
    """
    if name not in MODULES:
        raise ParameterError(f"no experiment is called {name!r}: use one of {', '.join(NAMES)}")
    return import_module(f"{__package__}.{MODULES[name]}").EXPERIMENT
