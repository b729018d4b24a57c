"""Fine-tuning as an affine map of the frozen network's activations (section 2 of the paper).

Fine-tuning moves the weights by a small dw, so that to first order ``F(x; w + dw) = F(x; w) + dF/dw dw``. For a layer
``z = W h`` this adds ``dF/dz dW h``: were dF/dz the same for all images, an affine map of the activations h of all
layers, which is what a linear probe on all layers can learn. Measured here: how well the first-order network, and
affine maps of all layers' pooled features and of the last layer's, follow the logits of the fine-tuned network on
images that none has seen; for two learning rates. Batch normalisation keeps its statistics: they are no weights, and as
they drift the output moves though dw be 0.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from head2toe import backbones
from head2toe.backbones import Preprocessing
from head2toe.baselines import FineTuned
from head2toe.benchmark.experiments import style
from head2toe.benchmark.experiments.experiment import Experiment, Rows, mean, values, where
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.networks import check_images, check_network, trained
from head2toe.benchmark.experiments.settings import Settings
from head2toe.benchmark.experiments.task_study import TaskStudy, study_of
from head2toe.data import Images
from head2toe.errors import TooFewImagesError
from head2toe.probes.columns import LINEAR_VIEW
from head2toe.probes.heads import head_from_dual
from head2toe.probes.kernels import centre
from head2toe.probes.least_squares import KernelRidge
from head2toe.probes.settings import RIDGE_STRENGTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE_TUNED = "fine-tuned network"
FROZEN = "its head on frozen weights"
FIRST_ORDER = "first-order network"
ALL_LAYERS = "affine map of all layers"
LAST_LAYER = "affine map of the last layer"
PIECE = 64  # images at once


def rates(settings: Settings) -> tuple[float, float]:
    """The learning rates that networks are fine-tuned with: a hundredth and a tenth of the settings' own.

    With statistics that stay, its own would tear the network apart.
    """
    return settings.learning_rate / 100, settings.learning_rate / 10


def measure(laboratory: Laboratory) -> Rows:
    """Agreement of each model's logits with those of the fine-tuned network, on the test images."""
    small = laboratory.at_training_size()
    check_network(small, pretrained=True)
    _check_test_images(laboratory)
    check_images(laboratory)
    pairs = [(task, rate) for task in laboratory.tasks for rate in rates(laboratory.settings)]
    return [row for task, rate in pairs for row in _of_task(small, laboratory, task, rate)]


def _check_test_images(laboratory: Laboratory) -> None:
    """Refuse, before anything is trained, a task on whose test images no logit can vary."""
    for task in laboratory.tasks:
        if len(task.test) < 2:
            raise TooFewImagesError(
                f"{task.name}: {len(task.test)} test image, and the variance of logits over images needs 2: add some"
            )


def _of_task(small: Laboratory, laboratory: Laboratory, task: Any, rate: float) -> Rows:
    network = trained(laboratory, task, pretrained=True, learning_rate=rate, keep_statistics=True)
    models = Linearised(network, small.specs[small.backbone])
    study = study_of(small, task)
    wanted, first, frozen = models.logits(task.test.images)
    on_train, _, _ = models.logits(task.train.images)
    found = {FINE_TUNED: wanted, FIRST_ORDER: first}
    for name, view in ((ALL_LAYERS, small.settings.view), (LAST_LAYER, LINEAR_VIEW)):
        found[name] = affine_fit(study, view, torch.from_numpy(on_train))
    found[FROZEN] = frozen
    labels = np.array(task.test.known_labels())
    return [
        {
            "task": task.name,
            "backbone": small.backbone,
            "image_size": small.settings.side,
            "learning_rate": rate,
            "model": name,
            "r2": r2(logits, wanted),
            "agreement": 100 * float((logits.argmax(1) == wanted.argmax(1)).mean()),
            "accuracy": 100 * float((network.classes_[logits.argmax(1)] == labels).mean()),
        }
        for name, logits in found.items()
    ]


def r2(logits: np.ndarray, wanted: np.ndarray) -> float:
    """Explained share of the variance over images of logits that are centred over the classes, as softmax does.

    Where those wanted do not vary, 1 for the same logits and 0 for others.
    """
    a, b = (z - z.mean(axis=1, keepdims=True) for z in (logits, wanted))
    if not np.ptp(b, axis=0).any():  # what rounding leaves of their variance would be divided by
        return float(np.array_equal(a, b))
    return float(1 - np.square(a - b).sum() / np.square(b - b.mean(axis=0)).sum())


def affine_fit(study: TaskStudy, view: str, logits: torch.Tensor) -> np.ndarray:
    """Logits of the test images by a ridge regression of training logits on a view's features, float32 (m, c)."""
    everything, weight = study.everything, torch.ones(len(study.everything), dtype=torch.float64)
    kernel = centre(study.view_gram(view), everything, everything[:0], weight)
    ridge = KernelRidge(kernel.train, logits.double(), weight)
    solution = ridge.solve(ridge.best_strength(RIDGE_STRENGTHS))  # nothing is selected: leaving one out is honest
    head = head_from_dual(study.z, study.columns.indices(view), solution, everything, weight, kernel.unit)
    return head.logits(torch.from_numpy(study.rows.test[:, study.columns.indices(view)])).numpy()


class Linearised:
    """A fine-tuned network, and the first-order one around the weights that it started from, under the same head.

    They differ in weights alone: normalisation statistics must have been kept.

    Parameters
    ----------
    network : FineTuned
        Fitted.
    spec : str
        The backbone that it started from.
    """

    def __init__(self, network: FineTuned, spec: str) -> None:
        start = backbones.load(spec, image_size=network.image_size)
        assert start.classifier is not None, "FineTuned has replaced it"
        assert isinstance(network.preprocessing_, Preprocessing), "it has an image size"
        self.preprocessing = network.preprocessing_
        self.end = copy.deepcopy(network.network_).cpu().eval()
        self.start = copy.deepcopy(start.module).eval()
        parent, _, leaf = start.classifier.rpartition(".")
        setattr(self.start.get_submodule(parent), leaf, copy.deepcopy(self.end.get_submodule(start.classifier)))
        self.w = {name: p.detach() for name, p in self.start.named_parameters()}
        self.dw = {name: p.detach() - self.w[name] for name, p in self.end.named_parameters()}

    def logits(self, images: Images) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits float32 (n, c) of the fine-tuned, the first-order and the first network."""
        parts = []
        for start in range(0, len(images), PIECE):
            pixels = [self.preprocessing.image(images[i]) for i in range(start, min(start + PIECE, len(images)))]
            parts.append(self._piece(self.preprocessing.batch(pixels)))
        end, first, frozen = (torch.cat(list(part)).numpy() for part in zip(*parts, strict=True))
        return end, first, frozen

    @torch.no_grad()
    def _piece(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with sdpa_kernel(SDPBackend.MATH):  # the others have no forward derivative
            value, change = jvp(lambda w: functional_call(self.start, w, (x,)), (self.w,), (self.dw,))[:2]
        return self.end(x), value + change, value


def draw(rows: Rows) -> Figure:
    """Explained variance, agreement and accuracy, bars in groups."""
    tasks, models, steps = (values(rows, column) for column in ("task", "model", "learning_rate"))
    cases = [(task, rate) for task in tasks for rate in steps]
    names = [f"{task}, {rate:g}" for task, rate in cases]
    figure, panels = style.axes(13, 4.2, 3)
    panel = (("r2", "explained variance of the logits (below 0: as 0)"), ("agreement", "same class as fine-tuned (%)"))
    for ax, (column, label) in zip(panels, (*panel, ("accuracy", style.ACCURACY)), strict=True):
        shown = [model for model in models if column == "accuracy" or model != FINE_TUNED]
        heights = {
            m: [max(0.0, where(rows, task=t, learning_rate=s, model=m)[0][column]) for t, s in cases] for m in shown
        }
        style.grouped_bars(ax, names, heights, {}, colours={m: style.COLOURS[models.index(m)] for m in models})
        ax.set_xlabel("task, learning rate")
        ax.set_ylabel(label)
    panels[0].set_ylim(0, 1)
    panels[1].set_ylim(0, 100)
    style.legend_beside(panels[-1])
    return figure


def findings(rows: Rows) -> list[str]:
    """Give the means of each model, at each learning rate."""
    return [
        f"Learning rate {rate:g}, {model}: explained variance {_share(mean(found, 'r2'))}, same class as the "
        f"fine-tuned network {mean(found, 'agreement'):.1f} %, test accuracy {mean(found):.1f} %."
        for rate in values(rows, "learning_rate")
        for model in values(rows, "model")
        for found in [where(rows, learning_rate=rate, model=model)]
    ]


def _share(value: float) -> str:
    return f"{value:.2f}" if value > -1 else "far below 0"


EXPERIMENT = Experiment(
    name="affine",
    title="Affine approximation of fine-tuning",
    columns=("task", "backbone", "image_size", "learning_rate", "model", "r2", "agreement", "accuracy"),
    paper="To first order fine-tuning adds an affine map of the activations of all layers to the logits (section 2), "
    "which motivates a linear head on all layers.",
    differs="The paper argues with the formula; here the pieces are measured on a fine-tuned network. Features are "
    "pooled, and the weights of the affine maps are fitted to the fine-tuned logits of the training images. Batch "
    "normalisation keeps its statistics, so that only weights move. Where the learning rate is so large that "
    "the weights leave the neighbourhood in which the first-order network approximates, its explained variance may be "
    "below 0, which is worse than the mean of the logits. Its head on frozen weights is the fine-tuned head on the "
    "rows of the network before.",
    measure=measure,
    draw=draw,
    findings=findings,
)
