"""`head2toe fit`: from labelled images to a saved probe."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from head2toe.cli.options import (
    DataOptions,
    LayerOptions,
    OutputOptions,
    RunningOptions,
    UserPath,
    alone_or_all,
    data_options,
    groups_option,
    layer_options,
    output_options,
    running_options,
    several_backbones_option,
)
from head2toe.cli.output import emit, resuming, skipped_dicts, table, warn_skipped
from head2toe.errors import ParameterError

if TYPE_CHECKING:
    from head2toe import Head2ToeClassifier
    from head2toe.data import LabelledImages

_OF_A_HEAD = "view", "layer_weights", "fraction", "head", "strength"


@click.command()
@data_options
@click.option("--out", required=True, type=UserPath(), metavar="PROBE", help="The folder to write.")
@several_backbones_option
@layer_options
@click.option(
    "--unlabelled",
    type=UserPath(),
    metavar="DATA",
    help="More images, without labels, like those to predict: used where cross-validation says that it helps.",
)
@click.option("--unlabelled-split", metavar="NAME", help="Which split of --unlabelled, where it has several.")
@groups_option
@click.option(
    "--class-weight",
    type=click.Choice(["balanced"]),
    help="Give all classes the same weight, in the accuracies that are told too.",
)
@click.option(
    "--budget", type=float, metavar="SHARE", help="End the network within this share of its FLOPs, above 0, at most 1."
)
@click.option(
    "--head-size",
    type=float,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How large the head may be, as a share of the network's bytes without its classifier; inf: any size.",
)
@click.option(
    "--search-seconds",
    type=float,
    metavar="SECONDS",
    help="Let the search try less, so that it takes about this long; the network's pass is not counted.",
)
@click.option("--cv", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of cross-validation.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the folds.")
@click.option("--overwrite", is_flag=True, help="Replace a probe that is there already.")
@click.option("--no-cache", is_flag=True, help="Keep no features for another run, or for resuming this one.")
@running_options
@output_options
def fit(
    source: DataOptions,
    out: Path,
    specs: tuple[str, ...],
    wanted: LayerOptions,
    unlabelled: Path | None,
    unlabelled_split: str | None,
    groups: str | None,
    class_weight: str | None,
    budget: float | None,
    head_size: float,
    search_seconds: float | None,
    cv: int,
    seed: int,
    overwrite: bool,
    no_cache: bool,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Learn a probe from labelled images, and write it to a folder.

    Target size, features and regularisation are chosen by cross-validation, whose accuracy is printed beside that of a
    linear probe on the last layer.
    """
    from head2toe import Head2ToeClassifier
    from head2toe.artifacts import check_output
    from head2toe.data import check_class_folders

    start = time.perf_counter()
    check_output(out, overwrite=overwrite)
    if wanted.weights is not None and len(specs) > 1:
        raise ParameterError("--weights goes with one --backbone: of several, give weights=[...] in Python")
    classifier = Head2ToeClassifier(
        alone_or_all(specs),
        **wanted.parameters(),
        **running.parameters(),
        budget=budget,
        class_weight=class_weight,
        head_size=None if head_size == math.inf else head_size,
        search_seconds=search_seconds,
        cv=cv,
        random_state=seed,
        cache=not no_cache,
        strict=running.strict,
        verbose=output.progress,
    )
    images = source.read(takes=classifier.takes, groups=groups).with_labels()
    check_class_folders(source.data, images)
    others = _unlabelled(unlabelled, unlabelled_split, classifier.takes)
    with resuming(possible=not no_cache):
        classifier.fit(images, unlabelled=others)
    folder = classifier.save(out, overwrite=overwrite)
    warn_skipped(classifier.skipped_, len(images), classifier.takes)
    warn_skipped(classifier.skipped_unlabelled_, 0 if others is None else len(others), classifier.takes)
    result = _result(classifier, len(images), folder, time.perf_counter() - start)
    emit(result, _text(result, classifier.takes), as_json=output.as_json)


def _unlabelled(data: Path | None, split: str | None, takes: str) -> LabelledImages | None:
    if data is not None:
        return DataOptions(data, split).read(takes=takes)
    if split is not None:
        raise ParameterError("--unlabelled-split goes with --unlabelled")
    return None


def _result(classifier: Head2ToeClassifier, n: int, folder: Path, seconds: float) -> dict[str, Any]:
    from head2toe.artifacts import probe_bytes

    return {
        "probe": str(folder),
        "bytes": probe_bytes(folder),
        "n": n - len(classifier.skipped_),
        "classes": [str(name) for name in classifier.classes_],
        "cv_accuracy": classifier.cv_accuracy_,
        "linear_cv_accuracy": classifier.linear_cv_accuracy_,
        "estimated_accuracy": classifier.estimated_accuracy_,
        "choice": classifier.choice_,
        "backbone": classifier.backbone_,
        "dtype": classifier.dtype_,
        "flops": classifier.flops_,
        "flops_saved": classifier.flops_saved_,
        "cached": classifier.cached_,
        "skipped": skipped_dicts(classifier.skipped_),
        "skipped_unlabelled": skipped_dicts(classifier.skipped_unlabelled_),
        "seconds": seconds,
    }


def _saved(result: dict[str, Any]) -> float:
    return result["flops_saved"] / result["flops"] if result["flops"] else 0.0


def _heads(choice: dict[str, Any]) -> list[tuple[str, str]]:
    """A line a head: alone, or of those that were averaged, with its share."""
    lines = []
    for number, one in enumerate(choice["averaged"], start=1):
        known = [name for name in _OF_A_HEAD if one[name] is not None]
        text = ", ".join(f"{name.replace('_', ' ')} {_short(one[name])}" for name in known)
        text += f", unlabelled {one['unlabelled']}" if one["unlabelled"] else ""
        several = len(choice["averaged"]) > 1
        lines.append((f"head {number}" if several else "head", f"{one['share']:.0%} of {text}" if several else text))
    return [*lines, ("features kept", f"{choice['features']}, cross-validated log loss {choice['cv_log_loss']:.4f}")]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(result: dict[str, Any], takes: str) -> str:
    one = {"images": "an image", "texts": "a text", "recordings": "a recording"}[takes]
    return table(
        [
            ("cross-validated accuracy", f"{result['cv_accuracy']:.4f}"),
            ("the linear probe's", f"{result['linear_cv_accuracy']:.4f}"),
            ("to expect of new images", f"{result['estimated_accuracy']:.4f}"),
            (takes, f"{result['n']}, {len(result['classes'])} classes, {len(result['skipped'])} skipped"),
            ("features", "from the cache" if result["cached"] else f"computed in {result['dtype']}"),
            *_heads(result["choice"]),
            ("network", f"{result['flops'] / 1e9:.2f} GFLOPs {one}, {_saved(result):.0%} saved by stopping early"),
            ("probe", f"{result['probe']}, {result['bytes'] / 1000:,.0f} kB"),
            ("seconds", f"{result['seconds']:.1f}"),
        ]
    )
