"""The ballot: who wins among candidates that can hardly be told apart, and what the winner may be expected to reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from head2toe.probes.ballot import SURE, Ballot

ROWS, FOLDS = 400, 5


def ballot(
    hits: np.ndarray,
    size: list[int],
    probe: list[bool] | None = None,
    networks: list[str] | None = None,
) -> Ballot:
    candidates, rows = hits.shape
    return Ballot(
        hits=hits,
        weight=np.ones(rows),
        rows=np.arange(rows),
        fold=np.arange(rows) % FOLDS,
        repeat=np.zeros(rows, np.int64),
        size=np.array(size),
        losses=np.zeros((candidates, rows)),
        linear=np.array(probe or [False] * candidates),
        networks=tuple(frozenset(names) for names in networks or ["a"] * candidates),
    )


def rivals(won: int, lost: int) -> np.ndarray:
    """Two candidates: the first alone is right on `won` rows, the second alone on `lost`, both on half the rest."""
    hits = np.zeros((2, ROWS), bool)
    hits[0, :won] = True
    hits[1, won : won + lost] = True
    hits[:, won + lost :: 2] = True
    return hits


def errors(won: int, lost: int) -> float:
    """By how many standard errors of the paired difference the first is ahead."""
    return errors_between(*np.repeat([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [won, lost, ROWS - won - lost], axis=1))


def errors_between(first: np.ndarray, second: np.ndarray) -> float:
    """The same for any two candidates, hits (rows,)."""
    difference = first.astype(float) - second
    return float(difference.mean() / (difference.std() / np.sqrt(ROWS)))


def test_a_smaller_model_wins_within_half_a_standard_error() -> None:
    assert 0 < errors(22, 20) < 0.5
    assert ballot(rivals(22, 20), [100, 10]).winner() == 1
    assert ballot(rivals(22, 20), [10, 100]).winner() == 0


def test_beyond_half_a_standard_error_the_higher_accuracy_wins() -> None:
    assert 0.5 < errors(25, 20) < 1
    assert ballot(rivals(25, 20), [100, 10]).winner() == 0


def test_the_linear_probe_wins_within_one_standard_error_whatever_its_size() -> None:
    assert ballot(rivals(25, 20), [10, 100], [False, True]).winner() == 1


def test_a_clear_winner_wins_against_the_linear_probe_too() -> None:
    assert errors(40, 10) > 1
    assert ballot(rivals(40, 10), [1000, 10], [False, True]).winner() == 0


def test_equal_candidates_of_one_size_go_to_the_lower_loss() -> None:
    hits = np.repeat(rivals(20, 20)[:1], 3, axis=0)
    assert replace(ballot(hits, [10, 10, 10]), losses=np.repeat([[0.7], [0.5], [0.6]], ROWS, axis=1)).winner() == 1


def test_weights_decide_whose_errors_count() -> None:
    hits = rivals(40, 10)
    heavy = np.where(np.arange(ROWS) < 40, 0.01, 1.0)  # the rows that the first alone has right hardly count
    assert ballot(hits, [10, 10]).winner() == 0
    assert replace(ballot(hits, [10, 10]), weight=heavy).winner() == 1


def test_repeated_rows_are_no_new_evidence() -> None:
    """Four repeats of one cross-validation must not make a gap of chance look certain."""
    once = ballot(rivals(22, 20), [100, 10])
    assert 2 * errors(22, 20) > 0.5  # as if each repeat were new rows
    repeated = replace(
        once,
        hits=np.tile(once.hits, 4),
        losses=np.tile(once.losses, 4),
        weight=np.tile(once.weight, 4),
        rows=np.tile(once.rows, 4),
        fold=np.concatenate([once.fold + repeat * FOLDS for repeat in range(4)]),
        repeat=np.repeat(np.arange(4), ROWS),
    )
    assert repeated.winner() == once.winner() == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_is_not_raised_by_having_been_chosen(seed: int) -> None:
    """The best of 300 coin tossers looks good on the rows that chose it; their choosing, on others, does not."""
    hits = np.random.default_rng(seed).random((300, ROWS)) < 0.5
    coins = ballot(hits, [10] * 300)
    own = hits[coins.winner()].mean()
    estimate = coins.estimated_accuracy()
    assert own > 0.56
    assert abs(estimate - 0.5) < 3 * 0.5 / np.sqrt(ROWS)
    assert estimate < own


def test_the_estimate_is_the_winner_s_where_every_fold_agrees() -> None:
    rng = np.random.default_rng(0)
    hits = np.stack([rng.random(ROWS) < 0.9, rng.random(ROWS) < 0.3])
    clear = ballot(hits, [10, 10])
    assert clear.estimated_accuracy() == pytest.approx(hits[0].mean())


def test_the_estimate_asks_only_folds_of_the_same_repeat() -> None:
    """In another repeat the held-out rows of this fold were held out as well: they must not help to choose."""
    hits = np.zeros((2, 8), bool)
    hits[0, [0, 1, 4, 5]] = True  # right on rows 0 and 1, in both repeats
    hits[1, [2, 3, 6, 7]] = True
    twice = Ballot(
        hits=hits,
        weight=np.ones(8),
        rows=np.tile(np.arange(4), 2),
        fold=np.repeat(np.arange(4), 2),
        repeat=np.repeat([0, 1], 4),
        size=np.array([10, 10]),
        losses=np.zeros((2, 8)),
        linear=np.zeros(2, bool),
        networks=(frozenset("a"),) * 2,
    )
    # Each fold is judged by the candidate that is right on the other half: always wrong.
    assert twice.estimated_accuracy() == 0


def test_where_all_are_right_the_sure_one_wins_over_the_small_one() -> None:
    saturated = ballot(np.ones((3, ROWS), bool), [1000, 100, 10])
    losses = np.repeat([[0.010], [0.012], [0.2]], ROWS, axis=1)
    assert replace(saturated, losses=losses).winner() == 1


def test_what_folds_that_do_not_choose_lose_does_not_count() -> None:
    equal = ballot(np.ones((2, ROWS), bool), [10, 10])
    seen = np.arange(ROWS) < ROWS // 2
    losses = np.where(seen, [[0.1], [0.2]], [[9.0], [0.1]])
    assert replace(equal, losses=losses).winner(seen) == 0
    assert replace(equal, losses=losses).winner() == 1


def test_a_second_network_must_earn_its_place() -> None:
    """More features of one network are cheaper than a few of two."""
    hits = rivals(11, 10)
    assert ballot(hits, [10, 5000], networks=["ab", "a"]).winner() == 1
    assert ballot(rivals(80, 10), [10, 5000], networks=["ab", "a"]).winner() == 0


def test_the_linear_probe_wins_where_choosing_among_the_others_is_no_better() -> None:
    """Each rival is lucky in one fold; in that fold, the others would not have chosen it."""
    hits = np.zeros((FOLDS + 1, ROWS), bool)
    hits[:, ::2] = True
    for i in range(FOLDS):
        hits[i, i : 160 + i : FOLDS] = True
    hits[FOLDS, 301:320:2] = True
    lucky = ballot(hits, [10] * (FOLDS + 1), [False] * FOLDS + [True])
    assert 1 < errors_between(hits[0], hits[FOLDS]) < SURE
    assert lucky.winner() == FOLDS
    hits[0, : ROWS // 2] = True  # now the first is good in every fold
    assert replace(lucky, hits=hits).winner() == 0


def test_who_is_two_standard_errors_ahead_needs_no_second_opinion() -> None:
    """Many as good: which of them the other folds choose is noise, and says little of any."""
    rng = np.random.default_rng(0)
    hits = np.zeros((21, ROWS), bool)
    hits[:, ::2] = True
    for i in range(20):
        hits[i, rng.permutation(ROWS)[:60]] ^= True
    hits[0, 1:80:2] = True
    assert errors_between(hits[0], hits[20]) > SURE
    assert ballot(hits, [10] * 21, [False] * 20 + [True]).winner() == 0


def test_two_folds_can_be_judged_by_each_other() -> None:
    hits = rivals(80, 10)
    halves = replace(ballot(hits, [10, 10], [False, True]), fold=np.arange(ROWS) % 2)
    assert halves.winner() == 0
    assert halves.estimated_accuracy() == pytest.approx(hits[0].mean())


def test_rows_that_belong_together_prove_less() -> None:
    """The first is right on 30 rows more: of 30 pictures that is no chance, of crops of one picture it may be."""
    hits = rivals(40, 10)
    assert errors(40, 10) > 4
    assert ballot(hits, [100, 10]).winner() == 0
    alone = ballot(hits, [100, 10], [False, True])
    together = replace(alone, groups=np.r_[np.zeros(40, np.int64), 1 + np.arange(ROWS - 40) // 2])
    assert (alone.winner(), together.winner()) == (0, 1)
