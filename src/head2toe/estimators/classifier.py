"""The classifier: images and labels in, a small probe out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from head2toe import artifacts, features
from head2toe.data import Images
from head2toe.estimators.feature_probe import FeatureProbe, moved
from head2toe.estimators.frozen import columns_of
from head2toe.estimators.head_size import HEAD_SIZE, check_head_size, most_features
from head2toe.estimators.networks import Networks
from head2toe.estimators.predictions import ImagePredictions
from head2toe.estimators.saving import loaded, to_saved
from head2toe.estimators.training_set import Readable, TrainingSet
from head2toe.features.temporary import place_for
from head2toe.plain_torch import plain_torch


class Head2ToeClassifier(ImagePredictions):
    """A probe on all layers of a frozen network (Evci et al., ICML 2022).

    Parameters
    ----------
    backbone : str or torch.nn.Module, or a list of them
        "embedded", "timm/NAME", ... or a module of your own: see `head2toe.backbones.load`; of "hf-text/..." images are
        strings, of "hf-audio/..." recordings. One probe learns from several: layer names get the prefix ``0/``, ...
    layers : str or list of str, optional
        A glob (`layer[34].*`), a regular expression (`re:attn|mlp`) or a list of them; None: all layers.
    target_sizes : sequence of int
        Numbers wanted from each layer, approximately; cross-validation chooses among them and the statistics.
    statistics : sequence of str
        Besides, of each channel: some of "mean", "std", "max", "centre" (of mass) and "moments" (second moments by a
        fixed random projection); the paper takes none.
    cls_token : str
        See `AllLayerFeatures`.
    fractions, strengths, layer_weights, search_seconds, cv, class_weight, random_state
        See `FeatureProbe`.
    head_size : float or None
        How large the head may be: its stored bytes as a share of the backbone's without its classifier, though
        always 16 kB. The linear probe is a candidate whatever its size. None: as large as cross-validation likes.
    weights, preprocessing, resize, image_size
        See `head2toe.backbones.load`; weights and preprocessing of several backbones are lists.
    budget : float in (0, 1], optional
        Share of the forward FLOPs that predictions may take: the network ends at the last layer within it, and the
        linear probe reads that layer. Of several backbones, the share of each.
    cache : bool or path
        True: rows are kept in the default cache folder, so that the same images pass the network once; a path: in that
        folder; False: in memory, or in a temporary folder when they are large.
    strict : bool
        Raise for an image that cannot be read. Otherwise `fit` leaves it out, with its label, and lists it in
        `skipped_`. Predictions are always strict: each image has one.
    device : str
        "auto", "cpu", "cuda", "mps", ...
    dtype : str
        "auto", "float32", "bfloat16" or "float16". With "auto" `fit` chooses, and predictions keep its choice.
    batch_size : int or "auto"
    verbose : bool
        Show progress bars on standard error.

    Attributes
    ----------
    classes_ : array (c,)
    choice_ : dict
        The winner's row of `search_table_`, and what was averaged with it: see `FeatureProbe`.
    search_table_ : list of dict
        One row a candidate, best first.
    cv_accuracy_, linear_cv_accuracy_ : float
        Cross-validated accuracy in [0, 1] of the choice, and of the linear probe on the penultimate features.
    estimated_accuracy_ : float
        Cross-validated accuracy in [0, 1] of the act of choosing: what to expect of new images.
    skipped_ : tuple of Skipped
        Training images that could not be read: index, name, reason.
    skipped_unlabelled_ : tuple of Skipped
        Those of the unlabelled ones.
    cached_ : bool
        The training rows came from the cache, and no image was read.
    plan_ : head2toe.features.Plan
        The layers that kept a feature, and the columns that are made of them.
    probe_ : FeatureProbe
        The fitted probe over the columns of `plan_`.
    backbone_ : dict
        What the rows were made with: specification, revision, hash of the weights, preprocessing.
    flops_, flops_saved_ : int
        FLOPs of an image's whole forward pass, and those saved by stopping after the last layer that kept a feature.
    dtype_ : str
        The number format the backbone ran in; of several with commas.
    """

    def __init__(
        self,
        backbone: Any = "embedded",
        *,
        layers: str | Sequence[str] | None = None,
        target_sizes: Sequence[int] = (512,),
        statistics: Sequence[str] = ("mean", "std", "max", "centre"),
        cls_token: str = "with",
        fractions: Sequence[float] | None = None,
        strengths: Sequence[float] | None = None,
        layer_weights: str | Sequence[str] = ("equal", "learned"),
        head_size: float | None = HEAD_SIZE,
        search_seconds: float | None = None,
        cv: int = 5,
        class_weight: Mapping[Any, float] | str | None = None,
        weights: str | PathLike[str] | None = None,
        resize: str = "whole",
        image_size: int | tuple[int, int] | None = None,
        budget: float | None = None,
        preprocessing: Any = None,
        cache: bool | str | PathLike[str] = True,
        strict: bool = False,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = "auto",
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.target_sizes = target_sizes
        self.statistics = statistics
        self.cls_token = cls_token
        self.fractions = fractions
        self.strengths = strengths
        self.layer_weights = layer_weights
        self.head_size = head_size
        self.search_seconds = search_seconds
        self.cv = cv
        self.class_weight = class_weight
        self.weights = weights
        self.resize = resize
        self.image_size = image_size
        self.budget = budget
        self.preprocessing = preprocessing
        self.cache = cache
        self.strict = strict
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @plain_torch()
    def fit(
        self,
        images: Any,
        labels: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: Any = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn the probe.

        1. Check the parameters, the images' number and the labels, before any long work.
        2. Load the backbone, list its layers and lay out the columns of a row.
        3. Run the images through the backbone once; those that cannot be read leave with their labels.
        4. Search view, fraction, head and strength; fit the best, and what is averaged with it, on all rows.
        5. Keep the columns, and the layers, that predictions need.

        Parameters
        ----------
        images
            n paths, PIL images, uint8 arrays (n, h, w[, 3]), tensors (n, 3, h, w), a torch Dataset of (image, label)
            pairs, or what `head2toe.data.read_data` returns.
        labels : array of shape (n,), optional
            Strings, whole numbers or booleans; not needed where the images bring theirs.
        sample_weight : array of shape (n,), optional
            Non-negative.
        unlabelled, optional
            More images, in any of these forms, like those that predictions will be made for; labels that they bring are
            not looked at. The probe learns from them too where cross-validation says that it helps: see `FeatureProbe`.
        groups : array of shape (n,), optional
            Names or numbers: images of one group (of one object, film or patient) are never on both sides of a fold, so
            that `estimated_accuracy_` is what to expect of new groups. Each class needs two.

        Returns
        -------
        Head2ToeClassifier
            Itself.

        Raises
        ------
        EmptyDataError, MissingLabelError, OneClassError, ClassTooSmallError, TooFewImagesError, DataFormatError
            The data cannot be learned from.
        ParameterError, UnknownBackboneError, WeightsMismatchError, LayerPatternError, ...
            The backbone or a parameter is wrong.
        UnreadableImageError
            With `strict`.
        DiskFullError
            The cache has no room for the rows; known before the first image.
        """
        folds = self._feature_probe(None).settings().folds
        check_head_size(self.head_size)
        given = TrainingSet.of(
            images,
            labels,
            sample_weight,
            unlabelled,
            groups,
            folds=folds,
            class_weight=self.class_weight,
            inputs=self._inputs,
        )
        networks = self._load_networks()
        plan, costs = self._lay_out(networks, self.budget)
        with self._rows(networks, given.images, plan) as found:
            readable = given.readable(found, folds)
            probe = self._search(readable, plan, networks.body_bytes)
        self.skipped_, self.skipped_unlabelled_ = readable.skipped, readable.skipped_unlabelled
        self.cached_ = found.cached
        kept = [layer.name for layer in plan.restrict(probe.head_.indices.numpy())[0].layers]
        self.flops_, self.flops_saved_ = costs.total, costs.saved(kept)
        return self._keep(probe, plan, networks, found.dtype)

    @plain_torch()
    def save(self, folder: str | PathLike[str], overwrite: bool = False) -> Path:
        """Write the probe into a folder: safetensors and JSON; the backbone stays where it is.

        Raises
        ------
        OutputExistsError
            The folder is there already.
        """
        check_is_fitted(self)
        return artifacts.save_probe(Path(folder), to_saved(self), overwrite=overwrite)

    @classmethod
    @plain_torch()
    def load(
        cls, folder: str | PathLike[str], *, backbone: Any = None, preprocessing: Any = None, **options: Any
    ) -> Self:
        """Read a probe. Its backbone is loaded on the first prediction, and refused if its weights are others.

        Parameters
        ----------
        folder : path
        backbone, preprocessing
            Where the backbone is to be had now, and how images become its input; needed for a module and for a callable
            of your own.
        **options
            Other parameters to set, such as `device`.

        Raises
        ------
        ProbeFormatError
        """
        return loaded(cls, Path(folder), backbone, preprocessing, options)

    @contextmanager
    def _rows(self, networks: Networks, images: Images, plan: features.Plan) -> Iterator[features.FeatureStore]:
        """The rows, from the cache or into it, or where they do no harm."""
        options = {"dtype": self.dtype, "strict": self.strict, **self._options()}
        cache = self._cache()
        with nullcontext(cache) if cache is not None else place_for(plan.bytes(len(images))) as place:
            yield networks.extract(images, plan, place, **options)

    def _search(self, readable: Readable, plan: features.Plan, body_bytes: int) -> FeatureProbe:
        most = most_features(self.head_size, body_bytes, len(np.unique(readable.labels)))
        probe = self._feature_probe(columns_of(plan), most)
        return probe.fit(
            readable.rows,
            readable.labels,
            sample_weight=readable.weight,
            unlabelled=readable.unlabelled,
            groups=readable.groups,
        )

    def _keep(self, probe: FeatureProbe, plan: features.Plan, networks: Networks, dtype: str) -> Self:
        """Cut plan and heads down to the blocks that a head reads."""
        columns = np.union1d(probe.head_.indices.numpy(), probe.linear_head_.indices.numpy())
        kept, places = plan.restrict(columns)
        head, linear = (moved(head, columns, places) for head in (probe.head_, probe.linear_head_))
        found = replace(probe.result_, head=head, linear=linear)
        self.assume(found, probe.classes_, kept, networks.described(), dtype)
        self._networks = networks
        return self
