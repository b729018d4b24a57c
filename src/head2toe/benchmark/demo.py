"""The demo: four ways to use one small backbone on three tasks, none of which needs a download."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from head2toe import Head2ToeClassifier, __version__, backbones, features
from head2toe.backbones import Backbone, Preprocessing
from head2toe.baselines import FineTuned
from head2toe.benchmark.embedded_tasks import TASKS, EmbeddedTask, embedded_task
from head2toe.benchmark.standard_error import standard_error
from head2toe.errors import one_line
from head2toe.estimators.frozen import columns_of
from head2toe.probes import LinearHead, deviates, plain_view
from head2toe.progress import Progress, silent

IMAGE_SIZE = 64  # pixels: what lets two cores fine-tune a whole network in a minute; the same for all methods
N_TRAIN, N_TEST = 300, 500
STEPS = 40
REPORT = "report.html"
# Chosen once, on held-out fifths of the training images of the three tasks: tuning for each task would
# treble the demo's longest part.
LEARNING_RATES = {"Fine-tuning": 0.05, "From scratch": 0.03}
METHODS = ("Linear probe", "Head2Toe", "Fine-tuning", "From scratch")
LEAD = (
    "One ImageNet backbone (EfficientNet-Lite0), four ways to use it. The linear probe and Head2Toe leave it frozen; "
    "fine-tuning and training from scratch change all of its weights, and store all of them for each task."
)


def run_demo(
    out: str | os.PathLike[str] = "demo",
    progress: Progress | None = None,
    *,
    tasks: tuple[str, ...] = TASKS,
    n_train: int = N_TRAIN,
    n_test: int = N_TEST,
    image_size: int = IMAGE_SIZE,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Compare linear probe, Head2Toe, fine-tuning and training from scratch, and write a report.

    Parameters
    ----------
    out : path
        Folder for ``report.html``; made if it is not there.
    progress : callable(done, total, text), optional
        Told before each piece of work, and once at the end.
    tasks : tuple of str
        Names of embedded tasks.
    n_train, n_test : int
        Images of each task.
    image_size : int
        Pixels, the same for every method.
    steps : int
        Gradient steps of fine-tuning and of training from scratch.

    Returns
    -------
    dict
        ``table`` (list of dict: task, method, accuracy, standard_error, seconds, stored_bytes, flops),
        ``report`` (path of the HTML file) and ``seconds``; JSON can hold it. Where the file cannot be written after
        all, ``report`` is None, and ``problem`` says why: what was measured is not lost with it.

    Raises
    ------
    ParameterError
        Unknown task, or more images than a task has.
    """
    from head2toe.report import write_report

    start = time.perf_counter()
    work = _Steps(len(tasks) * len(METHODS), progress or silent)
    backbone = backbones.load("embedded")
    preprocessing = cast("Preprocessing", backbone.preprocessing).with_size(image_size)
    pages = []
    for name in tasks:
        task = embedded_task(name, n_train=n_train, n_test=n_test)
        pages.append(_page(task, preprocessing, steps, work))
    facts = _facts(backbone, preprocessing, steps)
    title = "Head2Toe beside what one would do instead"
    report = Path(out) / REPORT
    try:
        written = {"report": str(write_report(report, title=title, lead=LEAD, tasks=pages, facts=facts))}
    except OSError as error:
        written = {"report": None, "problem": f"{report} cannot be written: {error.strerror or one_line(error)}"}
    work.done()
    table = [{"task": page["name"], **result} for page in pages for result in page["results"]]
    return {"table": table, **written, "seconds": time.perf_counter() - start}


class _Steps:
    """Counts pieces of work for the progress callback."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.total, self.progress, self.number = total, progress, 0

    def next(self, text: str) -> None:
        self.progress(self.number, self.total, text)
        self.number += 1

    def done(self) -> None:
        self.progress(self.total, self.total, "done")


def _page(task: EmbeddedTask, preprocessing: Preprocessing, steps: int, work: _Steps) -> dict[str, Any]:
    """All methods on one task, as a page of the report."""
    work.next(f"{task.name}: linear probe")
    linear = _measured_linear(task, preprocessing)
    work.next(f"{task.name}: Head2Toe")
    probe, head2toe = _measured_head2toe(task, preprocessing)
    work.next(f"{task.name}: fine-tuning")
    finetuned = _measured_network(task, preprocessing, steps, "Fine-tuning", pretrained=True)
    work.next(f"{task.name}: from scratch")
    scratch = _measured_network(task, preprocessing, steps, "From scratch", pretrained=False)
    return {
        "name": task.name,
        "title": task.title,
        "source": task.source,
        "splits": _splits(task),
        "samples": list(task.train_images[:12]),
        "results": [linear, head2toe, finetuned, scratch],
        "search": _search(probe),
        "kept": kept_features(probe, preprocessing),
    }


def _measured_linear(task: EmbeddedTask, preprocessing: Preprocessing) -> dict[str, Any]:
    probe, seconds = _timed_fit(_linear_probe(preprocessing), task)
    costs = (seconds, _bytes(probe.probe_.linear_head_), _frozen_flops(probe, task))
    return _result("Linear probe", probe.linear_predict(task.test_images), task, *costs)


def _measured_head2toe(task: EmbeddedTask, preprocessing: Preprocessing) -> tuple[Head2ToeClassifier, dict[str, Any]]:
    probe, seconds = _timed_fit(_classifier(preprocessing), task)
    costs = (seconds, _bytes(probe.probe_.head_), _frozen_flops(probe, task))
    return probe, {**_result("Head2Toe", probe.predict(task.test_images), task, *costs), "lead": True}


def _measured_network(
    task: EmbeddedTask, preprocessing: Preprocessing, steps: int, method: str, *, pretrained: bool
) -> dict[str, Any]:
    rates = (LEARNING_RATES[method],)
    network = FineTuned(preprocessing=preprocessing, pretrained=pretrained, steps=steps, learning_rates=rates)
    network.fit(task.train_images, task.train_labels)
    costs = (network.seconds_, network.stored_bytes_, network.flops_)
    return _result(method, network.predict(task.test_images), task, *costs)


def _frozen_flops(probe: Head2ToeClassifier, task: EmbeddedTask) -> int:
    """A frozen network sees each training image once, forward; what is computed on the rows is not counted."""
    assert probe.flops_ is not None, "it was fitted on images"
    return len(task.train_images) * probe.flops_


def _classifier(preprocessing: Preprocessing, **parameters: Any) -> Head2ToeClassifier:
    return Head2ToeClassifier("embedded", preprocessing=preprocessing, cache=False, **parameters)


def _linear_probe(preprocessing: Preprocessing) -> Head2ToeClassifier:
    """A classifier that sees the penultimate features alone, so that its training time is a linear probe's."""
    backbone = backbones.load("embedded", preprocessing=preprocessing)
    penultimate = next(layer.name for layer in features.layers(backbone) if layer.penultimate)
    alone: dict[str, Any] = {"target_sizes": (1,), "statistics": (), "fractions": (1.0,), "layer_weights": "equal"}
    return _classifier(preprocessing, layers=penultimate, **alone)


def _timed_fit(classifier: Head2ToeClassifier, task: EmbeddedTask) -> tuple[Head2ToeClassifier, float]:
    start = time.perf_counter()
    classifier.fit(task.train_images, task.train_labels)
    return classifier, time.perf_counter() - start


def _bytes(head: LinearHead) -> int:
    """Bytes of what must be kept for a task besides the backbone, which all tasks share."""
    return sum(tensor.nbytes for tensor in head.tensors().values())


def _result(
    method: str, predicted: np.ndarray, task: EmbeddedTask, seconds: float, stored: int, flops: int
) -> dict[str, Any]:
    accuracy = float(np.mean(predicted == task.test_labels))
    return {
        "method": method,
        "accuracy": accuracy,
        "standard_error": standard_error(accuracy, len(predicted)),
        "seconds": seconds,
        "stored_bytes": stored,
        "flops": flops,
        "lead": False,
    }


def _splits(task: EmbeddedTask) -> dict[str, str]:
    classes = np.unique(task.train_labels)
    counts = np.bincount(task.train_labels)[classes]
    return {
        "Training": f"{len(task.train_labels)} images, {counts.min()} to {counts.max()} a class",
        "Test": f"{len(task.test_labels)} images, none of them among the training images",
        "Classes": str(len(classes)),
        "Drawn with": "random_state 0; every choice of a hyper-parameter uses training images alone",
    }


def _search(probe: Head2ToeClassifier) -> dict[str, Any]:
    return {
        "cv_accuracy": probe.cv_accuracy_,
        "linear_cv_accuracy": probe.linear_cv_accuracy_,
        "choice": probe.choice_,
        "table": probe.search_table_,
    }


def kept_features(probe: Head2ToeClassifier, preprocessing: Preprocessing) -> list[dict[str, Any]]:
    """Kept features of each layer of the chosen views, in order of execution: dicts of layer, kept and total."""
    backbone = backbones.load("embedded", preprocessing=preprocessing)
    plan = features.Plan.build(features.layers(backbone), probe.target_sizes, statistics=probe.statistics)
    kept: dict[str, int] = {}
    columns = probe.probe_.head_.indices.numpy()
    for block in probe.plan_.blocks:
        count = int(np.count_nonzero((columns >= block.start) & (columns < block.stop)))
        kept[block.layer] = kept.get(block.layer, 0) + count
    totals: dict[str, int] = {}
    views = sorted({row["view"] for row in probe.choice_["averaged"]})
    chosen = columns_of(plan).with_deviations([plain_view(view) for view in views if deviates(view)], plan.d)
    numbers = {number for view in views for number in chosen.views[view]}
    for block in (chosen.blocks[number] for number in sorted(numbers)):
        totals[block.layer] = totals.get(block.layer, 0) + block.stop - block.start
    order = [layer.name for layer in plan.layers if layer.name in totals]
    return [{"layer": name, "kept": kept.get(name, 0), "total": totals[name]} for name in order]


def _facts(backbone: Backbone, preprocessing: Preprocessing, steps: int) -> dict[str, dict[str, Any]]:
    parameters = sum(parameter.numel() for parameter in backbone.module.parameters())
    rates = ", ".join(f"{method.lower()} {rate:g}" for method, rate in LEARNING_RATES.items())
    return {
        "Backbone": {
            "Specification": backbone.spec,
            "Network": "EfficientNet-Lite0, trained on ImageNet",
            "Parameters": f"{parameters:,}",
            "Revision": backbone.revision,
            "SHA-256 of the weights": backbone.weights_sha256,
        },
        "Preprocessing": preprocessing.to_dict(),
        "Fine-tuning and training from scratch": {
            "Optimiser": "SGD with Nesterov momentum 0.9, cosine decay to 0",
            "Steps": f"{steps} of 32 images",
            "Learning rate": f"{rates}; chosen beforehand on held-out training images, one for all tasks",
            "Bound": "So few steps, and no choice of the rate for each task, are what a demo has time for; more of "
            "both helps, at a cost that grows with them.",
        },
        "Stored for a task": {
            "Linear probe, Head2Toe": "indices and units of the kept features, and the head; not the backbone",
            "Fine-tuning, from scratch": "all weights of the network",
        },
        "Versions": {
            "head2toe": __version__,
            "PyTorch": torch.__version__,
            "Python": platform.python_version(),
            "Threads": torch.get_num_threads(),
        },
    }
