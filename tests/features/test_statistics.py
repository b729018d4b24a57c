"""Statistics of each channel: deviation, maximum, centre of mass and second moments, of maps and of tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tapped import tapped

from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import ALL_STATISTICS, statistics


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(3, 6, 9, 5, generator=torch.Generator().manual_seed(0)) + 2


def blob(row: int, column: int, height: int = 7, width: int = 7, background: float = 3.0) -> torch.Tensor:
    """One image of one channel, with a single active place."""
    out = torch.full((1, height, width, 1), background)
    out[0, row, column] += 5
    return out


def tokens_of(maps: torch.Tensor, prefix: int) -> torch.Tensor:
    """The map's places in a row, behind prefix tokens that no statistic may look at."""
    front = torch.full((len(maps), prefix, maps.shape[-1]), 1000.0)
    return torch.cat([front, maps.flatten(1, 2)], dim=1)


def test_deviation_and_maximum(maps: torch.Tensor) -> None:
    deviation = operation("std").apply(maps)
    torch.testing.assert_close(deviation, maps.var(dim=(1, 2), correction=0).sqrt(), rtol=1e-4, atol=1e-5)
    assert torch.equal(operation("max").apply(maps), maps.amax(dim=(1, 2)))


def test_a_map_of_one_value_has_no_deviation() -> None:
    deviation = operation("std").apply(torch.full((1, 5, 5, 4), 7.7))
    assert torch.isfinite(deviation).all() and deviation.max() < 0.01


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [(0, 0, (-1, -1)), (6, 0, (1, -1)), (3, 3, (0, 0)), (3, 6, (0, 1)), (1, 4, (-2 / 3, 1 / 3))],
)
def test_centre_of_a_planted_blob(row: int, column: int, expected: tuple[float, float]) -> None:
    """Rows first, then columns, from -1 to 1; the background has no say."""
    found = operation("centre").apply(blob(row, column))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float32), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [10, 14, 31])
def test_centre_moves_with_a_shift_on_large_maps(side: int) -> None:
    """Larger maps are taken together in seven bins: the centre never moves back, and from end to end."""
    along = torch.cat([operation("centre").apply(blob(side // 2, place, side, side)) for place in range(side)])
    assert (along[:, 1].diff() >= -1e-5).all()
    assert along[0, 1] == pytest.approx(-1, abs=1e-5) and along[-1, 1] == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(along[:, 0], along[:1, 0].expand(side), atol=1e-5, rtol=0)  # the row stays


def test_all_rows_come_before_all_columns_and_scale_does_not_matter(maps: torch.Tensor) -> None:
    centre = operation("centre")
    found = centre.apply(maps)
    assert found.shape == (3, 10) == (3, centre.size((5, 6, 9))) and found.abs().max() <= 1
    torch.testing.assert_close(centre.apply(maps.transpose(1, 2)), found.roll(5, dims=1), atol=1e-4, rtol=0)
    torch.testing.assert_close(centre.apply(10 * maps), found, atol=1e-4, rtol=0)
    torch.testing.assert_close(centre.apply(maps.flip(1, 2)), -found, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.3, -4.0])
def test_a_flat_map_has_its_centre_in_the_middle(value: float) -> None:
    found = operation("centre").apply(torch.full((2, 14, 14, 3), value))
    torch.testing.assert_close(found, torch.zeros(2, 6), atol=1e-6, rtol=0)


def test_rounding_has_no_centre() -> None:
    """A channel that is flat but for its last bits stays in the middle, whatever they are; a faint one is told."""
    noise = torch.randn(4, 14, 14, 3, generator=torch.Generator().manual_seed(0))
    found = operation("centre").apply(5 + 1e-6 * noise)
    assert found.abs().max() < 1e-3
    faint, clear = operation("centre").apply(5 + 0.05 * noise), operation("centre").apply(0.05 * noise)
    torch.testing.assert_close(faint, clear, atol=1e-3, rtol=0)


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_on_a_grid_say_what_the_map_says(maps: torch.Tensor, prefix: int) -> None:
    shape, grid = (prefix + 54, 5), (6, 9)
    of_map = list(statistics(tapped("map", (5, 6, 9)), ALL_STATISTICS))
    tokens = tapped("tokens", shape, prefix=prefix, grid=grid)
    of_tokens = [text for text in statistics(tokens, ALL_STATISTICS) if text != "cls"]
    assert len(of_map) == len(of_tokens) == len(ALL_STATISTICS)
    for ours, theirs in zip(of_tokens, of_map, strict=True):
        found = operation(ours).apply(tokens_of(maps, prefix))
        assert found.shape[1] == operation(ours).size(shape)
        torch.testing.assert_close(found, operation(theirs).apply(maps), rtol=1e-4, atol=1e-5)


def test_second_moments_estimate_inner_products_of_covariances() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 400
    mix = torch.randn(2, count, count, generator=generator) / 20
    maps = torch.stack([torch.randn(64, count, generator=generator) @ one for one in mix]).unflatten(1, (8, 8))
    found = operation("moments").apply(maps)
    assert found.shape == (2, operation("moments").size((count, 8, 8)))
    flat = maps.flatten(1, 2) - maps.flatten(1, 2).mean(1, keepdim=True)
    covariance = flat.transpose(1, 2) @ flat / 64
    known = torch.einsum("aij,bij->ab", covariance, covariance) / count
    own = found @ found.T
    assert float(own[0, 0] / own[1, 1]) == pytest.approx(float(known[0, 0] / known[1, 1]), rel=0.3)
    assert float(own[0, 0] / known[0, 0]) == pytest.approx(1, rel=0.3)


def test_second_moments_do_not_see_the_mean() -> None:
    tokens = torch.randn(2, 10, 8, generator=torch.Generator().manual_seed(0))
    moments = operation("moments")
    torch.testing.assert_close(moments.apply(tokens + 3.0), moments.apply(tokens), atol=1e-5, rtol=1e-4)


def test_second_moments_bear_autocast_and_gradients_after_inference() -> None:
    """Sixteen bits overflow at squares of hundreds; and what is drawn for an extraction serves a training too."""
    maps = 400 * torch.randn(2, 6, 6, 11, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = operation("moments").apply(maps)
    with torch.autocast("cpu", torch.float16):
        torch.testing.assert_close(operation("moments").apply(maps), expected.clone())
    maps.requires_grad_()
    operation("moments").apply(maps).sum().backward()
    assert maps.grad is not None and maps.grad.any()


def test_the_projections_of_second_moments_never_change() -> None:
    """Saved probes depend on them. Of one channel they are signs times one: the variance, or its negative."""
    places = torch.tensor([[[1.0], [-1.0]]])
    assert operation("moments").apply(places).abs() == 1
    words = np.random.PCG64(4).random_raw(1)  # 2 x 4 x 4 bits, the bytes from the lowest, in a byte from the highest
    bits = [int(words[0]) >> 8 * (i // 8) + 7 - i % 8 & 1 for i in range(32)]
    first, second = torch.tensor(bits).reshape(2, 4, 4) - 0.5  # half of the signs, times half of 1 / sqrt(4)
    places = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(0))
    centred = places - places.mean(1)
    torch.testing.assert_close(operation("moments").apply(places), (centred @ first * (centred @ second)).mean(1))


@pytest.mark.parametrize(
    ("kind", "shape", "prefix", "grid", "expected"),
    [
        ("map", (5, 6, 9), 0, None, ("mean", "std", "max", "centre", "moments")),
        ("map", (5, 1, 9), 0, None, ("mean", "std", "max", "moments")),  # no second axis to be centred along
        ("tokens", (55, 5), 1, (6, 9), ("cls", "rest-mean:1", "std:1", "max:1", "centre:6,9,1", "moments:1")),
        ("tokens", (54, 5), 0, (6, 9), ("mean", "std", "max", "centre:6,9,0", "moments")),
        ("tokens", (50, 5), 0, None, ("mean", "std", "max", "moments")),
        ("sequence", (20, 5), 1, None, ("cls", "rest-mean:1", "std:1", "max:1", "moments:1")),
        ("vector", (8,), 0, None, ("identity",)),
    ],
)
def test_operations(kind, shape, prefix, grid, expected) -> None:
    assert statistics(tapped(kind, shape, prefix=prefix, grid=grid), ALL_STATISTICS) == expected


def test_only_what_is_wanted_in_that_order() -> None:
    assert statistics(tapped("map", (5, 6, 9)), ("max", "mean")) == ("max", "mean")


@pytest.mark.parametrize("name", ALL_STATISTICS)
def test_gradients_flow_and_are_finite_where_a_channel_is_dead(name: str) -> None:
    """Fine-tuning under the head differentiates what extraction only computes."""
    maps = torch.randn(2, 6, 6, 3, generator=torch.Generator().manual_seed(0))
    maps[..., 1] = 0
    maps.requires_grad_()
    operation(name).apply(maps.relu()).square().sum().backward()
    assert maps.grad is not None and maps.grad.isfinite().all()
    assert maps.grad[..., 0].any()


def test_the_gradient_of_a_deviation_is_finite_where_the_mean_is_nearly_zero() -> None:
    """One such channel of one image made a whole network NaN."""
    maps = torch.ones(1, 6, 6, 8)
    maps[:, ::2] = -1
    maps += 10.0 ** -torch.arange(5, 13)  # means of 1e-5 to 1e-12; in float32 the least vanish beside a one
    maps[..., 4:] = 1e-3 * maps[..., 4:].sign() + 10.0 ** -torch.arange(9, 13)
    maps.requires_grad_()
    found = operation("std").apply(maps)
    found.sum().backward()
    assert maps.grad is not None
    expected = (maps - maps.mean((1, 2), keepdim=True)).detach() / (36 * found.detach())
    torch.testing.assert_close(maps.grad, expected, rtol=1e-4, atol=1e-6)
