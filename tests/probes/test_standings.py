"""Standings: who is ahead, whatever the units of logits, and whose rows count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes import LINEAR_VIEW, Block, Columns
from head2toe.probes.evidence import TEMPERATURES
from head2toe.probes.labels import Labels
from head2toe.probes.least_squares import indicators
from head2toe.probes.settings import LINEAR, Candidate, Features
from head2toe.probes.standings import Standings

N, C, FOLDS = 120, 3, 4
COLUMNS = Columns((Block("a", "mean", 0, 40), Block("b", "mean", 40, 60)), {"all": (0, 1), LINEAR_VIEW: (1,)})
FEW, MANY = Features("all", "equal", 0.1), Features("all", "learned", 1.0)
FIRST, SECOND = Candidate(FEW, "discriminant", 1.0), Candidate(MANY, "distilled", 1.0)
PROBE, STUDENT = Candidate(LINEAR, "logistic", 0.01), Candidate(FEW, "discriminant", 1.0, unlabelled=True)


def labels(y: torch.Tensor) -> Labels:
    return Labels(y, indicators(y, int(y.max()) + 1), torch.ones(len(y), dtype=torch.float64))


Y = torch.arange(N) % C


def says(seed: int, signal: float = 1.5) -> torch.Tensor:
    return signal * indicators(Y, C) + torch.randn(N, C, generator=torch.Generator().manual_seed(seed))


def standings(told: dict[Candidate, torch.Tensor], early: tuple[Candidate, ...] = (), y: torch.Tensor = Y) -> Standings:
    """Of what some candidates say of all rows; `early` ones were given up after the first fold."""
    found = Standings(labels(y), COLUMNS, FOLDS, 500)
    for fold in range(FOLDS):
        rows = np.arange(fold, N, FOLDS)
        for candidate, logits in told.items():
            if fold == 0 or candidate not in early:
                found.add(candidate, rows, logits[torch.from_numpy(rows)])
    return found


def assert_alike(mine: dict, theirs: dict) -> None:
    for name, value in mine.items():
        assert value == (theirs[name] if isinstance(value, str) else pytest.approx(theirs[name], rel=1e-5)), name


def test_units_of_logits_do_not_matter() -> None:
    """Neither to what is told of a head, nor to whom it is averaged with, nor to what the average says."""
    told = {one: says(seed) for seed, one in enumerate((FIRST, SECOND, PROBE, STUDENT))}
    step = TEMPERATURES[1] / TEMPERATURES[0]
    units = {one: step**power for one, power in zip(told, (-9, 0, 8, 15), strict=True)}
    plain, scaled = standings(told), standings({one: units[one] * logits for one, logits in told.items()})
    for mine, theirs in zip(plain.table(), scaled.table(), strict=True):
        assert_alike(mine, theirs)
    np.testing.assert_allclose(plain.ballot().losses, scaled.ballot().losses, rtol=1e-4, atol=1e-6)
    members = [one.selection(one.judged(), one.ballot(), 6, None).members() for one in (plain, scaled)]
    assert members[0] == members[1] and len(set(members[0])) > 2
    chosen = [plain.judged()[number] for number in members[0]]
    mine, theirs = (one.row_of(chosen, 60) for one in (plain, scaled))
    for one, other in zip(mine.pop("averaged"), theirs.pop("averaged"), strict=True):
        assert_alike(one, other)
    assert_alike(mine, theirs)
    alone = scaled.row_of([FIRST], 6)
    assert alone["cv_log_loss"] == scaled.row(FIRST)["cv_log_loss"]
    assert mine["cv_log_loss"] < min(row["cv_log_loss"] for row in plain.table())


def test_shares_of_an_average_count_how_often_a_head_joined() -> None:
    found = standings({FIRST: says(0), SECOND: says(1)})
    row = found.row_of([FIRST, SECOND, SECOND], 60)
    assert [one["share"] for one in row["averaged"]] == pytest.approx([1 / 3, 2 / 3])
    parts = found.parts([FIRST, SECOND, SECOND])
    assert parts[SECOND] / found.scale(SECOND) == pytest.approx(2 * parts[FIRST] / found.scale(FIRST))


def test_who_was_given_up_is_told_last_and_judged_no_more() -> None:
    found = standings({FIRST: says(0), SECOND: 9 * indicators(Y, C), PROBE: says(2)}, early=(SECOND,))
    assert found.judged() == [FIRST, PROBE]
    assert [row["head"] for row in found.table()][-1] == "distilled" and found.table()[-1]["cv_accuracy"] == 1
    assert set(found.hits()) == {FEW}  # nor does the linear probe run in the race
    assert len(found.ballot().hits) == 2


def test_ties_go_to_the_smaller_then_to_the_better_probabilities() -> None:
    same = says(0)
    surer_of_errors = torch.where((same.argmax(dim=1) == Y)[:, None], same, 5 * same)
    large, worse = Candidate(MANY, "discriminant", 1.0), Candidate(Features("all", "learned", 0.1), "discriminant", 1.0)
    found = standings({large: same, worse: surer_of_errors, FIRST: same})
    assert found.finalists(3) == [FEW, worse.features, MANY]
    assert found.best([large, worse]) == worse


def test_a_head_with_and_without_unlabelled_rows_has_two_lines() -> None:
    table = standings({FIRST: says(0), STUDENT: says(1)}).table()
    assert sorted(row["unlabelled"] for row in table) == [0, 500]


def test_log_losses_of_a_class_of_one_image_are_nobody_s() -> None:
    y = Y.clone()
    y[7] = C
    told = {one: torch.cat([says(seed), torch.full((N, 1), -9.0)], dim=1) for seed, one in enumerate((FIRST, SECOND))}
    found = standings(told, y=y)
    ballot = found.ballot()
    at = ballot.rows == 7
    assert not ballot.losses[:, at].any() and (ballot.losses[:, ~at] > 0).all() and not ballot.hits[:, at].any()
    # Who is sure of another class there is as welcome in an average.
    loud = {**told, SECOND: told[SECOND].clone()}
    loud[SECOND][7, :C] += torch.tensor([40.0, 0, 0])
    members = [one.selection(one.judged(), one.ballot(), 6, None).members() for one in (found, standings(loud, y=y))]
    assert members[0] == members[1] and len(set(members[0])) == 2


def test_folds_of_a_ballot_know_their_repetition() -> None:
    """A choice may ask other folds of its own repetition alone."""
    found, logits = Standings(labels(Y), COLUMNS, FOLDS, 0), says(0)
    for repeat in range(2):
        order = np.random.default_rng(repeat).permutation(N)
        for rows in np.array_split(order, FOLDS):
            found.add(FIRST, rows, logits[torch.from_numpy(rows)])
    ballot = found.ballot()
    for repeat in range(2):
        mine = ballot.repeat == repeat
        assert sorted(ballot.rows[mine]) == list(range(N)) and len(np.unique(ballot.fold[mine])) == FOLDS
    assert len(np.unique(ballot.fold)) == 2 * FOLDS
