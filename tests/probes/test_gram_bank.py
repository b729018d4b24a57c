"""What the Gram bank holds, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from head2toe.probes import LINEAR_VIEW, Block, Columns, gram_bank
from head2toe.probes.gram_bank import GramBank
from head2toe.probes.scratch import Scratch
from head2toe.probes.standardised import Standardised

N, D = 30, 6
COLUMNS = Columns((Block("a", "mean", 0, 4), Block("b", "mean", 4, D)), {"all": (0, 1), LINEAR_VIEW: (1,)})


@pytest.fixture
def X() -> np.ndarray:  # noqa: N802
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def test_of_many_rows_it_holds_a_sample(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks times rows squared would fill memory."""
    monkeypatch.setattr(gram_bank, "MOST_ROWS", 10)
    rows = Standardised(X, None, COLUMNS.spans())
    held = GramBank(rows, COLUMNS, random_state=1)
    assert held.grams.n == len(held.anchors) == 10 and (np.diff(held.anchors) > 0).all()
    assert held.anchors.tolist() != GramBank(rows, COLUMNS, random_state=2).anchors.tolist()


def test_a_large_one_lies_on_disk_beside_the_rows(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "rows.npy", X)
    opened = np.load(tmp_path / "rows.npy", mmap_mode="r")
    small = GramBank(Standardised(opened, None, COLUMNS.spans()), COLUMNS)
    monkeypatch.setattr(gram_bank, "SMALL_BYTES", 4 * 2 * N * (N + 1) // 2)
    large = GramBank(Standardised(opened, None, COLUMNS.spans()), COLUMNS)
    assert isinstance(small.grams._packed, torch.Tensor) and isinstance(large.grams._packed, Scratch)
    for importance in (None, torch.tensor([0.5, 2.0])):
        torch.testing.assert_close(large.view("all", importance), small.view("all", importance))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]
