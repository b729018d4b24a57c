"""What coefficients of three bits cost: held-out accuracy and logits of rounded heads, embedded backbone.

In each of five folds, on its training rows alone, features are ranked with learned layer weights, as many are kept as a
head of 1 % of the backbone's bytes without its classifier takes, at eight or three bits for each coefficient, and heads
in closed form are fitted. Those of three bits are then rounded to three levels on either side of zero: to the nearest,
or each feature making good what those before it moved. `python -m benchmarks.bench_rounding [TASK ...]` runs what is
missing (benchmarks/results/rounding.json). No test image is looked at. Needs the folder `shared` beside the checkout.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks import records
from benchmarks.kernels import selector_of
from benchmarks.shared_data import no_shared_data, read
from benchmarks.tables import show

NAME = "rounding"
CHOSEN = ("location", "caltech101")  # classes in order, and many classes
OF_A_FEATURE = 4  # bytes: index and unit
BITS = {"eight bits, unrounded": 8, "three bits, unrounded": 3}
FEW, EXACT = BITS
STRENGTHS = 0.01, 0.1, 1.0
NEAREST, COMPENSATED = "to the nearest", "compensated"


def run_task(task: str) -> list[dict[str, Any]]:
    """A row a view, head, way and strength: accuracy, and how far rounding moved the logits as a share of their spread.

    Logits are compared with those of the unrounded head of as many features.
    """
    from head2toe import features
    from head2toe.backbones import load
    from head2toe.estimators.frozen import columns_of
    from head2toe.estimators.head_size import HEAD_SIZE
    from head2toe.probes.folds import stratified_folds

    data = read(task, "train")
    backbone = load("embedded")
    plan = features.Plan.build(features.layers(backbone), (512,), statistics=features.STATISTICS)
    X = np.asarray(features.extract(backbone, data.images, plan, progress=False).rows)
    _, y = np.unique(np.asarray(data.labels), return_inverse=True)
    columns, classes = columns_of(plan), int(y.max()) + 1
    counts = [int(HEAD_SIZE * backbone.body_bytes / (OF_A_FEATURE + classes * bits / 8)) for bits in BITS.values()]
    hits, moved = defaultdict(list), defaultdict(list)
    for fold in stratified_folds(y, 5, repeats=1, random_state=0):
        selector = selector_of(X[fold.train], y[fold.train], columns)
        new, truth = torch.from_numpy(X[fold.held_out]), torch.from_numpy(y[fold.held_out])
        for view in columns.candidate_views():
            few, many = (_heads(selector, view, torch.from_numpy(y[fold.train]), count) for count in counts)
            for (head, strength), exact in many.items():
                logits = _ways(few[head, strength], exact, selector.rows, new)
                spread = logits[EXACT].std()
                for way, says in logits.items():
                    hits[view, head, way, strength].append(float((says.argmax(dim=1) == truth).double().mean()))
                    moved[view, head, way, strength].append(float((says - logits[EXACT]).std() / spread))
    names = ("view", "head", "way", "strength")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "cv_accuracy": float(np.mean(found)),
            "moved": float(np.mean(moved[key])),
        }
        for key, found in hits.items()
    ]


def _heads(selector: Any, view: str, y: torch.Tensor, count: int) -> dict[tuple[str, float], Any]:
    """Heads of the `count` best features on all rows of a selector: by kind and strength."""
    from head2toe.probes.closed_forms import ClosedForms
    from head2toe.probes.heads import head_from_dual
    from head2toe.probes.kernels import centre
    from head2toe.probes.ranking import largest
    from head2toe.probes.settings import DISCRIMINANT, LEAST_SQUARES

    everything = np.arange(len(y))
    ranking = selector.rank(view, "learned", everything)
    kept = largest(ranking.scores, count)
    indices, importance = selector.bank.columns.indices(view)[kept], ranking.importance[kept]
    weight = torch.ones(len(y), dtype=torch.float64)
    kernel = centre(selector.rows.gram(indices, importance), everything, everything[:0], weight)
    forms = ClosedForms(kernel, selector.labels)
    return {
        (head, strength): head_from_dual(
            selector.rows, indices, forms.solve(head, strength, None), everything, weight, kernel.unit, importance
        )
        for head in (LEAST_SQUARES, DISCRIMINANT)
        for strength in STRENGTHS
    }


def _ways(few: Any, many: Any, rows: Any, new: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits of new rows by each way."""
    from head2toe.probes.rounding import MANY_CLASSES, compensated, levels, nearest

    most = levels(MANY_CLASSES)
    heads = {
        FEW: few,
        EXACT: many,
        NEAREST: _with(many, *nearest(many.coef, many.scale, most)),
        COMPENSATED: _with(many, *compensated(many.coef, many.scale, most, rows, many.indices.numpy())),
    }
    return {way: head.logits(new[:, head.indices]) for way, head in heads.items()}


def _with(head: Any, unit: torch.Tensor, whole: torch.Tensor) -> Any:
    """The head whose coefficients are these whole numbers of its features, each counted in its unit."""
    return replace(head, coef=torch.where(unit.isfinite(), whole * (head.scale / unit), 0.0))


def main(tasks: list[str] | None = None) -> None:
    """Run what is missing and print, for each view, head and way, the best strength."""
    if no_shared_data(NAME):
        return
    for task, rows in records.fill(NAME, tasks or CHOSEN, run_task).items():
        shown = [(task, "", "", "accuracy", "logits moved by")]
        for key in dict.fromkeys((row["view"], row["head"], row["way"]) for row in rows):
            mine = [row for row in rows if (row["view"], row["head"], row["way"]) == key]
            best = max(mine, key=lambda row: row["cv_accuracy"])
            moved = "" if key[2] in (FEW, EXACT) else f"{100 * best['moved']:.2f} %"
            shown.append((*key, f"{100 * best['cv_accuracy']:.1f}", moved))
        show(shown, words=3)


if __name__ == "__main__":
    main(sys.argv[1:])
