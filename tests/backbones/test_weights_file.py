"""Files of weights: what torch.save writes is read where it holds tensors alone, and refused with the cure if not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from head2toe.backbones.weights_file import load_strictly
from head2toe.errors import WeightsMismatchError


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 2))


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin"])
def test_what_torch_save_writes_is_read_by_each_of_its_endings(ending: str, tmp_path: Path) -> None:
    path, module = tmp_path / f"pytorch_model{ending}", network(1)
    torch.save(network().state_dict(), path)
    load_strictly(module, path)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in network().state_dict().items())


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (network(), r"torch\.nn\.modules\.container\.Sequential"),
        ({"model": network().state_dict(), "args": argparse.Namespace(lr=0.1)}, r"argparse\.Namespace"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_objects_are_named_with_what_to_save(held: object, kind: str, zipped: bool, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "whole.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        WeightsMismatchError, match=rf"whole pickled object \({kind}\).*model\.state_dict\(\)"
    ) as caught:
        load_strictly(network(), tmp_path / "whole.pth")
    assert str(caught.value).isprintable()  # one line, without torch's colours
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"junk", b"version https://git-lfs.github.com/spec/v1\n"])
def test_damaged_files_are_called_so(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged.bin").write_bytes(data)
    with pytest.raises(WeightsMismatchError, match=r"damaged\.bin is not a state dict of tensors: the file is damaged"):
        load_strictly(network(), tmp_path / "damaged.bin")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript itself
def test_an_archive_of_torchscript_is_called_so(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(network()), tmp_path / "script.pt")
    with pytest.raises(WeightsMismatchError, match=r"a TorchScript archive: save model\.state_dict\(\)"):
        load_strictly(network(), tmp_path / "script.pt")


def test_another_ending_is_told_those_that_are_read(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "state.ckpt")
    with pytest.raises(WeightsMismatchError, match=r"not a safetensors file.*\.pth, \.pt, \.bin"):
        load_strictly(network(), tmp_path / "state.ckpt")
