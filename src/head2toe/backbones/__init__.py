"""A frozen network with its own preprocessing."""

from head2toe.backbones.backbone import Backbone, parts_of, pinned, with_absolute_path
from head2toe.backbones.loading import load, takes
from head2toe.backbones.preprocessing import AnyPreprocessing, Preprocessing, TransformPreprocessing
from head2toe.backbones.torchvision_ops import declare_missing_operators

declare_missing_operators()  # before timm or torchvision is imported, here or by the user

__all__ = [
    "AnyPreprocessing",
    "Backbone",
    "Preprocessing",
    "TransformPreprocessing",
    "load",
    "parts_of",
    "pinned",
    "takes",
    "with_absolute_path",
]
