"""Which candidate wins, and what the winner may be expected to reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ERRORS, LINEAR_ERRORS = 0.5, 1.0  # standard errors within which fewer features, or the last layer's, are preferred
LOSS = 1.25  # and how many times the lowest log loss theirs may be


@dataclass(frozen=True)
class Ballot:
    """What cross-validation says of all candidates.

    Attributes
    ----------
    hits : bool array (candidates, held-out rows)
        Right or wrong, fold after fold.
    weight : array (held-out rows,)
        Weights of these rows.
    rows : int64 array (held-out rows,)
        Their row numbers; with repeated cross-validation each stands there several times.
    fold : int64 array (held-out rows,)
        The fold in which they were held out.
    size : array (candidates,)
        How many features each candidate keeps.
    losses : array (candidates, held-out rows)
        Log losses of the right classes, nats.
    linear : bool array (candidates,)
        The candidate reads the penultimate features alone.
    networks : array (candidates,)
        How many networks must run for each candidate.
    """

    hits: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    fold: np.ndarray
    size: np.ndarray
    losses: np.ndarray
    linear: np.ndarray
    networks: np.ndarray

    def winner(self, seen: np.ndarray | None = None) -> int:
        """Number of the winning candidate, judged on the held-out rows `seen` (all where None).

        The winner is the smallest (fewest networks, then fewest features) of those that cannot be told from the best:
        their accuracy is less than half a standard error of the (paired) difference below the highest, and their log
        loss at most a quarter above the lowest of these (where all images are right, the loss still tells who is sure).
        All layers must earn their place over the last one: its features are judged by a whole standard error. With few
        images that keeps the luckiest of a hundred candidates from winning. Ties go to the higher accuracy, then to the
        lower log loss.
        """
        seen = np.ones(len(self.rows), bool) if seen is None else seen
        hits = self.hits[:, seen].astype(np.float32)
        share = self.weight[seen] / self.weight[seen].sum()
        accuracy = hits @ share
        best = int(accuracy.argmax())
        difference = hits[best] - hits
        gap = difference @ share
        spread = np.sqrt(np.maximum(difference**2 @ share - gap**2, 0) / len(np.unique(self.rows[seen])))
        near = gap <= spread * np.where(self.linear, LINEAR_ERRORS, ERRORS)
        loss = self.losses[:, seen] @ share
        near &= loss <= LOSS * loss[near].min()
        among = np.flatnonzero(near & self.linear if (near & self.linear).any() else near)
        order = np.lexsort((loss[among], -np.round(accuracy[among], 9), self.size[among], self.networks[among]))
        return int(among[order[0]])

    def estimated_accuracy(self, repeat: np.ndarray) -> float:
        """Accuracy of the act of choosing: each fold is judged by the winner of the other folds.

        Unlike the winner's own cross-validated accuracy it is not raised by having been chosen (Tibshirani and
        Tibshirani 2009 describe that bias).

        Parameters
        ----------
        repeat : int64 array (held-out rows,)
            Which repetition of cross-validation: the other folds of the same one choose.
        """
        right = np.zeros(len(self.rows), bool)
        for fold in np.unique(self.fold):
            mine = self.fold == fold
            others = (repeat == repeat[mine][0]) & ~mine
            right[mine] = self.hits[self.winner(others), mine]
        return float(np.average(right, weights=self.weight))
