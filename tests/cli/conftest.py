"""The program run in this process; a tiny network in timm's layout; a folder of pictures; a fitted probe."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PIL import Image

from estimators.tiny import pictures, write_local_dir
from head2toe.cli import main

FAST = ("--target-size", "8", "--dtype", "float32")
QUICK_SEARCH = ("--cv", "2")


def write_folder(folder, n=30, seed=0):
    """A subfolder a class: left, middle, right; `n` noisy pictures with a bright square there."""
    images, labels = pictures(n, seed)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """Specification of timm's `test_resnet` with random weights, in timm's hub layout."""
    return write_local_dir(tmp_path_factory.mktemp("hub") / "tiny", seed=0)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "pictures")


@pytest.fixture
def run(capsys):
    """Run the program: exit code, standard output, its JSON where there is some, lines of standard error."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(
            code=code, out=out, err=err.splitlines(), json=json.loads(out) if "--json" in arguments and out else None
        )

    return run


@pytest.fixture
def fit(run, backbone):
    """Run `head2toe fit` with the tiny network."""

    def fit(data, out, *options):
        return run("fit", data, "--backbone", backbone, "--out", out, *FAST, *QUICK_SEARCH, *options)

    return fit


@pytest.fixture(scope="session")
def probe(backbone, tmp_path_factory):
    """A probe folder, fitted on the pictures of `write_folder`."""
    place = tmp_path_factory.mktemp("fitted")
    data = write_folder(place / "pictures")
    arguments = [
        "fit",
        str(data),
        "--backbone",
        backbone,
        "--out",
        str(place / "probe"),
        "--no-cache",
        *FAST,
        *QUICK_SEARCH,
    ]
    assert main(arguments) == 0
    return place / "probe"
