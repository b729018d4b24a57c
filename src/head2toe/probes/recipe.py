"""The published recipe, for comparison: Adam on unit-norm taps, group-lasso scores, a fresh head on the best features.

Evci et al., ICML 2022, and its official code (google-research/head2toe), steps 3 to 6 of the method. What differs from
that code: batches are drawn in a new order every epoch (there, once); the subgradient of ``||W_i||`` at zero is zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.batches import batches
from head2toe.probes.columns import Columns
from head2toe.probes.recipe_head import RecipeHead
from head2toe.probes.recipe_taps import TINY, RecipeTaps


@dataclass(frozen=True)
class Recipe:
    """The recipe's hyper-parameters.

    Attributes
    ----------
    learning_rate : float
        Adam's at the first step; it decays to 0 along half a cosine.
    steps : int
        Of the scores, and again of the head.
    penalty : float
        lambda of ``lambda sum_i ||W_i||_2``, beside the mean cross-entropy.
    fraction : float
        F in (0, 1]: the share of all features that is kept.
    batch_size : int
    seed : int
        Of the first weights and of the order of the rows.
    """

    learning_rate: float = 0.01
    steps: int = 500
    penalty: float = 1e-5
    fraction: float = 0.2
    batch_size: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """Weights after training.

    Attributes
    ----------
    coef : float32 Tensor (c, d)
    intercept : float32 Tensor (c,)
    losses : list of float
        Mean cross-entropy of each step's batch plus the penalty, before the step.
    """

    coef: torch.Tensor
    intercept: torch.Tensor
    losses: list[float]

    @property
    def scores(self) -> np.ndarray:
        """``||W_i||_2`` of every feature, float64 (d,)."""
        return self.coef.norm(dim=0).double().numpy()


def train_head(
    rows: torch.Tensor,
    y: torch.Tensor,
    classes: int,
    recipe: Recipe,
    *,
    train: torch.Tensor | None = None,
    penalty: float = 0.0,
) -> Trained:
    """Minimise ``mean CE(W x + b, y) + penalty sum_i ||W_i||_2`` by Adam on the subgradient.

    Glorot's uniform initialisation, zero intercepts, Adam (0.9, 0.999, 1e-8), cosine decay to 0. A step reads its
    batch's rows alone.

    Parameters
    ----------
    rows : float32 Tensor (n, d), contiguous
    y : int64 Tensor (n,)
    classes : int
    recipe : Recipe
        Its learning rate, steps, batch size and seed are used.
    train : int64 Tensor (m,), optional
        The rows to train on; all where None.
    penalty : float
    """
    train = torch.arange(len(rows)) if train is None else train
    generator = torch.Generator().manual_seed(recipe.seed)
    d, size = rows.shape[1], min(recipe.batch_size, len(train))
    bound = math.sqrt(6 / (d + classes))
    coef = torch.empty(classes, d).uniform_(-bound, bound, generator=generator)
    intercept = torch.zeros(classes)
    coef.grad, intercept.grad = torch.empty_like(coef), torch.empty_like(intercept)
    adam = torch.optim.Adam([coef, intercept], lr=recipe.learning_rate, fused=True)
    batch, position = torch.empty(size, d), torch.arange(size)
    losses = []
    for step, chosen in enumerate(batches(train, size, recipe.steps, generator)):
        torch.index_select(rows, 0, chosen, out=batch)
        target = y[chosen]
        # (c, batch): with classes first, both products run several times faster than the other way round.
        log_p = torch.addmm(intercept[:, None], coef, batch.T).log_softmax(dim=0)
        loss = -log_p[target, position].mean()
        residual = log_p.exp_()
        residual[target, position] -= 1
        residual /= size
        torch.mm(residual, batch, out=coef.grad)
        torch.sum(residual, dim=1, out=intercept.grad)
        if penalty:
            norms = coef.norm(dim=0)
            loss = loss + penalty * norms.sum()
            coef.grad.addcmul_(coef, penalty / norms.clamp_min(TINY))
        adam.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        adam.step()
        losses.append(float(loss))
    return Trained(coef.detach(), intercept.detach(), losses)


def head_on_best(
    X: np.ndarray,
    y: torch.Tensor,
    classes: int,
    taps: RecipeTaps,
    scores: np.ndarray,
    recipe: Recipe,
    *,
    train: torch.Tensor | None = None,
) -> RecipeHead:
    """Keep the best features over all taps, normalise the kept part of each tap anew, and train a fresh head on it.

    Parameters
    ----------
    X : array (n, d), not normalised
    y : int64 Tensor (n,)
    classes : int
    taps : RecipeTaps
        The K columns that were scored.
    scores : array (K,)
    recipe : Recipe
    train : int64 Tensor (m,), optional
        The rows to train on; all where None.
    """
    kept = taps.best(scores, recipe.fraction)
    trained = train_head(kept.rows(X), y, classes, recipe, train=train)
    return RecipeHead(torch.from_numpy(kept.indices.copy()), kept.spans, trained.coef, trained.intercept)


def fit_recipe(
    X: np.ndarray,
    y: np.ndarray,
    columns: Columns,
    view: str,
    recipe: Recipe,
) -> RecipeHead:
    """The whole recipe on rows (n, d) of a view: scores, selection, head.

    Parameters
    ----------
    X : float array or memmap (n, d)
    y : int64 array (n,)
        Class numbers 0..c-1.
    columns, view
        What the columns are, and which of them to use.
    recipe : Recipe
    """
    taps = RecipeTaps.of(columns, view)
    target, classes = torch.from_numpy(np.asarray(y, np.int64)), int(np.max(y)) + 1
    rows = taps.rows(X)
    scores = train_head(rows, target, classes, recipe, penalty=recipe.penalty).scores
    del rows  # as large as X
    return head_on_best(X, target, classes, taps, scores, recipe)


def flops(n: int, d: int, kept: int, classes: int, recipe: Recipe) -> int:
    """FLOPs of the two trainings, ``4 (D + K) C B T``; what the network took is not among them.

    The paper's formula counts the gradient for the inputs too (6 a multiply-add and step); the rows are fixed here, so
    that 4 are needed: forward and the gradient of the weights.
    """
    seen = min(recipe.batch_size, n) * recipe.steps
    return 4 * (d + kept) * classes * seen
