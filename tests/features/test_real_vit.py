"""A vision transformer with real weights: its class token by every option, and its patches as a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.backbones import load
from head2toe.data import as_images, read_data
from head2toe.features import Plan, extract, layers

TOKENS, CHANNELS = 197, 192  # 14 x 14 patches and a class token


@pytest.fixture(scope="module")
def vit(shared):
    return load(f"timm/local-dir:{shared / 'weights' / 'vit_tiny_patch16_224'}")


@pytest.fixture(scope="module")
def photographs(shared):
    found = read_data(shared / "data" / "signdigits.zip", split="test")
    return as_images([found[i] for i in (0, 300, 700)])


@pytest.fixture(scope="module")
def states(vit, photographs):
    """What timm itself calls the output of block 5: (n, 197, 192), the class token first."""
    batch = vit.preprocessing.batch([vit.preprocessing.image(photographs[i]) for i in range(len(photographs))])
    with torch.inference_mode():
        ((prefix, patches),) = [
            (prefix, tokens)
            for tokens, prefix in vit.module.forward_intermediates(
                batch, indices=[5], return_prefix_tokens=True, intermediates_only=True, output_fmt="NLC"
            )
        ]
    return torch.cat([prefix, patches], dim=1)


def rows_of(vit, photographs, size, option):
    plan = Plan.build(layers(vit, "blocks.5"), (size,), cls_token=option)
    rows = extract(vit, photographs, plan, dtype="float32", progress=False).rows
    blocks = [plan.blocks[i] for i in plan.views[str(size)]]
    return [block.operation for block in blocks], torch.from_numpy(
        np.concatenate([rows[:, block.start : block.stop] for block in blocks], axis=1)
    )


def windows(tokens, width):
    """Means over `width` consecutive tokens, flattened."""
    whole = tokens.shape[1] // width
    return torch.stack([tokens[:, i * width : (i + 1) * width].mean(1) for i in range(whole)], dim=1).flatten(1)


@pytest.mark.parametrize(
    ("option", "size", "operations", "expected"),
    [
        ("with", 128, ["mean"], lambda states: states.mean(1)),
        ("with", 1024, ["tokens-avg:36"], lambda states: windows(states, 36)),
        ("alone", 1024, ["cls"], lambda states: states[:, 0]),
        ("beside", 128, ["cls", "rest-mean:1"], lambda states: torch.cat([states[:, 0], states[:, 1:].mean(1)], 1)),
        (
            "beside",
            1024,
            ["cls", "rest-avg:36,1"],
            lambda states: torch.cat([states[:, 0], windows(states[:, 1:], 36)], 1),
        ),
    ],
)
def test_class_token(vit, photographs, states, option, size, operations, expected):
    found, rows = rows_of(vit, photographs, size, option)
    assert found == operations
    torch.testing.assert_close(rows, expected(states), rtol=1e-4, atol=1e-4)


def test_layers_know_their_class_token_and_their_grid(vit):
    found = {layer.name: layer for layer in layers(vit)}
    blocks = [found[f"blocks.{i}"] for i in range(11)]
    assert {(layer.shape, layer.prefix, layer.grid) for layer in blocks} == {((TOKENS, CHANNELS), 1, (14, 14))}
    assert (found["patch_embed"].prefix, found["patch_embed"].grid) == (0, (14, 14))


@pytest.mark.parametrize(("place", "vertical", "horizontal"), [((16, 144), -1, 1), ((144, 16), 1, -1)])
def test_patches_lie_on_the_grid_as_in_the_picture(vit, place, vertical, horizontal):
    """A white square of whole patches pulls the centre of mass of what it raises: rows first, then columns."""
    top, left = place
    pixels = np.zeros((2, 224, 224, 3), np.uint8)
    pixels[0, top : top + 64, left : left + 64] = 255
    plan = Plan.build(layers(vit, "patch_embed"), (), statistics=("mean", "centre"))
    rows = extract(vit, as_images(pixels), plan, dtype="float32", progress=False).rows
    columns = {block.operation.partition(":")[0]: slice(block.start, block.stop) for block in plan.blocks}
    centres = rows[0, columns["centre"]].reshape(2, CHANNELS)
    raised = rows[0, columns["mean"]] > rows[1, columns["mean"]] + 0.01  # against a black picture
    assert raised.sum() > CHANNELS / 6
    assert (centres[0, raised] * vertical > 0.2).all()
    assert (centres[1, raised] * horizontal > 0.2).all()
