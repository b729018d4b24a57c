"""What the folds have said of all candidates so far: who is ahead, how sure each is, and the table of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from head2toe.probes.ballot import Ballot
from head2toe.probes.columns import Columns, deviates
from head2toe.probes.ensemble import EnsembleSelection
from head2toe.probes.evidence import Evidence, weights_of_several
from head2toe.probes.heads import as_features
from head2toe.probes.labels import Labels
from head2toe.probes.ranking import number_of
from head2toe.probes.settings import LINEAR, Candidate, Features


class Standings:
    """Held-out logits of each candidate, gathered fold by fold, and the figures they give.

    Parameters
    ----------
    labels : Labels
        Of all n rows.
    columns : Columns
    folds : int
        In one repetition of cross-validation.
    unlabelled : int
        How many rows without labels some candidates learn from.
    """

    def __init__(self, labels: Labels, columns: Columns, folds: int, unlabelled: int) -> None:
        self.labels, self.columns, self.folds, self.unlabelled = labels, columns, folds, unlabelled
        self._told_apart = weights_of_several(labels.y, labels.weight, labels.groups)
        self._evidence: dict[Candidate, Evidence] = {}
        self._scales: dict[Candidate, float] = {}

    def add(self, candidate: Candidate, held_out: np.ndarray, logits: torch.Tensor) -> None:
        """What a candidate says of the rows that one more fold held out, logits (v, c)."""
        self._evidence.setdefault(candidate, Evidence()).add(held_out, logits)

    def judged(self) -> list[Candidate]:
        """The candidates that all folds so far have judged."""
        most = max(len(evidence.rows) for evidence in self._evidence.values())
        return [candidate for candidate, found in self._evidence.items() if len(found.rows) == most]

    def hits(self) -> dict[Features, np.ndarray]:
        """What the most accurate judged head on each set of features but the penultimate ones gets right."""
        best: dict[Features, tuple[float, Evidence]] = {}
        for candidate in self.judged():
            evidence = self._evidence[candidate]
            accuracy = evidence.accuracy(self.labels.y, self.labels.weight)
            if candidate.features != LINEAR and accuracy > best.get(candidate.features, (-1.0, evidence))[0]:
                best[candidate.features] = accuracy, evidence
        return {features: evidence.hits(self.labels.y) for features, (_, evidence) in best.items()}

    def finalists(self, count: int) -> list[Features]:
        """The best features but the penultimate; ties go to the smaller model, then to the better probabilities."""
        ranked = self._ranked(candidate for candidate in self.judged() if candidate.features != LINEAR)
        return list(dict.fromkeys(candidate.features for candidate, _ in ranked))[:count]

    def best(self, candidates: Iterable[Candidate]) -> Candidate:
        """The first of some candidates."""
        return self._ranked(candidates)[0][0]

    def table(self) -> list[dict]:
        """A row for the best strength of each features and head, best first; those given up early come last."""
        best: dict[tuple[Features, str, bool], dict] = {}
        for candidate, row in self._ranked(self._evidence):
            best.setdefault((candidate.features, candidate.head, candidate.unlabelled), row)
        return list(best.values())

    def ballot(self) -> Ballot:
        """Of the judged candidates, in their order."""
        judged = {candidate: self._evidence[candidate] for candidate in self.judged()}
        held_out = next(iter(judged.values())).rows
        numbers = np.concatenate(held_out)
        fold = np.repeat(np.arange(len(held_out)), [len(part) for part in held_out])
        return Ballot(
            hits=np.stack([evidence.hits(self.labels.y) for evidence in judged.values()]),
            weight=self.labels.weight.numpy()[numbers],
            rows=numbers,
            fold=fold,
            repeat=fold // self.folds,
            size=np.array([self._size(candidate) for candidate in judged]),
            losses=np.stack([found.losses(self.labels.y, self.scale(one)) for one, found in judged.items()])
            * (self._told_apart > 0).numpy()[numbers],
            linear=np.array([candidate.is_linear for candidate in judged]),
            networks=tuple(self.columns.networks_of(candidate.features.view) for candidate in judged),
            groups=self.labels.subset(numbers).groups,
        )

    def selection(
        self, judged: list[Candidate], ballot: Ballot, most_heads: int, most_features: int | None
    ) -> EnsembleSelection:
        """How the winner of a ballot of the judged candidates may be joined by others."""
        return EnsembleSelection(
            ballot,
            judged,
            lambda number: self.scale(judged[number]) * torch.cat(self._evidence[judged[number]].logits),
            self.labels.y[ballot.rows],
            (self._told_apart > 0).numpy()[ballot.rows],
            most_heads,
            most_features,
        )

    def parts(self, members: Sequence[Candidate]) -> dict[Candidate, float]:
        """What the logits of each head are multiplied by in an average: of one alone by 1, of several calibrated."""
        if len(members) == 1:
            return {members[0]: 1.0}
        return {one: count / len(members) * self.scale(one) for one, count in Counter(members).items()}

    def average(self, members: Sequence[Candidate]) -> Evidence:
        """What an average of heads says of the held-out rows."""
        found = {candidate: self._evidence[candidate] for candidate in members}
        logits = [
            torch.stack([part * found[one].logits[fold] for one, part in self.parts(members).items()]).sum(dim=0)
            for fold in range(len(found[members[0]].rows))
        ]
        return Evidence(found[members[0]].rows, logits)

    def row_of(self, members: Sequence[Candidate], features: int) -> dict:
        """The line of an average of heads with so many features together: its figures, else those of the first."""
        evidence, counts = self.average(members), Counter(members)
        return {
            **self.row(members[0]),
            "features": features,
            "cv_accuracy": evidence.accuracy(self.labels.y, self.labels.weight),
            "cv_log_loss": evidence.log_loss(self.labels.y, self._told_apart, self.calibration(evidence)),
            "averaged": [{"share": count / len(members), **self.row(one)} for one, count in counts.items()],
        }

    def calibration(self, evidence: Evidence) -> float:
        """The calibrating factor of logits; logistic heads need it too, whose strength was chosen by accuracy."""
        return evidence.calibration(self.labels.y, self._told_apart)

    def row(self, candidate: Candidate) -> dict:
        """A candidate's line of the table."""
        features, evidence = candidate.features, self._evidence[candidate]
        return {
            "view": features.view,
            "layer_weights": features.layer_weights,
            "fraction": features.fraction,
            "features": self._features(candidate),
            "head": candidate.head,
            "strength": candidate.strength,
            "unlabelled": self.unlabelled if candidate.unlabelled else 0,
            "cv_accuracy": evidence.accuracy(self.labels.y, self.labels.weight),
            "cv_log_loss": evidence.log_loss(self.labels.y, self._told_apart, self.scale(candidate)),
            "folds": len(evidence.rows),
        }

    def scale(self, candidate: Candidate) -> float:
        """The calibrating factor of a candidate."""
        if candidate not in self._scales:
            self._scales[candidate] = self.calibration(self._evidence[candidate])
        return self._scales[candidate]

    def _size(self, candidate: Candidate) -> int:
        """How many features take as many bytes as those of a candidate, which may all be deviations."""
        count = self._features(candidate)
        return as_features(count, self.labels.targets.shape[1]) if deviates(candidate.features.view) else count

    def _features(self, candidate: Candidate) -> int:
        features = candidate.features
        return number_of(features.fraction, self.columns.width(features.view))

    def _ranked(self, candidates: Iterable[Candidate]) -> list[tuple[Candidate, dict]]:
        rows = [(candidate, self.row(candidate)) for candidate in candidates]
        return sorted(rows, key=lambda pair: _merit(pair[1]), reverse=True)


def _merit(row: dict) -> tuple[int, float, float, float]:
    """Larger is better: judged by all folds, accuracy, then the smaller model, then the better probabilities."""
    return (row["folds"], round(row["cv_accuracy"], 9), -row["features"], -row["cv_log_loss"])
