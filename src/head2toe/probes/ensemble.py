"""Several heads averaged into one: ensemble selection (Caruana et al. 2004) by held-out log loss.

The average of linear heads is a linear head on the features of all: predictions cost the layers that these lie in, and
no second head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from head2toe.probes.ballot import ERRORS, SURE, Ballot
from head2toe.probes.evidence import cross_entropies
from head2toe.probes.settings import Candidate


class EnsembleSelection:
    """Grows an average of heads around the winner of a ballot, head by head, while that lowers the log loss.

    Parameters
    ----------
    ballot : Ballot
    candidates : list of Candidate
        Those of the ballot, in its order.
    logits : callable
        Number of a candidate to its calibrated held-out logits, Tensor (held-out rows, c).
    y : int64 Tensor (held-out rows,)
    counts : bool array (held-out rows,)
        Whose log losses count.
    most_heads : int
        How many heads are averaged at most, repeats counted: one that joins twice weighs twice.
    most_features : int or None
        How many features they may have together.
    """

    def __init__(
        self,
        ballot: Ballot,
        candidates: list[Candidate],
        logits: Callable[[int], torch.Tensor],
        y: torch.Tensor,
        counts: np.ndarray,
        most_heads: int,
        most_features: int | None,
    ) -> None:
        self.ballot, self.candidates = ballot, candidates
        self.logits, self.y, self.counts = logits, y, counts
        self.most_heads = most_heads
        self.most_features = np.inf if most_features is None else most_features
        self._known: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
        self._last: tuple[tuple[int, ...], torch.Tensor] = (), torch.zeros(1)

    def members(self, seen: np.ndarray | None = None) -> tuple[int, ...]:
        """Numbers of the candidates to average, the winner of the ballot first, judged on the held-out rows `seen`.

        Of the strengths of a head on the same features the one with the lowest log loss may join. Each further head
        must lower the loss of the average by more than half a standard error of the (paired) difference; and the
        average may not be two standard errors less accurate than the winner.
        """
        seen = np.ones(len(self.ballot.rows), bool) if seen is None else seen
        members = (self.ballot.winner(seen),)
        pool = self._pool(members[0], seen)

        def loss(several: tuple[int, ...]) -> float:
            return float(self._losses(several)[seen] @ self.ballot.share(seen))

        while len(members) < self.most_heads:
            larger = [(*members, one) for one in pool if self._features((*members, one)) <= self.most_features]
            best = min(larger, key=loss, default=members)
            if not self._is_better(best, members, seen):
                break
            members = best
        return members

    def hits(self, seen: np.ndarray) -> np.ndarray:
        """What the average chosen by the held-out rows `seen` gets right, bool (held-out rows,)."""
        return self._judged(self.members(seen))[0]

    def _pool(self, first: int, seen: np.ndarray) -> list[int]:
        """Who may join the first: for its sake no further network must run."""
        loss, best = self.ballot.losses[:, seen] @ self.ballot.share(seen), {}
        for number, candidate in enumerate(self.candidates):
            if not self.ballot.networks[number] <= self.ballot.networks[first]:
                continue
            key = candidate.features, candidate.head, candidate.unlabelled
            if key not in best or loss[number] < loss[best[key]]:
                best[key] = number
        return list(best.values())

    def _features(self, members: tuple[int, ...]) -> int:
        """How many features an average has, at most, by their bytes.

        Of fractions of one ranking the largest holds the others.
        """
        largest: dict[tuple[str, str], int] = {}
        for number in members:
            features = self.candidates[number].features
            largest[features.way] = max(largest.get(features.way, 0), int(self.ballot.size[number]))
        return sum(largest.values())

    def _is_better(self, larger: tuple[int, ...], members: tuple[int, ...], seen: np.ndarray) -> bool:
        gain, spread = self.ballot.difference(self._losses(larger)[None], self._losses(members), seen)
        hits, winners = (self._judged(some)[0] for some in (larger, members[:1]))
        lost, doubt = self.ballot.difference(hits[None], winners, seen)
        return bool(gain[0] > ERRORS * spread[0] and lost[0] <= SURE * doubt[0])

    def _losses(self, members: tuple[int, ...]) -> np.ndarray:
        return self._judged(members)[1]

    def _judged(self, members: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Hits and log losses of an average on all held-out rows; the folds ask for the same averages."""
        key = tuple(sorted(members))
        if key not in self._known:
            average = (self._total(members[:-1]) + self.logits(members[-1])) / len(members)
            losses = cross_entropies(average, self.y)
            hits = (average.argmax(dim=1) == self.y).numpy()
            self._known[key] = hits, losses.numpy() * self.counts
        return self._known[key]

    def _total(self, members: tuple[int, ...]) -> torch.Tensor:
        """Sum of their logits; many are tried beside the same members."""
        if members != self._last[0]:
            self._last = members, sum((self.logits(number) for number in members), torch.zeros(1))
        return self._last[1]
