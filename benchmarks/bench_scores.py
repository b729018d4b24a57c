"""Scores of every feature, ours against the published recipe's: ResNet-50, target size 8192, Caltech101.

517,160 features of 1000 images, 102 classes, one thread, CPU-seconds. Ours is `group_lasso_scores` with all it needs:
standardising and the Gram matrix of all features. The recipe's 5000 Adam steps are all run; what `STEPS` of them would
have foretold stands beside. Both rankings then get the same head on their best 1 %: least squares on standardised
features, its strength by leave-one-out; accuracy on the 1000 test images. Steps on fewer features are timed too: that a
step takes as long as there are features, the paper's table extrapolates by.

The rows, 1.6 GB, are made in a temporary folder and deleted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.real_rows import TARGET_SIZE, classes_of, extracted
from benchmarks.records import write
from benchmarks.shared_data import no_shared_data
from head2toe.estimators.frozen import columns_of
from head2toe.probes.columns import Columns
from head2toe.probes.heads import LinearHead, head_from_dual
from head2toe.probes.kernels import centre
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import KernelRidge, indicators
from head2toe.probes.ranking import top
from head2toe.probes.recipe import Recipe, train_head
from head2toe.probes.recipe_taps import RecipeTaps
from head2toe.probes.scores import group_lasso_scores
from head2toe.probes.settings import RIDGE_STRENGTHS
from head2toe.probes.standardised import Standardised

TASK = "caltech101"
RECIPE = Recipe(learning_rate=0.01, steps=5000, penalty=1e-5, fraction=0.01)
WARM, STEPS = 3, 20
FEWER = (32_000, 128_000)  # features whose step is timed as well


class Problem:
    """The training rows of all features, their labels and what they are used for."""

    def __init__(self, X: np.ndarray, y: np.ndarray, columns: Columns) -> None:
        self.X, self.y, self.columns = X, torch.from_numpy(y), columns
        self.view = columns.candidate_views()[0]
        self.indices = columns.indices(self.view)
        self.classes = int(y.max()) + 1
        self.everything, self.weight = np.arange(len(y)), torch.ones(len(y), dtype=torch.float64)
        self.targets = indicators(self.y, self.classes)

    def ours(self) -> tuple[np.ndarray, Standardised]:
        rows = Standardised(self.X, blocks=self.columns.spans())
        gram = rows.gram(self.indices)
        labels = Labels(self.y, self.targets, self.weight)
        return group_lasso_scores(rows, self.indices, self.everything, labels, RIDGE_STRENGTHS, gram), rows

    def recipes(self) -> tuple[np.ndarray, float, dict[int, float]]:
        """The recipe's scores, its CPU-seconds, and those of one step by the number of features."""
        rows = RecipeTaps.of(self.columns, self.view).rows(self.X)
        steps = {width: self.step_seconds(rows[:, :width].contiguous()) for width in (*FEWER, rows.shape[1])}
        print(f"   steps of the recipe, CPU-s by features: {steps}", flush=True)
        scores, seconds = self.train(rows, RECIPE.steps)
        return scores, seconds, steps

    def train(self, rows: torch.Tensor, steps: int) -> tuple[np.ndarray, float]:
        """The recipe's scores after so many steps on rows (n, k), and its CPU-seconds."""
        start = time.process_time()
        trained = train_head(rows, self.y, self.classes, replace(RECIPE, steps=steps), penalty=RECIPE.penalty)
        return trained.scores, time.process_time() - start

    def step_seconds(self, rows: torch.Tensor) -> float:
        """CPU-seconds of one step of the recipe on rows (n, k)."""
        self.train(rows, 1)  # the first pays for what torch loads late
        return (self.train(rows, WARM + STEPS)[1] - self.train(rows, WARM)[1]) / STEPS

    def head(self, rows: Standardised, scores: np.ndarray) -> LinearHead:
        """Least squares on the best features."""
        kept = self.indices[top(scores, RECIPE.fraction)]
        kernel = centre(rows.gram(kept), self.everything, self.everything[:0], self.weight)
        ridge = KernelRidge(kernel.train, self.targets, self.weight)
        solution = ridge.solve(ridge.best_strength(RIDGE_STRENGTHS))
        return head_from_dual(rows, kept, solution, self.everything, self.weight, kernel.unit)


def accuracies(heads: dict[str, LinearHead]) -> dict[str, float]:
    """Share of the test images that each head gets right."""
    wanted = np.unique(np.concatenate([head.indices.numpy() for head in heads.values()]))
    rows, y, _ = extracted(TASK, None, "test", columns=wanted)
    out = {}
    for name, head in heads.items():
        kept = torch.from_numpy(rows[:, np.searchsorted(wanted, head.indices.numpy())].copy())
        out[name] = float((head.logits(kept).argmax(dim=1).numpy() == y).mean())
    return out


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        X, y, plan = extracted(TASK, Path(folder) / "rows")
        problem = Problem(X, y, columns_of(plan))
        start = time.process_time()
        scores, rows = problem.ours()
        seconds = time.process_time() - start
        print(f"   ours {seconds:.1f} CPU-s", flush=True)
        heads = {"ours": problem.head(rows, scores)}
        theirs, recipe_seconds, steps = problem.recipes()
        heads["recipe"] = problem.head(rows, theirs)
        found = accuracies(heads)
    return {
        "d": len(problem.indices),
        "classes": len(classes_of(TASK)),
        "target_size": TARGET_SIZE,
        "seconds": round(seconds, 2),
        "recipe_seconds": round(recipe_seconds, 1),
        "times_faster": round(recipe_seconds / seconds, 1),
        "recipe_steps_timed": STEPS,
        "recipe_step_seconds_by_features": {width: round(value, 4) for width, value in steps.items()},
        "recipe_seconds_extrapolated": round(steps[len(problem.indices)] * RECIPE.steps, 1),
        "fraction": RECIPE.fraction,
        "accuracy": found["ours"],
        "recipe_accuracy": found["recipe"],
    }


def main(argv: Sequence[str] = ()) -> None:
    del argv
    if no_shared_data("scores"):
        return
    torch.set_num_threads(1)
    result = measure()
    write("scores", result)
    for name, value in result.items():
        print(f"   {name}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
