"""Heads averaged into one: who joins, who may not, and that the average is one linear head."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from head2toe import FeatureProbe
from head2toe.errors import ParameterError
from head2toe.probes import LINEAR_VIEW, Block, Columns, LinearHead, SearchSettings, search
from head2toe.probes.ballot import Ballot
from head2toe.probes.ensemble import EnsembleSelection
from head2toe.probes.heads import weighted_sum
from head2toe.probes.settings import LINEAR, Candidate, Features

ROWS, C, FOLDS = 600, 4, 5
Y = torch.arange(ROWS) % C
SIGNAL = 2.0 * torch.nn.functional.one_hot(Y, C)


def noise(seed: int) -> torch.Tensor:
    return 1.5 * torch.randn(ROWS, C, generator=torch.Generator().manual_seed(seed))


def candidate(fraction: float = 1.0, view: str = "512", head: str = "discriminant", strength: float = 1.0) -> Candidate:
    return Candidate(Features(view, "learned", fraction), head, strength)


def selection(
    logits: list[torch.Tensor],
    candidates: list[Candidate] | None = None,
    size: list[int] | None = None,
    networks: list[str] | None = None,
    most_heads: int = 6,
    most_features: int | None = None,
) -> EnsembleSelection:
    """Of heads that see the same rows; by default each on features of its own."""
    losses = [torch.nn.functional.cross_entropy(one, Y, reduction="none").numpy() for one in logits]
    known = candidates or [candidate(view=str(number)) for number in range(len(logits))]
    ballot = Ballot(
        hits=np.stack([(one.argmax(dim=1) == Y).numpy() for one in logits]),
        weight=np.ones(ROWS),
        rows=np.arange(ROWS),
        fold=np.arange(ROWS) // C % FOLDS,
        repeat=np.zeros(ROWS, np.int64),
        size=np.array(size or [100] * len(logits)),
        losses=np.stack(losses),
        linear=np.array([one.is_linear for one in known]),
        networks=tuple(frozenset(names) for names in networks or ["a"] * len(logits)),
    )
    return EnsembleSelection(ballot, known, logits.__getitem__, Y, np.ones(ROWS, bool), most_heads, most_features)


def loss_of(logits: list[torch.Tensor], members: tuple[int, ...]) -> float:
    average = sum((logits[number] for number in members), torch.zeros(ROWS, C)) / len(members)
    return float(torch.nn.functional.cross_entropy(average, Y))


def test_heads_that_err_apart_are_averaged_and_are_right_more_often() -> None:
    logits = [SIGNAL + noise(seed) for seed in range(3)]
    chosen = selection(logits)
    members, everything = chosen.members(), np.ones(ROWS, bool)
    assert set(members) == {0, 1, 2}
    assert loss_of(logits, members) < 0.9 * loss_of(logits, members[:1])
    assert chosen.hits(everything).mean() > chosen.ballot.hits[chosen.ballot.winner()].mean()
    assert chosen.ballot.estimated_accuracy(chosen.hits) > chosen.ballot.estimated_accuracy()


def test_no_single_head_more_would_lower_the_loss_by_more() -> None:
    """Each step takes the best: no other pair around the winner has a lower loss than the first two."""
    logits = [SIGNAL + noise(seed) for seed in range(5)]
    first, second = selection(logits, most_heads=2).members()
    losses = {other: loss_of(logits, (first, other)) for other in range(5)}
    assert losses[second] == min(losses.values())


def test_a_copy_adds_nothing_and_noise_does_harm() -> None:
    good = SIGNAL + noise(0)
    assert len(selection([good, good.clone(), noise(1), -good]).members()) == 1


def test_what_lowers_the_loss_by_chance_alone_seldom_joins() -> None:
    """A head that is as often a little better as worse: by luck it gains half a standard error in 31 % of all cases."""
    good = SIGNAL + noise(0)
    joined = [len(selection([good, good + 0.01 * noise(seed)]).members()) > 1 for seed in range(1, 41)]
    assert np.mean(joined) < 0.31 + 3 * np.sqrt(0.31 * 0.69 / 40)


def test_one_head_is_the_winner_alone() -> None:
    logits = [SIGNAL + noise(seed) for seed in range(3)]
    alone = selection(logits, most_heads=1)
    assert alone.members() == (alone.ballot.winner(),)
    assert alone.ballot.estimated_accuracy(alone.hits) == alone.ballot.estimated_accuracy()


def test_an_average_has_no_more_features_than_a_head_may_have() -> None:
    """Of fractions of one ranking the larger holds the smaller: they count once."""
    logits = [SIGNAL + noise(seed) for seed in range(3)]
    apart = [candidate(view="512"), candidate(view="statistics"), candidate(view="1024")]
    nested = [candidate(0.1), candidate(0.3), candidate(0.2)]
    assert len(selection(logits, apart, [100, 100, 100], most_features=199).members()) == 1
    assert len(set(selection(logits, apart, [100, 100, 100], most_features=200).members())) == 2
    assert len(set(selection(logits, nested, [100, 300, 200], most_features=300).members())) == 3


def test_of_the_strengths_of_a_head_one_may_join() -> None:
    logits = [SIGNAL + noise(0), SIGNAL + noise(1), SIGNAL + 1.1 * noise(2)]
    strengths = [candidate(), candidate(head="distilled", strength=0.1), candidate(head="distilled", strength=1.0)]
    members = selection(logits, strengths).members()
    assert len({1, 2} & set(members)) == 1


def test_the_linear_probe_may_be_joined_too() -> None:
    """With few images it wins though it cannot be told from others: together they are better than it."""
    logits = [SIGNAL + noise(0), SIGNAL + noise(1)]
    known = [Candidate(LINEAR, "logistic", 0.1), candidate()]
    assert set(selection(logits, known, [10, 100]).members()) == {0, 1}
    assert selection(logits, known, [10, 100], most_features=100).members() == (0,)


def test_no_further_network_runs_for_the_sake_of_an_average() -> None:
    logits = [SIGNAL + noise(0), SIGNAL + noise(1), SIGNAL + 1.5 * noise(2)]
    assert selection(logits, networks=["a", "b", "ab"]).members() in [(0,), (1,)]
    assert set(selection(logits, networks=["a", "a", "ab"]).members()) == {0, 1}
    assert set(selection(logits, networks=["ab", "ab", "ab"]).members()) == {0, 1, 2}
    logits[2] += SIGNAL  # the winner needs both networks: what needs one of them may join
    assert {2} < set(selection(logits, networks=["a", "b", "ab"]).members())


def heads(count: int, d: int = 50) -> list[LinearHead]:
    """On overlapping features with one mean and scale each, some of them constant."""
    g = torch.Generator().manual_seed(0)
    mean, scale = torch.randn(d, generator=g), torch.rand(d, generator=g) + 0.5
    scale[::7] = torch.inf
    found = []
    for _ in range(count):
        indices = torch.randperm(d, generator=g)[: d // 2].sort().values
        coef = torch.randn(C, d // 2, generator=g)
        found.append(LinearHead(indices, mean[indices], scale[indices], coef, torch.randn(C, generator=g)))
    return found


def test_a_weighted_sum_of_heads_says_the_weighted_sum_of_what_they_say() -> None:
    X = torch.randn(20, 50, generator=torch.Generator().manual_seed(1))
    parts = [(head, weight) for head, weight in zip(heads(3), (0.5, 0.3, 2.0), strict=True)]
    expected = sum((weight * head.logits(X[:, head.indices]) for head, weight in parts), torch.zeros(20, C))
    together = weighted_sum(parts)
    assert (together.indices.diff() > 0).all()
    torch.testing.assert_close(together.logits(X[:, together.indices]), expected, rtol=1e-5, atol=1e-5)


def problem(n: int = 240, classes: int = 3) -> tuple[np.ndarray, np.ndarray, Columns]:
    """Two views that know the class with errors of their own."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    width = max(30, 2 * classes)
    X = rng.normal(size=(n, 2 * width))
    for start in (0, width):
        X[:, start : start + classes] += (1.3 if classes == 3 else 2.5) * np.eye(classes)[y]
    blocks = (
        Block("a", "mean", 0, width),
        Block("b", "mean", width, 2 * width - 4),
        Block("last", "identity", 2 * width - 4, 2 * width),
    )
    return X.astype(np.float32), y, Columns(blocks, {"a": (0,), "b": (1,), LINEAR_VIEW: (2,)})


SEVERAL = SearchSettings(fractions=(0.2, 1.0), strengths=(0.1, 0.001), patience=math.inf, deviations=False)


def test_the_search_averages_views_into_one_linear_head() -> None:
    X, y, columns = problem()
    alone = search(X, y, columns, settings=replace(SEVERAL, most_heads=1))
    found = search(X, y, columns, settings=SEVERAL)
    averaged = found.choice["averaged"]
    assert {row["view"] for row in averaged} == {"a", "b"}
    assert sum(row["share"] for row in averaged) == pytest.approx(1)
    assert averaged[0]["features"] < found.choice["features"] == len(found.head.indices)
    assert found.choice["cv_log_loss"] < alone.choice["cv_log_loss"]
    assert found.choice["estimated_accuracy"] > found.choice["estimated_accuracy_alone"]
    assert found.choice["estimated_accuracy_alone"] == alone.choice["estimated_accuracy"]
    assert [row["view"] for row in alone.choice["averaged"]] == [alone.choice["view"]]


@pytest.mark.parametrize("kind", ["plain", "weights", "a class of one row", "unlabelled", "many classes"])
def test_the_figures_of_an_average_are_those_of_new_rows(kind: str) -> None:
    """Of rows that are given a weight, of a class that no fold can judge, with unlabelled rows, and rounded."""
    classes = 33 if kind == "many classes" else 3
    X, y, columns = problem(1500 if kind == "many classes" else 600, classes)
    n = len(y) // 2
    known, options = y[:n].copy(), {}
    if kind == "a class of one row":
        known[0] = classes
    if kind == "weights":
        options = {"sample_weight": np.where(np.arange(n) % 2, 1.0, 3.0)}
    if kind == "unlabelled":
        options = {"unlabelled": X[n:]}
    found = search(X[:n], known, columns, settings=replace(SEVERAL, most_features=50), **options)
    assert len(found.choice["averaged"]) > 1 and len(found.head.indices) <= 50
    logits, truth = found.head.logits(torch.from_numpy(X[n:][:, found.head.indices.numpy()])), torch.from_numpy(y[n:])
    assert float(torch.nn.functional.cross_entropy(logits, truth)) == pytest.approx(
        found.choice["cv_log_loss"], abs=0.15
    )
    accuracy = float((logits.argmax(dim=1) == truth).double().mean())
    assert accuracy == pytest.approx(found.choice["estimated_accuracy"], abs=0.08)


@pytest.mark.parametrize("seed", range(3))
def test_heads_of_noise_do_the_linear_probe_no_harm(seed: int) -> None:
    """Few rows, of which the last layer alone knows anything: new rows are judged about as well as by it alone."""
    rng = np.random.default_rng(seed)
    n, d, last = 40, 1000, 10
    y = np.arange(n + 1000) % 2
    X = rng.normal(size=(len(y), d + last)).astype(np.float32)
    X[:, d:] += 0.5 * (2 * y[:, None] - 1) * (np.arange(last) < 4)
    blocks = (Block("a", "mean", 0, d), Block("last", "identity", d, d + last))
    columns = Columns(blocks, {"noise": (0,), LINEAR_VIEW: (1,)})
    probe = FeatureProbe(columns, strengths=(0.1, 0.001)).fit(X[:n], y[:n])
    assert probe.score(X[n:], y[n:]) > probe.linear_score(X[n:], y[n:]) - 0.02


@pytest.mark.parametrize("most", [0, 1.5, "all", None, True])
def test_a_number_of_heads_that_is_none_is_refused(most: object) -> None:
    X, y, columns = problem()
    with pytest.raises(ParameterError, match="most_heads is"):
        FeatureProbe(columns, most_heads=most).fit(X, y)  # pyright: ignore[reportArgumentType]


def test_no_average_is_far_less_accurate_than_the_winner() -> None:
    """A head that is sure where the winner wavers, and wrong a little more often than it by chance alone would be."""
    sure, wavering = 6.0 * torch.nn.functional.one_hot(Y, C), 0.1 * torch.nn.functional.one_hot(Y, C)
    sure[::12] = 1.0 * torch.nn.functional.one_hot((Y + 1) % C, C)[::12]
    found = selection([wavering + 0.01 * noise(1), sure + 0.01 * noise(2)])
    assert loss_of([wavering, sure], (0, 1)) < loss_of([wavering], (0,))
    assert found.members() == (0,)


def test_an_outlying_row_does_not_make_the_probe_worse_than_the_linear_one() -> None:
    rng = np.random.default_rng(2)
    means = 0.6 * rng.normal(size=(3, 20))
    y, y_test = np.arange(240) % 3, np.arange(3000) % 3
    X, X_test = rng.normal(size=(240, 20)) + means[y], rng.normal(size=(3000, 20)) + means[y_test]
    X[5] = 1e3
    probe = FeatureProbe().fit(X, y)
    assert probe.score(X_test, y_test) > probe.linear_score(X_test, y_test) - 0.03
    assert np.median(probe.predict_proba(X_test).max(axis=1)) > 0.6  # most are easy to tell
