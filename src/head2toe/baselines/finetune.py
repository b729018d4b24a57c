"""Fine-tuning, and training from scratch, of a whole backbone."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from head2toe import backbones
from head2toe.backbones import Preprocessing
from head2toe.baselines.training import Schedule, train
from head2toe.errors import ClassTooSmallError, DataFormatError, OneClassError, ParameterError, PreprocessingError
from head2toe.features import Images, as_images

Progress = Callable[[int, int, str], None]
HELD_OUT = 0.2  # of the training images, to choose the learning rate


class FineTuned(ClassifierMixin, BaseEstimator):
    """A backbone trained as a whole on the task, from its pretrained weights or from scratch.

    The learning rate is the one with the best accuracy on a stratified fifth of the training images (ties: the lower
    loss there); the network is then trained again on all of them. SGD with momentum 0.9, cosine decay to 0, no
    augmentation, as in the paper's comparison.

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
    random_state : int
        Seeds the new weights, the held-out part and the order of the images.
    preprocessing : optional
        As for `head2toe.backbones.load`.
    progress : callable(done, total, text), optional
        Told after every step.

    Attributes
    ----------
    classes_ : array (c,)
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
        random_state: int = 0,
        preprocessing: Any = None,
        progress: Progress | None = None,
    ) -> None:
        self.backbone = backbone
        self.pretrained = pretrained
        self.image_size = image_size
        self.steps = steps
        self.learning_rates = learning_rates
        self.batch_size = batch_size
        self.random_state = random_state
        self.preprocessing = preprocessing
        self.progress = progress

    def fit(self, images: Any, labels: Any) -> FineTuned:
        """Choose the learning rate, then train on all images.

        Parameters
        ----------
        images : n images in any form that `head2toe.features.as_images` takes
        labels : sequence (n,) of str or int

        Raises
        ------
        ParameterError, DataFormatError, OneClassError, ClassTooSmallError, PreprocessingError
        """
        start = time.perf_counter()
        self._check()
        self.classes_: np.ndarray
        self.classes_, numbers = np.unique(np.asarray(labels), return_inverse=True)
        if len(self.classes_) < 2:
            raise OneClassError(f"all {len(numbers)} labels are the same: training needs two classes")
        pictures = as_images(images)
        if len(pictures) != len(numbers):
            raise DataFormatError(f"{len(pictures)} images but {len(numbers)} labels: give one label an image")
        network = self._network(len(self.classes_))
        x, y = self._pixels(pictures), torch.from_numpy(numbers)

        self._seen = 0  # images, over all training runs, repeats counted
        self.search_table_ = self._search(network, x, y) if len(self.learning_rates) > 1 else []
        self.learning_rate_ = _best(self.search_table_) if self.search_table_ else float(min(self.learning_rates))
        self.network_ = self._trained(network, x, y, self.learning_rate_, run=len(self.search_table_))

        self.flops_ = 3 * self._seen * self._forward_flops(x[:1])
        self.stored_bytes_ = sum(t.numel() * t.element_size() for t in self.network_.state_dict().values())
        self.seconds_ = time.perf_counter() - start
        return self

    def predict_proba(self, images: Any) -> np.ndarray:
        """Probabilities, float32 (n, c), in the order of `classes_`."""
        return self._logits(self.network_, self._pixels(as_images(images))).softmax(1).numpy()

    def predict(self, images: Any) -> np.ndarray:
        """The most probable class of each image, (n,)."""
        return self.classes_[self.predict_proba(images).argmax(1)]

    def _check(self) -> None:
        if self.steps < 1 or self.batch_size < 2:
            raise ParameterError(f"steps = {self.steps}, batch_size = {self.batch_size}: use at least 1 and 2")
        if not self.learning_rates or min(self.learning_rates) <= 0:
            raise ParameterError(f"learning_rates = {self.learning_rates}: give one or more numbers above 0")

    def _network(self, c: int) -> nn.Module:
        """The untrained network with a new head for c classes; sets `preprocessing_`."""
        backbone = backbones.load(self.backbone, preprocessing=self.preprocessing)
        if backbone.classifier is None:
            raise ParameterError(f"{backbone.spec} has no classifier to replace: use a backbone with one")
        self.preprocessing_ = backbone.preprocessing
        if self.image_size is not None:
            if not isinstance(self.preprocessing_, Preprocessing):
                raise PreprocessingError(
                    "image_size goes with a backbone's own preprocessing: resize in your transform"
                )
            self.preprocessing_ = self.preprocessing_.with_size(self.image_size)
        network = copy.deepcopy(backbone.module).requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            if not self.pretrained:
                draw_weights_anew(network)
            replace_head(network, backbone.classifier, c)
        return network

    def _search(self, network: nn.Module, x: Tensor, y: Tensor) -> list[dict[str, float]]:
        """Held-out accuracy and loss of each learning rate."""
        counts = torch.bincount(y)
        if counts.min() < 2:
            small = self.classes_[int(counts.argmin())]
            raise ClassTooSmallError(f"class {small!r} has one image: a learning rate cannot be chosen, give only one")
        share = max(HELD_OUT, len(counts) / len(y))
        split = StratifiedShuffleSplit(1, test_size=share, random_state=self.random_state)
        train_part, held_out = next(split.split(np.zeros(len(y)), y.numpy()))
        table = []
        for run, rate in enumerate(self.learning_rates):
            trained = self._trained(network, x[train_part], y[train_part], rate, run)
            logits = self._logits(trained, x[held_out])
            loss = cross_entropy(logits, y[held_out]).item()
            accuracy = (logits.argmax(1) == y[held_out]).float().mean().item()
            if not math.isfinite(loss):  # diverged: what argmax makes of NaN is no prediction
                loss, accuracy = math.inf, 0.0
            table.append({"learning_rate": float(rate), "accuracy": accuracy, "loss": loss})
        return table

    def _trained(self, network: nn.Module, x: Tensor, y: Tensor, rate: float, run: int) -> nn.Module:
        """A trained copy of `network`."""
        runs = len(self.learning_rates) + 1 if len(self.learning_rates) > 1 else 1
        text = "fine-tuning" if self.pretrained else "training from scratch"

        def told(step: int) -> None:
            if self.progress is not None:
                self.progress(run * self.steps + step, runs * self.steps, text)

        size = min(self.batch_size, len(x))
        self._seen += self.steps * size
        schedule = Schedule(steps=self.steps, learning_rate=rate, batch_size=size, seed=self.random_state)
        return train(copy.deepcopy(network), x, y, self._batch, schedule, told)

    def _pixels(self, images: Images) -> Tensor:
        """All images after resizing, (n, ...): uint8 for a checkpoint's own preprocessing."""
        rows = [_tensor(self.preprocessing_.image(images[i])) for i in range(len(images))]
        return torch.stack(rows)

    def _batch(self, pixels: Tensor) -> Tensor:
        if isinstance(self.preprocessing_, Preprocessing):
            return self.preprocessing_.batch(list(pixels.numpy()))
        return self.preprocessing_.batch(list(pixels))

    @torch.inference_mode()
    def _logits(self, network: nn.Module, x: Tensor) -> Tensor:
        network.eval()
        return torch.cat([network(self._batch(part)) for part in x.split(128)])

    def _forward_flops(self, one: Tensor) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.network_.eval()(self._batch(one))
        return counter.get_total_flops()


def _tensor(pixels: Any) -> Tensor:
    return pixels if isinstance(pixels, Tensor) else torch.from_numpy(np.array(pixels))  # a copy: Pillow's is read-only


def _best(table: list[dict[str, float]]) -> float:
    return max(table, key=lambda row: (row["accuracy"], -row["loss"]))["learning_rate"]


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
    for module in network.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    if callable(initialise := getattr(network, "init_weights", None)):
        initialise()
    kept = [name for name, p in network.named_parameters() if torch.equal(p, before[name]) and p.unique().numel() > 1]
    if kept:
        raise ParameterError(f"cannot train from scratch: {kept[0]} has no initialisation of its own")
