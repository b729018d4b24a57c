"""A frozen network with its own preprocessing."""

from head2toe.backbones.backbone import Backbone, pinned, settled
from head2toe.backbones.loading import load, takes
from head2toe.backbones.preprocessing import AnyPreprocessing, Preprocessing, TransformPreprocessing

__all__ = [
    "AnyPreprocessing",
    "Backbone",
    "Preprocessing",
    "TransformPreprocessing",
    "load",
    "pinned",
    "settled",
    "takes",
]
