"""A frozen network with its own preprocessing."""

from head2toe.backbones.backbone import Backbone, pinned, settled
from head2toe.backbones.loading import load, takes
from head2toe.backbones.preprocessing import AnyPreprocessing, Preprocessing, TransformPreprocessing
from head2toe.backbones.torchvision_ops import declare_missing_operators

declare_missing_operators()  # before a user's own `import timm`, which may come next

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
