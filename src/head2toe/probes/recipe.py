"""The published recipe, for comparison: Adam on unit-norm taps, group-lasso scores, a fresh head on the best features.

Evci et al., ICML 2022, and its official code (google-research/head2toe), steps 3 to 6 of the method. What differs from
that code: batches are drawn in a new order every epoch (there, once); the subgradient of ``||W_i||`` at zero is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from head2toe.probes.columns import Columns
from head2toe.probes.ranking import top

_TINY = 1e-12

Span = tuple[int, int]


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
class RecipeHead:
    """A linear head on kept features, of which each tap is divided by its own L2 norm, image by image.

    Attributes
    ----------
    indices : int64 Tensor (K,), ascending
        Columns of the full feature matrix.
    spans : tuple of (start, stop)
        The kept features of each tap, in positions among the K.
    coef : float32 Tensor (c, K)
    intercept : float32 Tensor (c,)
    """

    indices: torch.Tensor
    spans: tuple[Span, ...]
    coef: torch.Tensor
    intercept: torch.Tensor

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (n, c) float32 of rows already restricted to `indices`, (n, K)."""
        return unit_norm(kept.float().clone(), self.spans) @ self.coef.T + self.intercept


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


def tap_spans(columns: Columns, view: str) -> tuple[Span, ...]:
    """Where each layer's columns stand among the columns of a view (`Columns.indices`); one span a layer."""
    blocks = sorted((columns.blocks[b] for b in columns.views[view]), key=lambda block: block.start)
    spans: list[tuple[str, int, int]] = []
    at = 0
    for block in blocks:
        if spans and spans[-1][0] == block.layer:
            spans[-1] = (block.layer, spans[-1][1], at + block.width)
        else:
            spans.append((block.layer, at, at + block.width))
        at += block.width
    return tuple((start, stop) for _, start, stop in spans)


def unit_norm(rows: torch.Tensor, spans: Sequence[Span]) -> torch.Tensor:
    """Divide each row's part in each span by its L2 norm, in place; zero vectors stay zero. Returns `rows`, (n, d)."""
    for start, stop in spans:
        part = rows[:, start:stop]
        part.div_(part.norm(dim=1, keepdim=True).clamp_min(_TINY))
    return rows


def train_head(
    rows: torch.Tensor,
    y: torch.Tensor,
    classes: int,
    recipe: Recipe,
    *,
    of: torch.Tensor | None = None,
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
    of : int64 Tensor (m,), optional
        The rows to train on; all where None.
    penalty : float
    """
    of = torch.arange(len(rows)) if of is None else of
    generator = torch.Generator().manual_seed(recipe.seed)
    d, size = rows.shape[1], min(recipe.batch_size, len(of))
    bound = math.sqrt(6 / (d + classes))
    coef = torch.empty(classes, d).uniform_(-bound, bound, generator=generator)
    intercept = torch.zeros(classes)
    coef.grad, intercept.grad = torch.empty_like(coef), torch.empty_like(intercept)
    adam = torch.optim.Adam([coef, intercept], lr=recipe.learning_rate, fused=True)
    batch, position = torch.empty(size, d), torch.arange(size)
    losses = []
    for step, chosen in enumerate(batches(of, size, recipe.steps, generator)):
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
            coef.grad.addcmul_(coef, penalty / norms.clamp_min(_TINY))
        adam.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        adam.step()
        losses.append(float(loss))
    return Trained(coef.detach(), intercept.detach(), losses)


def head_on_best(
    X: np.ndarray,
    y: torch.Tensor,
    classes: int,
    indices: np.ndarray,
    spans: Sequence[Span],
    scores: np.ndarray,
    recipe: Recipe,
    *,
    of: torch.Tensor | None = None,
) -> RecipeHead:
    """Keep the best features over all taps, normalise the kept part of each tap anew, and train a fresh head on it.

    Parameters
    ----------
    X : array (n, d), not normalised
    y : int64 Tensor (n,)
    classes : int
    indices : int64 array (K,), ascending
        The columns that were scored.
    spans : sequence of (start, stop)
        The taps among them.
    scores : array (K,)
    recipe : Recipe
    of : int64 Tensor (m,), optional
        The rows to train on; all where None.
    """
    places = top(scores, recipe.fraction)
    edges = np.searchsorted(places, np.asarray(spans, np.int64).reshape(-1, 2))
    kept_spans = tuple((int(start), int(stop)) for start, stop in edges if stop > start)
    kept = indices[places]
    trained = train_head(unit_norm(gathered(X, kept), kept_spans), y, classes, recipe, of=of)
    return RecipeHead(torch.from_numpy(kept.copy()), kept_spans, trained.coef, trained.intercept)


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
    indices, spans = columns.indices(view), tap_spans(columns, view)
    target, classes = torch.from_numpy(np.asarray(y, np.int64)), int(np.max(y)) + 1
    rows = unit_norm(gathered(X, indices), spans)
    scores = train_head(rows, target, classes, recipe, penalty=recipe.penalty).scores
    del rows  # as large as X
    return head_on_best(X, target, classes, indices, spans, scores, recipe)


def gathered(X: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Columns at ascending `indices`, an own float32 copy (n, K), contiguous."""
    first, last = int(indices[0]), int(indices[-1]) + 1
    if last - first == len(indices):
        return torch.from_numpy(np.array(X[:, first:last], np.float32, order="C"))
    return torch.from_numpy(np.take(X, indices, axis=1).astype(np.float32, copy=False))


def flops(n: int, d: int, kept: int, classes: int, recipe: Recipe) -> int:
    """FLOPs of the two trainings, ``6 D C B T + 6 K C B T``; what the network took is not among them.

    The paper's formula counts the gradient for the inputs too (6 a multiply-add and step); the rows are fixed here, so
    that 4 are needed: forward and the gradient of the weights.
    """
    seen = min(recipe.batch_size, n) * recipe.steps
    return 4 * (d + kept) * classes * seen


def batches(of: torch.Tensor, size: int, steps: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Row numbers of each step, every epoch in a new order; batches run on across epochs, so that all are full."""
    left = of[:0]
    for _ in range(steps):
        if len(left) < size:
            left = torch.cat([left, of[torch.randperm(len(of), generator=generator)]])
        yield left[:size]
        left = left[size:]
