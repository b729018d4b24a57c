"""Members of an average: what may decide on them, and what may not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from head2toe.probes.ballot import Ballot
from head2toe.probes.ensemble import EnsembleSelection
from head2toe.probes.settings import Candidate, Features

ROWS, C, FOLDS = 600, 4, 5
Y = torch.arange(ROWS) % C
RIGHT, WRONG = (torch.nn.functional.one_hot((Y + shift) % C, C).float() for shift in (0, 1))
EVERYTHING = np.ones(ROWS, bool)


def noise(seed: int) -> torch.Tensor:
    return 1.5 * torch.randn(ROWS, C, generator=torch.Generator().manual_seed(seed))


def candidate(view: str = "512", strength: float = 1.0, *, unlabelled: bool = False) -> Candidate:
    return Candidate(Features(view, "learned", 1.0), "discriminant", strength, unlabelled)


def selection(
    logits: list[torch.Tensor],
    candidates: list[Candidate] | None = None,
    counts: np.ndarray = EVERYTHING,
    size: list[int] | None = None,
) -> EnsembleSelection:
    """Of heads that see the same rows; by default each on features of its own."""
    ballot = Ballot(
        np.stack([(one.argmax(dim=1) == Y).numpy() for one in logits]),
        np.ones(ROWS),  # weights
        np.arange(ROWS),
        np.arange(ROWS) // C % FOLDS,
        np.zeros(ROWS, np.int64),  # one repetition
        np.array(size or [100] * len(logits)),
        np.stack([torch.nn.functional.cross_entropy(one, Y, reduction="none").numpy() * counts for one in logits]),
        np.zeros(len(logits), bool),  # none is the linear probe
        (frozenset("a"),) * len(logits),
    )
    known = candidates or [candidate(str(number)) for number in range(len(logits))]
    return EnsembleSelection(ballot, known, logits.__getitem__, Y, counts, 6, None)


@pytest.mark.parametrize("fold", range(FOLDS))
def test_rows_that_are_held_out_of_the_choice_have_no_say(fold: int) -> None:
    """Whatever heads say of them, right or wrong: the estimated accuracy rests on that."""
    logits = [2 * RIGHT + noise(seed) for seed in range(4)]
    candidates = [candidate("a"), candidate("b", 0.1), candidate("b", 1.0), candidate("c")]
    seen = np.arange(ROWS) // C % FOLDS != fold
    chosen = []
    for spoilt in ([], [1, 3], [0, 2], [0, 1], [2, 3]):
        told = [
            torch.where(torch.from_numpy(seen)[:, None], one, 9 * (WRONG if number in spoilt else RIGHT))
            for number, one in enumerate(logits)
        ]
        chosen.append(selection(told, candidates).members(seen))
    assert len(chosen[0]) > 2 and set(chosen) == {chosen[0]}


def test_accuracy_is_compared_with_the_winner_s_not_with_the_last_average_s() -> None:
    """Three errors more are within two standard errors of the winner, and three more of those; six are not."""
    first = torch.arange(ROWS) < ROWS // 2
    wavering, sure = 0.1 * RIGHT, 6 * RIGHT
    one, other = torch.where(first[:, None], sure, wavering), torch.where(first[:, None], wavering, sure)
    one[:3], one[-3:] = WRONG[:3], wavering[-3:]
    other[-3:], other[:3] = WRONG[-3:], wavering[:3]
    members = selection([wavering, one, other]).members()
    assert members[0] == 0 and len(set(members)) == 2


def test_where_all_are_right_an_average_may_still_be_surer() -> None:
    first = (torch.arange(ROWS) < ROWS // 2)[:, None]
    heads = [torch.where(first, 3 * RIGHT, 0.1 * RIGHT), torch.where(first, 0.1 * RIGHT, 3 * RIGHT)]
    assert set(selection(heads).members()) == {0, 1}


def test_heads_taught_with_and_without_unlabelled_rows_are_two() -> None:
    logits = [2 * RIGHT + noise(seed) for seed in range(3)]
    known = [candidate("a"), candidate("b"), candidate("b", unlabelled=True)]
    assert set(selection(logits, known).members()) == {0, 1, 2}


def test_rows_that_do_not_count_let_nobody_join() -> None:
    ignored = np.arange(ROWS) < ROWS // 2
    good = 2 * RIGHT + noise(0)
    surer_there = torch.where(torch.from_numpy(ignored & (good.argmax(dim=1) == Y).numpy())[:, None], 9 * RIGHT, good)
    assert selection([good, surer_there], counts=~ignored).members() == (0,)
    assert selection([good, surer_there]).members()[0] == 1  # where they count, it wins


def test_a_better_head_joins_twice_and_weighs_twice() -> None:
    """The smaller of two wins a ballot that cannot tell them apart; their logits then say which is the better."""
    logits = [2 * RIGHT + noise(0), 3 * RIGHT + 0.5 * noise(1)]
    chosen = selection(logits, size=[10, 1000])
    chosen.ballot.hits[:], chosen.ballot.losses[:] = True, 0.0
    members = chosen.members()
    count = Counter(members)
    assert members[0] == 0 and count[1] > count[0]
    average = sum((logits[one] for one in members), torch.zeros(ROWS, C)) / len(members)
    np.testing.assert_array_equal(chosen.hits(EVERYTHING), (average.argmax(dim=1) == Y).numpy())
