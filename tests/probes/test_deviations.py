"""How far a feature lies from its mean, as a feature: what it is, what it is for, and what is kept of it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save

from head2toe import FeatureProbe
from head2toe.errors import ParameterError
from head2toe.probes import DEVIATIONS, LINEAR_VIEW, Block, Columns, LinearHead, SearchSettings, search
from head2toe.probes.heads import features_within, weighted_sum
from head2toe.probes.settings import Features
from head2toe.probes.standardised import Joined, Standardised

N, D, C = 37, 30, 3
BLOCKS = ((0, 10), (10, 25))
SETTINGS = SearchSettings(fractions=(0.05, 0.3, 1.0), strengths=(1e-1, 1e-3))


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * rng.uniform(0.01, 10, D) + rng.normal(size=D)
    X[:, 7] = 3.25
    return X.astype(np.float32)


def by_hand(X: np.ndarray, measured: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Features and their deviations (2 D, rows) of some rows, in the units of those that were measured."""
    mean = np.average(measured, axis=0, weights=weight)
    variance = np.average((measured - mean) ** 2, axis=0, weights=weight)
    scale = np.sqrt(variance)
    for start, stop in BLOCKS:
        scale[start:stop] = np.sqrt(variance[start:stop] + variance[start:stop].mean())
    scale[7] = np.inf
    usual = np.average(np.abs(measured - mean), axis=0, weights=weight)
    return np.concatenate([(X - mean) / scale, (np.abs(X - mean) - usual) / scale], axis=1).T


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    "indices",
    [np.arange(D), np.arange(D, 2 * D), np.arange(2 * D), np.array([0, 3, D - 1, D, D + 3, 2 * D - 1]), [D + 4]],
)
def test_columns_from_d_on_are_deviations(
    X: np.ndarray, indices: np.ndarray, stored: bool, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not stored:
        monkeypatch.setattr(Standardised, "_copied", lambda _: None)
    weight = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else None
    found, wanted = Standardised(X, weight, BLOCKS, deviations=True), np.asarray(indices)
    expected = torch.from_numpy(by_hand(X.astype(np.float64), X.astype(np.float64), weight)[wanted])
    for room in (None, torch.empty(2 * D, N)):
        torch.testing.assert_close(found.tile(wanted, room).double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.gram(wanted).double(), expected.T @ expected, rtol=1e-3, atol=1e-3)


def test_of_other_rows_by_the_scale_of_the_first(X: np.ndarray) -> None:
    others, everything = np.random.default_rng(2).normal(size=(9, D)).astype(np.float32), np.arange(2 * D)
    joined = Joined(Standardised(X, None, BLOCKS, deviations=True), others, np.array([1, 4, 8]))
    expected = torch.from_numpy(by_hand(others.astype(np.float64), X.astype(np.float64))[:, [1, 4, 8]])
    torch.testing.assert_close(joined.tile(everything)[:, N:].double(), expected, rtol=1e-4, atol=1e-4)


def task(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two columns of 60 tell the class by how far they are from their mean, on either side; no line tells it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 60))
    y = (np.abs(X[:, 20]) + np.abs(X[:, 41]) > 1.55).astype(np.int64)
    return (X * np.linspace(0.1, 5, 60) + np.linspace(-9, 9, 60)).astype(np.float32), y


def columns() -> Columns:
    blocks = (Block("a", "mean", 0, 30), Block("b", "mean", 30, 50), Block("last", "identity", 50, 60))
    return Columns(blocks, {"all": (0, 1, 2), LINEAR_VIEW: (2,)})


@pytest.fixture(scope="module", name="found")
def searched():
    return search(*task(), columns(), settings=SETTINGS)


def accuracy(head: LinearHead, X: np.ndarray, y: np.ndarray) -> float:
    return float((head.logits(torch.from_numpy(X)[:, head.indices]).argmax(dim=1).numpy() == y).mean())


def test_they_tell_classes_that_no_line_tells(found) -> None:
    X, y = task()
    fresh, truth = task(2000, seed=1)
    assert found.choice["view"] == "all" + DEVIATIONS
    assert accuracy(found.head, fresh, truth) > 0.85
    deviations = found.head.indices[found.head.plain_count :]
    loudest = deviations[found.head.coef[:, found.head.plain_count :].norm(dim=0).argsort(descending=True)[:2]]
    assert set(loudest.tolist()) == {20, 41}
    without = search(X, y, columns(), settings=replace(SETTINGS, deviations=False))
    assert accuracy(without.head, fresh, truth) < 0.65
    assert len(without.head.centre) == 0 and not any(DEVIATIONS in row["view"] for row in without.table)


@pytest.mark.parametrize("shift", [2, 602, 2014])
def test_another_zero_and_unit_of_the_features_changes_nothing(found, shift: float) -> None:
    X, y = task()
    moved = search(4 * X + shift, y, columns(), settings=SETTINGS)
    assert [row["view"] for row in moved.table] == [row["view"] for row in found.table]
    fresh, _ = task(500, seed=1)
    ours, theirs = (
        head.logits(torch.from_numpy(rows)[:, head.indices])
        for head, rows in ((found.head, fresh), (moved.head, 4 * fresh + shift))
    )
    torch.testing.assert_close(theirs, ours, rtol=0.02, atol=0.02)


def test_rows_of_unknown_class_have_them_too() -> None:
    X, y = task(440)
    probe = FeatureProbe(columns(), fractions=(0.1, 1.0)).fit(X[:240], y[:240], unlabelled=X[240:])
    assert any(row["unlabelled"] and DEVIATIONS in row["view"] for row in probe.search_table_)
    fresh, truth = task(2000, seed=1)
    assert probe.score(fresh, truth) > 0.85


@pytest.mark.parametrize(
    ("settings", "n"),
    [
        (SearchSettings(), 199),
        (SearchSettings(deviations=False), 200),
        (SearchSettings(layer_weights=("equal",)), 200),
        (SearchSettings(deviations=True, layer_weights=("equal",)), 200),
    ],
)
def test_no_view_has_them(settings: SearchSettings, n: int) -> None:
    assert settings.deviating_views(views_of_several_widths(), n) == ()


def test_the_narrowest_views_have_them() -> None:
    several = views_of_several_widths()
    assert SearchSettings().deviating_views(several, 200) == ("narrow", "twice", "joint")
    assert SearchSettings(views=("twice", "wide")).deviating_views(several, 200) == ("twice",)
    assert SearchSettings(deviations=True).deviating_views(several, 20) == ("narrow", "twice", "joint")
    made = several.with_deviations(("narrow", "twice"), 65)
    assert [made.width(view + DEVIATIONS) for view in ("narrow", "twice")] == [20, 40]
    assert made.indices("narrow" + DEVIATIONS).tolist() == [*range(10), *range(65, 75)]
    assert made.block_of("twice" + DEVIATIONS).tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10


def test_a_view_of_several_networks_is_compared_with_their_own() -> None:
    """The features of two are more than twice those of the narrower one."""
    several = views_of_several_widths()
    assert SearchSettings(views=("narrow", "wide", "joint")).deviating_views(several, 200) == ("narrow", "joint")
    assert several.with_deviations(("joint",), 65).networks_of("joint" + DEVIATIONS) == frozenset({"0", "1"})


def views_of_several_widths() -> Columns:
    blocks = (Block("a", "mean", 0, 10), Block("b", "mean", 10, 20), Block("c", "mean", 20, 65))
    views = {"narrow": (0,), "twice": (0, 1), "wide": (2,), "joint": (0, 1, 2), LINEAR_VIEW: (1,)}
    return Columns(blocks, views, networks={"joint": frozenset({"0", "1"})})


def test_the_search_ranks_deviations_beside_features_in_each_fold(found) -> None:
    rows = {(row["view"], row["layer_weights"]) for row in found.table}
    assert rows == {("all", "equal"), ("all", "learned"), ("all" + DEVIATIONS, "learned"), (LINEAR_VIEW, "equal")}
    widths = {row["features"] for row in found.table if row["view"] == "all" + DEVIATIONS}
    assert widths == {6, 36, 120}
    assert Features("all" + DEVIATIONS, "learned", 0.3).way == ("all" + DEVIATIONS, "learned")


def head(count: int, deviations: int, classes: int = 10, d: int = 200_000) -> LinearHead:
    """A head with features from several pages of indices."""
    g = torch.Generator().manual_seed(count)
    draw = [torch.randperm(d, generator=g)[:k].sort().values for k in (count - deviations, deviations)]
    return LinearHead(
        torch.cat(draw),
        torch.randn(count, generator=g),
        torch.rand(count, generator=g) + 0.1,
        torch.randn(classes, count, generator=g),
        torch.randn(classes, generator=g),
        torch.randn(deviations, generator=g),
    )


@pytest.mark.parametrize(("count", "deviations"), [(50, 20), (3000, 1000), (3000, 3000)])
def test_what_is_stored_of_a_head_says_the_same(count: int, deviations: int) -> None:
    kept = head(count, deviations).rounded()
    stored = kept.tensors()
    again = LinearHead.checked(stored, 10, 200_000)
    assert all(torch.equal(getattr(again, part.name), getattr(kept, part.name)) for part in fields(LinearHead))
    x = torch.randn(20, count, generator=torch.Generator().manual_seed(1))
    spread = head(count, deviations).logits(x).std()
    torch.testing.assert_close(kept.logits(x), head(count, deviations).logits(x), rtol=0, atol=0.05 * float(spread))


def test_logits_are_those_of_the_formula() -> None:
    one, generator = head(50, 20), torch.Generator().manual_seed(0)
    x = torch.randn(7, 50, generator=generator)
    values = torch.cat([x[:, :30], (x[:, 30:] - one.centre).abs()], dim=1).double()
    expected = ((values - one.mean) / one.scale) @ one.coef.T.double() + one.intercept
    torch.testing.assert_close(one.logits(x), expected.float(), rtol=1e-5, atol=1e-4)
    units = torch.randn(50, generator=generator), torch.rand(50, generator=generator) + 0.5
    torch.testing.assert_close(one.in_units(*units).logits(x), one.logits(x), rtol=0, atol=1e-3)


def test_a_sum_of_heads_has_the_features_and_deviations_of_all() -> None:
    """A column may be read as it is by one and as a deviation by another, or by one as both."""
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.normal(size=(9, 6)).astype(np.float32))
    mean, scale, centre = (torch.from_numpy(rng.uniform(0.5, 1.5, k)).float() for k in (12, 12, 6))
    heads = []
    for plain, deviations in (([0, 1, 4], [1, 2]), ([2, 5], [1, 5]), ([3], [])):
        numbers = torch.tensor([*plain, *(6 + j for j in deviations)])
        coef, intercept = (torch.from_numpy(rng.normal(size=size)).float() for size in ((C, len(numbers)), C))
        heads.append(LinearHead(torch.tensor([*plain, *deviations]), mean[numbers], scale[numbers], coef, intercept,
                                centre[torch.tensor(deviations, dtype=torch.int64)]))  # fmt: skip
    parts = list(zip(heads, (0.5, 2.0, -1.0), strict=True))
    found = weighted_sum(parts)
    assert found.indices.tolist() == [0, 1, 2, 3, 4, 5, 1, 2, 5] and found.plain_count == 6
    expected = torch.stack([weight * one.logits(X[:, one.indices]) for one, weight in parts]).sum(dim=0)
    torch.testing.assert_close(found.logits(X[:, found.indices]), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 40])
def test_a_limit_of_bytes_holds_with_a_centre_for_each_deviation(classes: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 8000)).astype(np.float32)
    y = np.arange(240) % classes
    X[:, :3000] = (
        np.abs(X[:, :3000]) * (1 + 0.5 * rng.normal(size=(classes, 3000))[y]) * rng.choice([-1, 1], (240, 3000))
    )
    size = 30_000
    settings = SearchSettings(
        fractions=(0.9, 1.0), strengths=(0.1,), layer_weights=("learned",), most_features=features_within(size, classes)
    )
    found = search(X, y, Columns.plain(8000), settings=settings)
    assert len(found.head.centre) > len(found.head.indices) / 4
    assert 0.9 * size < len(save(found.head.tensors())) <= size


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"centre": torch.zeros(3001)}, "centre has shape"),
        ({"centre": torch.zeros(10, 10)}, "centre has shape"),
        ({"centre": torch.zeros(999)}, "pages do not tell"),
        ({"pages": torch.zeros(2, 4, dtype=torch.int32)}, "pages do not tell"),
        ({"indices": torch.zeros(3000, dtype=torch.uint16)}, "indices are not ascending"),
    ],
)
def test_a_damaged_head_is_refused(damage: dict[str, torch.Tensor], message: str) -> None:
    stored = {**head(3000, 1000).rounded().tensors(), **damage}
    with pytest.raises(ValueError, match=message):
        LinearHead.checked(stored, 10, 200_000)


def test_a_head_whose_centre_is_lost_is_refused() -> None:
    stored = head(3000, 1000).rounded().tensors()
    del stored["centre"]
    with pytest.raises(ValueError, match="pages do not tell"):
        LinearHead.checked(stored, 10, 200_000)


@pytest.mark.parametrize("value", ["yes", 1, ("a",)])
def test_a_wish_that_is_neither_yes_nor_no_is_refused(value: object) -> None:
    with pytest.raises(ParameterError, match=r"deviations is .* use True, False, or None"):
        FeatureProbe(deviations=value).fit(*task())  # pyright: ignore[reportArgumentType]


def test_a_view_that_is_named_like_one_with_deviations_is_refused() -> None:
    X, y = task()
    known = columns()
    with pytest.raises(ParameterError, match="such names are the search's own"):
        FeatureProbe(replace(known, views={**known.views, "all" + DEVIATIONS: (0,)})).fit(X, y)


def test_columns_that_the_blocks_leave_out_play_no_part(found) -> None:
    X, y = task()
    wider = np.concatenate([X, np.random.default_rng(9).normal(size=(len(X), 7)).astype(np.float32)], axis=1)
    assert search(wider, y, columns(), settings=SETTINGS).table == found.table
