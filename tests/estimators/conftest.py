"""Fixtures: the tiny network and pictures of `tiny.py`."""

from __future__ import annotations

import pytest
from PIL import Image
from tiny import pictures, tiny_network, write_local_dir

from head2toe import backbones


@pytest.fixture
def module():
    return tiny_network()


@pytest.fixture(scope="session")
def local_dir(tmp_path_factory) -> str:
    """Specification of the same network in timm's hub layout."""
    return write_local_dir(tmp_path_factory.mktemp("hub") / "tiny", seed=0)


@pytest.fixture
def data():
    return pictures()


@pytest.fixture
def files(tmp_path):
    """The same as files: paths, and labels."""
    images, labels = pictures()
    paths = [tmp_path / f"{i:02d}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths, labels


@pytest.fixture
def no_loading(monkeypatch):
    """Loading a backbone is an error."""

    def refuse(*args, **kwargs):
        raise AssertionError("a backbone was loaded")

    monkeypatch.setattr(backbones, "load", refuse)
