"""What the estimators that take images share: a network that is loaded when it is needed, and never pickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

from head2toe import backbones, features
from head2toe.probes import Block, Columns

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_LOADED = ("_backbone", "_extractor")


class FrozenNetworkEstimator(BaseEstimator):
    """Base of estimators with the parameters of a backbone and of an extraction.

    A subclass stores in `__init__`, unchanged: backbone, weights, preprocessing, resize, layers, target_sizes, cache,
    device, dtype, batch_size and verbose. Constructing, cloning, printing and pickling load no weights, and a pickle
    holds none, unless the parameter `backbone` is a module of the user's own.
    """

    backbone: Any
    weights: Any
    preprocessing: Any
    resize: str
    layers: Any
    target_sizes: Any
    cache: Any
    device: str
    dtype: str
    batch_size: int | str
    verbose: bool

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _LOADED}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags

    def _load_backbone(self) -> Backbone:
        return backbones.load(self.backbone, weights=self.weights, preprocessing=self.preprocessing, resize=self.resize)

    def _lay_out(self, backbone: Backbone) -> features.Plan:
        """List the layers of the network and lay out the columns of a row."""
        sizes = (self.target_sizes,) if isinstance(self.target_sizes, int) else self.target_sizes
        return features.Plan.build(features.layers(backbone, self.layers), sizes)

    def _cache(self) -> features.Cache | None:
        if self.cache is False or self.cache is None:
            return None
        return features.Cache() if self.cache is True else features.Cache(self.cache)

    def _options(self) -> dict[str, Any]:
        """Options of the extraction loop."""
        return {"device": self.device, "batch_size": self.batch_size, "progress": bool(self.verbose)}


def columns_of(plan: features.Plan) -> Columns:
    """A plan in the words of the probes."""
    blocks = tuple(Block(block.layer, block.operation, block.start, block.stop) for block in plan.blocks)
    return Columns(blocks, dict(plan.views))
