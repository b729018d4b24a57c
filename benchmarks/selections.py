"""Other ways to choose the few features a small head keeps, and to fit that head: what each reaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.kernels import STRENGTHS, Tried, accuracies, cross_validated, held_out_logits

FRACTIONS = (0.01, 0.03)
PARTS = 5
SAME = 0.95  # a correlation above this makes two features near-duplicates


def table(X: np.ndarray, y: np.ndarray, columns: Any, channel: np.ndarray) -> list[dict[str, Any]]:
    """Cross-validated accuracy of a discriminant: a row a way, view, fraction and strength.

    `channel` (d,) numbers the channel each column comes from. All ways start from learned layer weights and see the
    training rows of a fold alone.
    """

    def tried(selector: Any, view: str, fold: Any) -> Iterator[Tried]:
        indices = columns.indices(view)
        for fraction, way, kept, importance in ways(selector, view, y, fold.train, channel[indices]):
            gram = selector.rows.gram(indices[kept], importance[kept]).double()
            for strength, accuracy in accuracies(gram, fold, selector.labels).items():
                yield way, fraction, strength, accuracy
            if way == "as it is":
                for strength, accuracy in _averaged(gram, fold, selector.labels).items():
                    yield "as it is, five folds' heads averaged", fraction, strength, accuracy

    return cross_validated(X, y, columns, "way", tried)


def ways(
    selector: Any, view: str, y: np.ndarray, train: np.ndarray, channel: np.ndarray
) -> Iterator[tuple[float, str, np.ndarray, np.ndarray]]:
    """Fraction, name, positions of the kept features and the importance of all of them."""
    from head2toe.probes.ranking import top

    ranking = selector.rank(view, "learned", train)
    scores, importance = ranking.scores, ranking.importance
    parts = [selector.rank(view, "learned", part).scores for part in _parts(y, train)]
    for fraction in FRACTIONS:
        kept = top(scores, fraction)
        yield fraction, "as it is", kept, importance
        for name, share in (("reweighted", 1.0), ("sparse group", 0.5), ("channels", 0.0)):
            eta = reweighted(scores, channel, share)
            anew = np.divide(eta * scores, importance, out=np.zeros_like(eta), where=importance > 0)
            yield fraction, f"one step of the group lasso, {name}", top(anew, fraction), eta
        votes = np.zeros(len(scores))
        for part in parts:
            votes[top(part, fraction)] += 1
        stable = votes + 0.5 * scores / max(scores.max(), 1e-300)  # ties by the score
        yield fraction, "kept in most of five parts of the rows", top(stable, fraction), importance
        wide = top(scores, 2 * fraction)
        tile = selector.rows.tile(selector.bank.columns.indices(view)[wide])[:, torch.from_numpy(train)]
        yield fraction, "near-duplicates dropped", wide[distinct(tile, scores[wide], len(kept))], importance


def reweighted(norms: np.ndarray, channel: np.ndarray, share: float) -> np.ndarray:
    """Importance of each feature after one step on ``share sum_i |W_i| + (1 - share) sum_g sqrt(p_g) |W_g|``.

    The quadratic bound of a sum of overlapping norms has the weight ``share / |W_i| + (1 - share) sqrt(p_g) / |W_g|``
    on ``|W_i|^2`` (Bach et al. 2012, section 5); its inverse is the importance.
    """
    _, group, sizes = np.unique(channel, return_inverse=True, return_counts=True)
    of_group = np.sqrt(np.bincount(group, norms**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = share / norms if share else 0.0
        together = (1 - share) * (np.sqrt(sizes) / of_group)[group] if share < 1 else 0.0
        return 1 / (alone + together)


def distinct(tile: torch.Tensor, scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` best features of a tile (K, m) that are no near-duplicates of a better one, ascending.

    Where fewer are left, so many.
    """
    centred = tile - tile.mean(dim=1, keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-12)
    alike = ((unit @ unit.T).abs() > SAME).numpy()
    free, kept = np.ones(len(scores), bool), []
    for i in np.argsort(-scores, kind="stable"):
        if free[i] and len(kept) < count:
            kept.append(i)
            free &= ~alike[i]
    return np.sort(np.array(kept, np.int64))


def _parts(y: np.ndarray, train: np.ndarray) -> list[np.ndarray]:
    """Five times four fifths of the training rows."""
    from head2toe.probes.folds import stratified_folds

    return [train[part.train] for part in stratified_folds(y[train], PARTS, repeats=1, random_state=1)]


def _averaged(gram: torch.Tensor, fold: Any, labels: Any) -> dict[float, float]:
    """Accuracies of the mean of the heads fitted on four fifths of the training rows each."""
    logits = dict.fromkeys(STRENGTHS, torch.zeros(1))
    for part in _parts(labels.y.numpy(), fold.train):
        for strength, says in held_out_logits(gram, part, fold.held_out, labels).items():
            logits[strength] = logits[strength] + says
    right = labels.y[fold.held_out]
    return {strength: float((says.argmax(dim=1) == right).double().mean()) for strength, says in logits.items()}
