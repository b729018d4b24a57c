"""Which candidate wins, and what the winner may be expected to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from head2toe.probes.paired import effective_images, paired_difference

ERRORS = 0.5  # standard errors within which fewer features are preferred
LINEAR_ERRORS = 1.0  # within which the linear probe is
SURE = 2.0  # standard errors that leave no doubt
LOSS = 1.25  # how many times the lowest log loss a preferred candidate's may be


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
    repeat : int64 array (held-out rows,)
        The repetition of cross-validation that the fold belongs to.
    size : array (candidates,)
        How many features each candidate keeps; a deviation counts for more, by its bytes.
    losses : array (candidates, held-out rows)
        Log losses of the right classes, nats.
    linear : bool array (candidates,)
        The candidate is the linear probe: a logistic head on the penultimate features alone.
    networks : tuple of frozenset of str
        Which networks must run for each candidate.
    groups : int64 array (held-out rows,) or None
        Which of these rows belong together; None: each stands alone.
    """

    hits: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    fold: np.ndarray
    repeat: np.ndarray
    size: np.ndarray
    losses: np.ndarray
    linear: np.ndarray
    networks: tuple[frozenset[str], ...]
    groups: np.ndarray | None = None

    def winner(self, seen: np.ndarray | None = None) -> int:
        """Number of the winning candidate, judged on the held-out rows `seen` (all where None).

        The winner is the smallest (fewest networks, then fewest features) of those that cannot be told from the best:
        their accuracy is less than half a standard error of the (paired) difference below the highest, and their log
        loss at most a quarter above the lowest of these (where all images are right, the loss still tells who is sure).
        Ties go to the higher accuracy, then to the lower log loss.

        All layers must earn their place over the linear probe: it is preferred within a whole standard error; and
        within two, where choosing among the others, each fold judged by the choice of the rest, is not half a standard
        error more accurate than it. With few images that keeps the luckiest of a hundred candidates from winning.
        """
        seen = np.ones(len(self.rows), bool) if seen is None else seen
        first = self._smallest(seen, np.ones(len(self.size), bool))
        if self.linear[first] or not self.linear.any() or len(np.unique(self.fold[seen])) < 2:
            return first
        fallback = self._smallest(seen, self.linear)
        gap, spread = self.difference(self.hits, self.hits[first], seen)
        if gap[fallback] > SURE * spread[fallback]:
            return first
        rest = self._right(seen, lambda others: self.hits[self._smallest(others, ~self.linear)])
        gap, spread = self.difference(self.hits, rest, seen)
        return first if gap[fallback] > ERRORS * spread[fallback] else fallback

    def _smallest(self, seen: np.ndarray, among: np.ndarray) -> int:
        """The winner among some candidates (bool), but for the last rule."""
        accuracy, loss = self._accuracy(seen), self.losses[:, seen] @ self.share(seen)
        gap, spread = self.difference(self.hits, self.hits[np.where(among, accuracy, -1).argmax()], seen)
        near = among & (gap <= spread * np.where(self.linear, LINEAR_ERRORS, ERRORS))
        near &= loss <= LOSS * loss[near].min()
        left = np.flatnonzero(near & self.linear if (near & self.linear).any() else near)
        networks = np.array([len(self.networks[one]) for one in left])
        order = np.lexsort((loss[left], -np.round(accuracy[left], 9), self.size[left], networks))
        return int(left[order[0]])

    def share(self, seen: np.ndarray) -> np.ndarray:
        """Weights of the held-out rows `seen`; they sum to one."""
        return self.weight[seen] / self.weight[seen].sum()

    def _accuracy(self, seen: np.ndarray) -> np.ndarray:
        return self.hits[:, seen].astype(np.float32) @ self.share(seen)

    def difference(self, some: np.ndarray, rival: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`paired_difference` of some, (k, held-out rows), and a rival, (held-out rows,), where `seen`."""
        share, groups = self.share(seen), None if self.groups is None else self.groups[seen]
        return paired_difference(some[:, seen], rival[seen], share, effective_images(self.rows[seen], share), groups)

    def _right(self, seen: np.ndarray, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Which rows the choice of the other folds gets right, bool (held-out rows,): False where not `seen`."""
        right = np.zeros(len(self.rows), bool)
        for fold in np.unique(self.fold[seen]):
            mine = self.fold == fold
            right[mine] = choose(seen & (self.repeat == self.repeat[mine][0]) & ~mine)[mine]
        return right

    def estimated_accuracy(self, choose: Callable[[np.ndarray], np.ndarray] | None = None) -> float:
        """Accuracy of the act of choosing: each fold is judged by what the other folds of its repetition choose.

        Unlike the winner's own cross-validated accuracy it is not raised by having been chosen (Tibshirani and
        Tibshirani 2009 describe that bias).

        Parameters
        ----------
        choose : callable, optional
            Held-out rows to choose by, bool (held-out rows,), to what the choice gets right, bool (held-out rows,).
            None: the winner is chosen.
        """
        choose = choose or (lambda seen: self.hits[self.winner(seen)])
        right = self._right(np.ones(len(self.rows), bool), choose)
        return float(np.average(right, weights=self.weight))
