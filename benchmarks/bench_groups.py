"""Several crops of each photograph: what the probe expects of new photographs, with `groups` and without.

150 training images of a task, six crops of each; the other training images, a crop of each, are the new ones. No test
image is read. `python -m benchmarks groups` runs what is missing and prints (benchmarks/results/groups.json).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks import records
from benchmarks.shared_data import no_shared_data, read
from benchmarks.tables import show

NAME = "groups"
CHOSEN = ("rsscn7", "brainmri", "signdigits")
PHOTOGRAPHS, CROPS, SIDE = 150, 6, 0.8  # of the picture's sides


def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A part of an image, anywhere in it."""
    width, height = (int(SIDE * side) for side in image.size)
    left, top = (int(rng.integers(0, side - part + 1)) for side, part in zip(image.size, (width, height), strict=True))
    return image.crop((left, top, left + width, top + height))


def run_task(task: str) -> dict[str, dict[str, float]]:
    """Per cent: what two probes of the same crops expect, and how many of the new photographs each gets right."""
    from head2toe import Head2ToeClassifier

    rng = np.random.default_rng(0)
    data = read(task, "train")
    labels = np.asarray(data.labels)
    order = rng.permutation(len(labels))
    known, new = order[:PHOTOGRAPHS], order[PHOTOGRAPHS:]
    groups = np.repeat(known, CROPS)
    crops = [crop(data[i], rng) for i in groups]
    others = [crop(data[i], rng) for i in new]
    found = {}
    for name, given in (("alone", None), ("groups", groups)):
        probe = Head2ToeClassifier(dtype="float32").fit(crops, labels[groups], groups=given)
        accuracies = {"expected": probe.estimated_accuracy_, "new": probe.score(others, labels[new])}
        found[name] = {what: 100 * value for what, value in accuracies.items()}
    return found


def main() -> None:
    """Measure what is not in the record, and print."""
    if no_shared_data(NAME):
        return
    found = records.fill(NAME, CHOSEN, run_task)
    print(f"{PHOTOGRAPHS} photographs, {CROPS} crops of each; accuracy (%) expected, and on crops of new photographs")
    figures = {
        task: [f"{row[way][what]:.1f}" for way in ("alone", "groups") for what in ("expected", "new")]
        for task, row in found.items()
    }
    show([("", "without groups", "", "with groups", ""), *((task, *row) for task, row in figures.items())])


if __name__ == "__main__":
    main()
