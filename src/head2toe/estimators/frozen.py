"""What the estimators that take images share: a network that is loaded when it is needed, and never pickled."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from head2toe import backbones, features
from head2toe.data import as_inputs
from head2toe.errors import ParameterError
from head2toe.estimators.networks import JointCosts, Networks, refuse_missing_modules, refuse_missing_transforms
from head2toe.features.joint import networks_of
from head2toe.probes import Block, Columns

_LOADED = ("_networks", "_extractor")


class FrozenNetworkEstimator(BaseEstimator):
    """Base of estimators with the parameters of a backbone and of an extraction.

    A subclass stores in `__init__`, unchanged: backbone, weights, preprocessing, resize, image_size, layers,
    target_sizes, statistics, cls_token, cache, device, dtype, batch_size and verbose. Constructing, cloning, printing
    and pickling load no weights, and a pickle holds none, unless the parameter `backbone` is a module of a user's own.
    """

    backbone: Any
    weights: Any
    preprocessing: Any
    resize: str
    image_size: Any
    layers: Any
    target_sizes: Any
    statistics: Any
    cls_token: str
    cache: Any
    device: str
    dtype: str
    batch_size: int | str
    verbose: bool
    backbone_: dict[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _LOADED}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags

    @property
    def takes(self) -> str:
        """What the backbones take: "images", "texts" or "recordings".

        Raises
        ------
        ParameterError
            Backbones of several kinds.
        """
        return _kind_of(_backbones_of(self.backbone))

    def _inputs(self, obj: Any) -> Any:
        """A sequence of what the backbones take."""
        return as_inputs(obj, self.takes)

    def _load_networks(self) -> Networks:
        """Load the backbone, or each of several; weights and preprocessing of several are lists beside theirs."""
        specs = _backbones_of(self.backbone)
        _kind_of(specs)
        refuse_missing_modules(specs)
        weights, own = (_each(name, getattr(self, name), len(specs)) for name in ("weights", "preprocessing"))
        return Networks(
            tuple(
                backbones.load(spec, weights=file, preprocessing=made, resize=self.resize, image_size=self.image_size)
                for spec, file, made in zip(specs, weights, own, strict=True)
            )
        )

    def _verified_networks(self) -> Networks:
        """The networks, loaded if need be, with the weights that were there at `fit`.

        Raises
        ------
        WeightsMismatchError
        PreprocessingError
            The images passed a transform of the user's own at `fit`, and it is not here.
        """
        known = getattr(self, "_networks", None)
        if known is None:
            own = _each("preprocessing", self.preprocessing, len(_backbones_of(self.backbone)))
            refuse_missing_transforms(self.backbone_, own)
        networks = self._load_networks() if known is None else known.current()
        if networks is not known:
            networks.check(self.backbone_)
            self._networks, self._extractor = networks, None
        return networks

    def _lay_out(self, networks: Networks, budget: float | None = None) -> tuple[features.Plan, JointCosts]:
        """List the layers of the networks and lay out the columns of a row; also what the layers cost."""
        sizes = _several("target_sizes", self.target_sizes, Integral, "a whole number, or several")
        statistics = _several("statistics", self.statistics, str, f"some of {', '.join(features.ALL_STATISTICS)}")
        return networks.lay_out(self.layers, sizes, self.cls_token, statistics, budget)

    def _cache(self) -> features.Cache | None:
        if self.cache is None or isinstance(self.cache, bool | np.bool_):
            return features.Cache() if self.cache else None
        if not isinstance(self.cache, str | PathLike):
            raise ParameterError(f"cache is {self.cache!r}: use True, False or the path of a folder")
        return features.Cache(Path(self.cache))

    def _options(self) -> dict[str, Any]:
        """Options of the extraction loop."""
        return {"device": self.device, "batch_size": self.batch_size, "progress": bool(self.verbose)}


def _several(name: str, value: Any, kind: type, wanted: str) -> tuple[Any, ...]:
    """One or several values of a kind, none where the value is None, as a tuple."""
    if isinstance(value, kind):
        return (value,)
    if value is not None and (isinstance(value, str | bytes) or not isinstance(value, Iterable)):
        raise ParameterError(f"{name} is {value!r}: use {wanted}")
    return () if value is None else tuple(value)


def columns_of(plan: features.Plan) -> Columns:
    """A plan in the words of the probes."""
    blocks = tuple(Block(block.layer, block.operation, block.start, block.stop) for block in plan.blocks)
    return Columns(blocks, dict(plan.views), networks={view: networks_of(plan, view) for view in plan.views})


def _backbones_of(backbone: Any) -> list[Any]:
    if not isinstance(backbone, list | tuple):
        return [backbone]
    if not backbone:
        raise ParameterError("backbone is an empty list: name at least one")
    return list(backbone)


def _kind_of(specs: list[Any]) -> str:
    kinds = list(dict.fromkeys(backbones.takes(spec) for spec in specs))
    if len(kinds) > 1:
        raise ParameterError(f"backbones of {' and '.join(kinds)} cannot share a probe: name those of one kind")
    return kinds[0]


def _each(name: str, value: Any, count: int) -> list[Any]:
    """A parameter for each of several backbones."""
    if value is None:
        return [None] * count
    if count == 1 and not isinstance(value, list | tuple):
        return [value]
    if not isinstance(value, list | tuple) or len(value) != count:
        raise ParameterError(f"{name} must be a list of {count}, one (or None) for each backbone")
    return list(value)
