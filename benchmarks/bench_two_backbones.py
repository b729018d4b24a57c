"""Two backbones in one probe: resnet50 and vit_tiny_patch16_224 together, beside each alone.

`python -m benchmarks.bench_two_backbones [TASK ...]` runs what is missing (benchmarks/results/two_backbones.json). The
figures of one backbone alone are those of `bench_main_job`. Needs the folder `shared` beside the checkout.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks import records
from benchmarks.bench_main_job import row_of
from benchmarks.shared_data import no_shared_data, read, spec
from benchmarks.tables import show

NAME = "two_backbones"
PAIR = ("resnet50", "vit_tiny_patch16_224")
CHOSEN = ("location", "signdigits", "orientation")


def run_task(task: str) -> dict[str, Any]:
    """Fit on the training images of a task, score once on its test images."""
    from head2toe import Head2ToeClassifier

    train, test = (read(task, split) for split in ("train", "test"))
    start = time.perf_counter()
    probe = Head2ToeClassifier([spec(name) for name in PAIR], cache=False).fit(train)
    seconds = time.perf_counter() - start
    kept = [layer.name for layer in probe.plan_.layers]
    return {
        "head2toe": 100 * probe.score(test),
        "cv": 100 * probe.cv_accuracy_,
        "estimate": 100 * probe.estimated_accuracy_,
        "choice": probe.choice_,
        "kept_layers": {name: sum(layer.startswith(f"{i}/") for layer in kept) for i, name in enumerate(PAIR)},
        "fit_seconds": seconds,
        "n_test": len(test.images),
    }


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    if no_shared_data(NAME):
        return
    shown = [("", *PAIR, "both")]
    for task, row in records.fill(NAME, tasks or CHOSEN, run_task).items():
        alone = [row_of(f"{task}/{name}") for name in PAIR]
        figures = ["-" if one is None else f"{one['head2toe']:.1f}" for one in alone]
        shown.append((task, *figures, f"{row['head2toe']:.1f}"))
    show(shown)


if __name__ == "__main__":
    main(sys.argv[1:])
