"""Fine-tuning, and training from scratch, of a whole backbone."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils.validation import check_is_fitted
from torch import nn

from head2toe import backbones
from head2toe.backbones import Backbone
from head2toe.backbones.backbone import state_bytes
from head2toe.baselines.training import Schedule, device_of
from head2toe.baselines.tuning import Pixels, logits_of, tune
from head2toe.checks import is_number, require_whole
from head2toe.data import as_images
from head2toe.errors import ClassTooSmallError, DataFormatError, OneClassError, ParameterError
from head2toe.estimators.labels import labels_of
from head2toe.estimators.target import Target
from head2toe.features.device import find_device
from head2toe.features.flops import counter
from head2toe.plain_torch import plain_torch
from head2toe.progress import Progress

HELD_OUT = 0.2  # of the training images, to choose the learning rate


class FineTuned(ClassifierMixin, BaseEstimator):
    """A backbone trained as a whole on the task, from its pretrained weights or from scratch.

    The learning rate is the one with the best accuracy on a stratified fifth of the training images (ties: the lower
    loss there); the network is then trained again on all of them, where that diverges with the next best. SGD with
    Nesterov momentum 0.9, cosine decay to 0, and, unless asked for, no augmentation, as in the paper's comparison.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        As for `head2toe.backbones.load`.
    pretrained : bool
        False: all weights are drawn anew before training.
    image_size : int, optional
        Height and width in pixels; the backbone's own if not given.
    steps : int
        Gradient steps of one training run.
    learning_rates : tuple of float
        Those to choose from. With one, nothing is held out.
    batch_size : int
    keep_statistics : bool
        Batch normalisation keeps the pretrained network's statistics, so that weights are all that changes.
    augment : bool
        Random crops and mirror images of the training images; where left and right or a place tell the class, they
        do harm.
    random_state : int
        Seeds the new weights, the held-out part, the order of the images and what is random in augmentation.
    preprocessing : optional
        As for `head2toe.backbones.load`.
    device : str
        "auto", "cpu", "cuda", "mps", ...; on CUDA products are in bfloat16.
    progress : callable(done, total, text), optional
        Told after every step.

    Attributes
    ----------
    classes_ : array (c,)
    network_ : torch.nn.Module
        Trained, in eval mode.
    preprocessing_ : Preprocessing
        How images become its input.
    learning_rate_ : float
    search_table_ : list of dict
        ``learning_rate``, ``accuracy`` and ``loss`` on the held-out part, for each learning rate.
    seconds_ : float
        Wall-clock time of `fit`, the choice of the learning rate included.
    stored_bytes_ : int
        Bytes of the trained network: all of it must be kept for each task.
    flops_ : int
        Floating-point operations of training: 3 x forward x images seen (backward counts twice), a multiply-add as 2.
    """

    def __init__(
        self,
        backbone: str | nn.Module = "embedded",
        *,
        pretrained: bool = True,
        image_size: int | None = None,
        steps: int = 200,
        learning_rates: tuple[float, ...] = (0.1, 0.01),
        batch_size: int = 32,
        keep_statistics: bool = False,
        augment: bool = False,
        random_state: int = 0,
        preprocessing: Any = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> None:
        self.backbone = backbone
        self.pretrained = pretrained
        self.image_size = image_size
        self.steps = steps
        self.learning_rates = learning_rates
        self.batch_size = batch_size
        self.keep_statistics = keep_statistics
        self.augment = augment
        self.random_state = random_state
        self.preprocessing = preprocessing
        self.device = device
        self.progress = progress

    @plain_torch()
    def fit(self, images: Any, labels: Any = None, *, split: tuple[np.ndarray, np.ndarray] | None = None) -> FineTuned:
        """Choose the learning rate, then train on all images.

        Parameters
        ----------
        images : n images in any form that `head2toe.data.as_images` takes
        labels : sequence (n,) of str, int or bool, optional
            Not needed where the images bring their own.
        split : two int64 arrays, optional
            Numbers of the images to train on and of those held out, where the learning rate is chosen; a stratified
            fifth is held out by default.

        Raises
        ------
        ParameterError, DataFormatError, MissingLabelError, OneClassError, ClassTooSmallError, PreprocessingError
        """
        start = time.perf_counter()
        self._check()
        target = Target.of(labels_of(images, labels))
        self.classes_, numbers = target.classes, target.y
        if len(self.classes_) < 2:
            raise OneClassError(f"all {len(numbers)} labels are the same: training needs two classes")
        pictures = as_images(images)
        if len(pictures) != len(numbers):
            raise DataFormatError(f"{len(pictures)} images but {len(numbers)} labels: give one label an image")
        device, network = find_device(self.device), self.untrained(len(self.classes_))
        pixels, split = Pixels.of(pictures, self.preprocessing_), split or self._split(numbers)
        schedule = Schedule(
            steps=self.steps,
            learning_rate=0.0,  # `tune` sets it
            batch_size=self.batch_size,
            seed=self.random_state,
            keep_statistics=self.keep_statistics,
            augment=self.augment,
        )

        def fresh(_: Any) -> nn.Module:
            return copy.deepcopy(network)

        y = torch.from_numpy(numbers)
        tuned = tune(fresh, pixels, y, split, schedule, self.learning_rates, self._report, device=device)
        self.network_, self.learning_rate_, self.search_table_ = tuned.network, tuned.learning_rate, tuned.table

        parts = [len(split[0])] * len(tuned.table) + [len(numbers)] * tuned.final_runs
        seen = self.steps * sum(min(self.batch_size, count) for count in parts)  # repeats counted
        self.flops_ = 3 * seen * self._forward_flops(pixels)
        self.stored_bytes_ = state_bytes(self.network_)
        self.seconds_ = time.perf_counter() - start
        return self

    @plain_torch()
    def predict_proba(self, images: Any) -> np.ndarray:
        """Probabilities, float32 (n, c), in the order of `classes_`."""
        check_is_fitted(self, "network_")
        pictures = as_images(images)
        if not len(pictures):
            return np.empty((0, len(self.classes_)), np.float32)
        pixels = Pixels.of(pictures, self.preprocessing_)
        return logits_of(self.network_, pixels, pixels.x).softmax(1).numpy()

    def predict(self, images: Any) -> np.ndarray:
        """The most probable class of each image, (n,)."""
        numbers = self.predict_proba(images).argmax(1)  # first: it tells where nothing is fitted
        return self.classes_[numbers]

    def _check(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 2), ("random_state", 0)):
            require_whole(name, getattr(self, name), least)
        rates = tuple(self.learning_rates) if isinstance(self.learning_rates, Iterable) else ()
        if not rates or not all(is_number(rate) and 0 < rate < np.inf for rate in rates):
            raise ParameterError(f"learning_rates is {self.learning_rates!r}: give one or more numbers above 0")
        if self.keep_statistics and not self.pretrained:
            raise ParameterError("keep_statistics without pretrained weights: there are no statistics to keep")

    def untrained(self, c: int) -> nn.Module:
        """The untrained network with a new head for c classes; sets `preprocessing_`."""
        backbone = backbones.load(self.backbone, preprocessing=self.preprocessing, image_size=self.image_size)
        network = new_network(backbone, c, pretrained=self.pretrained, seed=self.random_state)
        self.preprocessing_ = backbone.preprocessing
        return network

    def _split(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the images that learning rates are trained and judged on; a class of one image is trained on."""
        everything, counts = np.arange(len(y)), np.bincount(y)
        if len(self.learning_rates) == 1:
            return everything, everything[:0]
        several, alone = everything[counts[y] > 1], everything[counts[y] == 1]
        classes = int((counts > 1).sum())
        if classes < 2:
            raise ClassTooSmallError("fewer than two classes have two images: no learning rate can be chosen, give one")
        share = max(HELD_OUT, classes / len(several))
        split = StratifiedShuffleSplit(1, test_size=share, random_state=self.random_state)
        train, held_out = (several[part] for part in next(split.split(several, y[several])))
        return np.concatenate([train, alone]), held_out

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total, "fine-tuning" if self.pretrained else "training from scratch")

    def _forward_flops(self, pixels: Pixels) -> int:
        one = pixels.batch(pixels.x[:1]).to(device_of(self.network_))
        with counter() as counting, torch.no_grad():
            self.network_.eval()(one)
        return counting.get_total_flops()


def new_network(backbone: Backbone, c: int, *, pretrained: bool = True, seed: int = 0) -> nn.Module:
    """A copy of the backbone with a new head for c classes, and unless `pretrained` with weights drawn anew.

    Raises
    ------
    ParameterError
        It has no linear classifier, or a weight that cannot be drawn anew.
    """
    if backbone.classifier is None:
        raise ParameterError(f"{backbone.spec} has no classifier to replace: use a backbone with one")
    network = copy.deepcopy(backbone.module).requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not pretrained:
            draw_weights_anew(network)
        replace_head(network, backbone.classifier, c)
    return network


def replace_head(network: nn.Module, name: str, c: int) -> None:
    """Put a new linear layer for c classes, with zero weights, in the place of the classifier."""
    old = network.get_submodule(name)
    if not isinstance(old, nn.Linear):
        raise ParameterError(f"the classifier {name} is a {type(old).__name__}, not linear: use another backbone")
    new = nn.Linear(old.in_features, c)
    nn.init.zeros_(new.weight)
    nn.init.zeros_(new.bias)
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new)


def draw_weights_anew(network: nn.Module) -> None:
    """Draw all weights anew, each module by its own initialisation.

    Raises
    ------
    ParameterError
        A parameter kept its value, so that training would not be from scratch.
    """
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    kept: list[str] = []
    for _ in range(2):  # once more where that gave what was there: a network of random weights may be of the same seed
        for module in network.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        if callable(initialise := getattr(network, "init_weights", None)):
            initialise()
        same = [name for name, one in network.named_parameters() if torch.equal(one, before[name])]
        kept = [name for name in same if before[name].unique().numel() > 1]
        if not kept:
            return
    raise ParameterError(f"cannot train from scratch: {kept[0]} has no initialisation of its own")
