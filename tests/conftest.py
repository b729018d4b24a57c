"""What all tests share: one thread a process, and the folder of real data where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

CHECKOUT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)  # tests run in parallel processes; more threads each would fight over the cores


@pytest.fixture(autouse=True)
def cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own for each test: the user's is not to be written to."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout, with real data and weights that are not part of the project."""
    folder = CHECKOUT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no folder 'shared' with data and weights beside the checkout")
    return folder
