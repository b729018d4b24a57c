"""Pooling: the reference's integer arithmetic, and that operations compute what their names say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tapped import tapped

from head2toe.features.pooling import Deviation, operation
from head2toe.features.pooling_rules import map_window, operations, token_window


def _official_resnet50_shapes():
    """The 50 maps the official code taps at 240 pixels: root, three convolutions a unit, features before pooling."""
    units = [(3, 64, 60), (4, 128, 30), (6, 256, 15), (3, 512, 8)]
    maps = [(64, 60, 60)]
    for count, width, side in units:
        maps += count * [(width, side, side), (width, side, side), (4 * width, side, side)]
    return [*maps, (2048, 8, 8)]


@pytest.mark.parametrize(("target", "published"), [(512, 32_232), (8192, 405_224), (24576, 1_735_656)])
def test_resnet50_has_the_paper_s_number_of_features(target, published):
    total = 2048 + 1000  # pooled features and logits, as they are
    for shape in _official_resnet50_shapes():
        (text,) = operations(tapped("map", shape), target)
        total += operation(text).size(shape)
    assert total == published


@pytest.mark.parametrize(
    ("shape", "target", "window"),
    [
        ((512, 7, 7), 512, None),  # C >= N
        ((513, 7, 7), 512, None),
        ((256, 14, 14), 512, 14),  # N // C = 2, int(sqrt) = 1
        ((128, 28, 28), 512, 14),  # N // C = 4 -> 2
        ((64, 112, 112), 512, 56),  # 8 -> 2
        ((64, 112, 112), 8192, 10),  # 128 -> 11; 112 // 11
        ((64, 112, 112), 24576, 5),  # 384 -> 19; 112 // 19
        ((2048, 7, 7), 24576, 2),  # 12 -> 3; 7 // 3
        ((2048, 7, 7), 8192, 3),  # 4 -> 2; 7 // 2
        ((8, 7, 7), 8192, 1),  # 1024 -> 32; 7 // 32 = 0: kept as it is
        ((64, 20, 10), 512, 5),  # the width decides
    ],
)
def test_windows_of_maps(shape, target, window):
    assert map_window(shape, target) == window


@pytest.mark.parametrize(
    ("shape", "target", "window"),
    [
        ((197, 768), 768, None),
        ((197, 768), 769, 196),  # 197 / 1.0013
        ((197, 768), 15360, 9),  # 197 / 20
        ((197, 768), 32448, 4),  # 197 / 42.25
        ((197, 3072), 15360, 39),  # 197 / 5
        ((197, 3072), 32448, 18),  # 197 / 10.5625
        ((49, 64), 8192, 1),  # 49 / 128 = 0: kept as it is
    ],
)
def test_windows_of_tokens(shape, target, window):
    assert token_window(shape, target) == window


@pytest.mark.parametrize(
    ("kind", "shape", "target", "prefix", "cls_token", "expected"),
    [
        ("vector", (1000,), 512, 0, "with", ("identity",)),
        ("map", (256, 14, 14), 512, 0, "with", ("mean",)),
        ("map", (64, 14, 14), 512, 0, "with", ("avg:7",)),
        ("map", (8, 7, 7), 8192, 0, "with", ("identity",)),
        ("tokens", (197, 768), 768, 1, "with", ("mean",)),
        ("tokens", (197, 768), 15360, 1, "with", ("tokens-avg:9",)),
        ("tokens", (197, 768), 15360, 1, "alone", ("cls",)),
        ("tokens", (197, 768), 768, 1, "beside", ("cls", "rest-mean:1")),
        ("tokens", (201, 768), 15360, 5, "beside", ("cls", "rest-avg:9,5")),  # 196 / 20
        ("tokens", (196, 768), 15360, 0, "alone", ("tokens-avg:9",)),  # no class token to keep alone
        ("tokens", (196, 768), 768, 0, "beside", ("mean",)),
    ],
)
def test_operations_by_kind_and_class_token(kind, shape, target, prefix, cls_token, expected):
    assert operations(tapped(kind, shape, prefix=prefix), target, cls_token) == expected


@settings(deadline=None)
@given(channels=st.integers(1, 9), height=st.integers(1, 9), width=st.integers(1, 9), target=st.integers(1, 900))
def test_maps_are_averaged_over_windows(channels, height, width, target):
    shape = (channels, height, width)
    tensor = torch.rand(2, height, width, channels, generator=torch.Generator().manual_seed(target))
    (text,) = operations(tapped("map", shape), target)
    pooled = operation(text).apply(tensor)
    assert pooled.shape == (2, operation(text).size(shape))
    k = map_window(shape, target)
    rows, columns = (height, width) if k is None or text == "mean" else (min(k, height), min(k, width))
    expected = [
        tensor[:, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].mean((1, 2))
        for i in range(height // rows)
        for j in range(width // columns)
    ]
    torch.testing.assert_close(pooled, torch.cat(expected, 1))


@settings(deadline=None)
@given(
    tokens=st.integers(3, 12),
    channels=st.integers(1, 5),
    target=st.integers(1, 90),
    prefix=st.integers(0, 2),
    cls_token=st.sampled_from(["with", "alone", "beside"]),
)
def test_tokens_are_averaged_in_their_order(tokens, channels, target, prefix, cls_token):
    shape = (tokens, channels)
    tensor = torch.rand(2, tokens, channels, generator=torch.Generator().manual_seed(target))
    for text in operations(tapped("tokens", shape, prefix=prefix), target, cls_token):
        pooled = operation(text).apply(tensor)
        assert pooled.shape == (2, operation(text).size(shape))
        if text == "cls":
            expected = tensor[:, 0]
        else:
            rest = tensor[:, prefix:] if text.startswith("rest") else tensor
            k = token_window((rest.shape[1], channels), target)
            k = rest.shape[1] if k is None else k
            windows = [rest[:, i * k : (i + 1) * k].mean(1) for i in range(rest.shape[1] // k)]
            expected = torch.cat(windows, 1)
        torch.testing.assert_close(pooled, expected)


def test_unknown_operation_is_refused():
    with pytest.raises(ValueError, match="known are"):
        operation("median:3")


def test_a_small_deviation_fades_and_is_not_cut_off():
    """Where a channel hardly varies, rounding tells its deviation: what moves the variance must move a row little."""
    wanted = torch.linspace(1e-3, 4e-3, 301)  # of a mean of one
    signs = torch.ones(256).index_fill(0, torch.arange(0, 256, 2), -1.0)
    tensor = (1 + wanted * signs[:, None]).reshape(1, 16, 16, 301)
    found = Deviation().apply(tensor)[0]
    assert found[0] < 1e-6 and float(found.diff().abs().max()) < 6e-4
    large = wanted > 3e-3
    torch.testing.assert_close(found[large], wanted[large], rtol=0.05, atol=0)
