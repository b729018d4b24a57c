"""Images (texts, recordings) in, one row of all layers' features out."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from head2toe.estimators.frozen import FrozenNetworkEstimator, columns_of
from head2toe.plain_torch import plain_torch


class AllLayerFeatures(TransformerMixin, FrozenNetworkEstimator):
    """Pool the activations of all layers of a frozen network into one row an image.

    Parameters
    ----------
    backbone : str or torch.nn.Module, or a list of them
        "embedded", "timm/NAME", ... or a module of your own: see `head2toe.backbones.load`. The rows of several stand
        side by side, their layer names with the prefix ``0/``, ``1/``, ...
    layers : str or list of str, optional
        A glob (`layer[34].*`), a regular expression (`re:attn|mlp`) or a list of them; None: all layers.
    target_sizes : sequence of int
        Numbers wanted from each layer, approximately; several sizes share what they can.
    statistics : sequence of str
        What to take of each channel besides: some of "mean", "std", "max", "centre" (of mass) and "moments" (second
        moments by a fixed random projection).
    cls_token : str
        Of a transformer's grids: "with" pools the class token among the other tokens, as the paper does; "alone" keeps
        it and nothing else, "beside" keeps it beside the others pooled. Statistics always have it beside.
    weights, preprocessing, resize, image_size
        See `head2toe.backbones.load`; weights and preprocessing of several backbones are lists.
    cache : bool or path
        True: rows are kept in the default cache folder, so that the same images pass the network once; a path: in that
        folder; False: in memory only.
    device : str
        "auto", "cpu", "cuda", "mps", ...
    dtype : str
        "auto", "float32", "bfloat16" or "float16".
    batch_size : int or "auto"
    verbose : bool
        Show a progress bar on standard error.

    Attributes
    ----------
    plan_ : head2toe.features.Plan
        What the d columns hold.
    columns_ : head2toe.probes.Columns
        The same for `FeatureProbe(columns=...)`.
    backbone_ : dict
        What the rows are made with: specification, revision, hash of the weights, preprocessing.
    """

    def __init__(
        self,
        backbone: Any = "embedded",
        *,
        layers: str | Sequence[str] | None = None,
        target_sizes: Sequence[int] = (512,),
        statistics: Sequence[str] = (),
        cls_token: str = "with",
        weights: str | PathLike[str] | None = None,
        preprocessing: Any = None,
        resize: str = "whole",
        image_size: int | tuple[int, int] | None = None,
        cache: bool | str | PathLike[str] = True,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = "auto",
        verbose: bool = False,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.target_sizes = target_sizes
        self.statistics = statistics
        self.cls_token = cls_token
        self.weights = weights
        self.preprocessing = preprocessing
        self.resize = resize
        self.image_size = image_size
        self.cache = cache
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.verbose = verbose

    @plain_torch()
    def fit(self, images: Any = None, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Load the network and lay out the columns; images and labels play no part."""
        self._networks = self._load_networks()
        self.plan_, _ = self._lay_out(self._networks)
        self.columns_ = columns_of(self.plan_)
        self.backbone_ = self._networks.described()
        return self

    @plain_torch()
    def transform(self, images: Any) -> np.ndarray:
        """The rows of n images, float32 (n, d); read-only where they are in a cache.

        Parameters
        ----------
        images
            Paths, PIL images, uint8 arrays (n, h, w[, 3]), tensors (n, 3, h, w), a torch Dataset or
            `head2toe.data.Images`; strings for a backbone of texts; .wav files, arrays (samples,) or pairs
            (array, sampling rate) for one of recordings.

        Raises
        ------
        UnreadableImageError
            An image cannot be decoded: every image must have its row.
        WeightsMismatchError
            The backbone's weights are not those that `fit` found: what was fitted to its rows would not know these.
        """
        check_is_fitted(self, "backbone_")
        found = self._verified_networks().extract(
            self._inputs(images),
            self.plan_,
            store=self._cache(),
            dtype=self.dtype,
            strict=True,
            **self._options(),
        )
        return np.asarray(found.rows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002 - scikit-learn's signature
        """Names of the d columns, such as `layer3.0.act2/avg:7[12]`: layer, operation, number within the block."""
        check_is_fitted(self)
        blocks = self.plan_.blocks
        names = (f"{b.layer}/{b.operation}[{i}]" for b in blocks for i in range(b.stop - b.start))
        return np.array(list(names), dtype=object)
