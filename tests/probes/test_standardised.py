"""The damped scale of commensurable features, and the symmetric product in strips."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from head2toe.probes import Block, Columns
from head2toe.probes.scratch import Scratch
from head2toe.probes.standardised import STRIPS, Standardised

N, D = 23, 14
BLOCKS = ((0, 5), (5, 11))  # the last three columns belong to no block


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, D)) * rng.uniform(0.01, 10, D) + rng.normal(size=D)).astype(np.float32)


def damped(X: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    variance = np.average((X - np.average(X, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    out = np.sqrt(variance)
    for start, stop in BLOCKS:
        out[start:stop] = np.sqrt(variance[start:stop] + variance[start:stop].mean())
    return out


@pytest.mark.parametrize("weighted", [False, True])
def test_the_scale_is_damped_by_the_mean_variance_of_the_block(X: np.ndarray, weighted: bool) -> None:
    weight = np.random.default_rng(1).uniform(0.5, 2, N) if weighted else None
    found = Standardised(X, weight, BLOCKS)
    np.testing.assert_allclose(found.scale, damped(X.astype(np.float64), weight), rtol=1e-4)
    z = (X - found.mean) / found.scale
    torch.testing.assert_close(found.tile(np.arange(D)), torch.from_numpy(z.T.copy()), rtol=1e-4, atol=1e-5)


def test_a_common_factor_of_a_block_changes_nothing(X: np.ndarray) -> None:
    factor = np.repeat([1000, 0.01, 7], [5, 6, 3]).astype(np.float32)
    plain, scaled = Standardised(X, blocks=BLOCKS), Standardised(X * factor, blocks=BLOCKS)
    everything = np.arange(D)
    torch.testing.assert_close(scaled.tile(everything), plain.tile(everything), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-28, 1e-19, 1e17, 1e30])
def test_features_whose_squares_no_float32_holds_are_features_all_the_same(X: np.ndarray, factor: float) -> None:
    everything = np.arange(D)
    plain, scaled = Standardised(X, blocks=BLOCKS), Standardised(X * np.float32(factor), blocks=BLOCKS)
    torch.testing.assert_close(scaled.tile(everything), plain.tile(everything), rtol=1e-4, atol=1e-4)


def test_a_feature_that_hardly_varies_stays_small_beside_its_neighbours(X: np.ndarray) -> None:
    X[:, 1] *= 1e-3 * X[:, 0].std() / X[:, 1].std()
    spread = Standardised(X, blocks=BLOCKS).tile(np.arange(5)).std(dim=1, correction=0)
    assert spread[1] < 0.01
    assert Standardised(X).tile(np.arange(5)).std(dim=1, correction=0)[1] == pytest.approx(1, abs=1e-2)


def test_constant_features_become_zero_in_a_block_too(X: np.ndarray) -> None:
    X[:, 2] = 4321.5
    found = Standardised(X, blocks=BLOCKS)
    z = found.tile(np.arange(5))
    assert np.isinf(found.scale[2]) and not z[2].any() and z[[0, 1, 3, 4]].any(dim=1).all()


@pytest.mark.parametrize("n", [300, 3000])
def test_a_constant_of_many_rows_is_constant(n: int) -> None:
    values = np.linspace(0.1, 10, 50, dtype=np.float32)
    assert np.isinf(Standardised(np.tile(values, (n, 1))).scale).all()


def test_only_commensurable_columns_are_damped() -> None:
    blocks = (Block("a", "mean", 0, 5), Block("b", "mean", 5, 11))
    assert Columns(blocks, {"all": (0, 1)}).spans() == list(BLOCKS)
    assert Columns(blocks, {"all": (0, 1)}, commensurable=False).spans() == []
    assert Columns.plain(D).spans() == []


@pytest.mark.parametrize("n", [1, 3, STRIPS, STRIPS + 1, N])
def test_a_gram_matrix_in_strips_is_the_product(X: np.ndarray, n: int) -> None:
    """Whatever number of rows the strips do not divide; and symmetric to the last bit."""
    found = Standardised(X, blocks=BLOCKS)
    kept, of = np.array([0, 3, 4, 9, 13]), np.sort(np.random.default_rng(2).permutation(N)[:n])
    importance = np.array([0.5, 0.0, 2.0, 1.0, 3.0])
    z = found.tile(kept)[:, torch.from_numpy(of)]
    gram, weighted = found.gram(kept, subset=of), found.gram(kept, importance, subset=of)
    torch.testing.assert_close(gram, z.T @ z)
    torch.testing.assert_close(weighted, z.T @ (torch.from_numpy(importance).float()[:, None] * z))
    assert torch.equal(gram, gram.T) and torch.equal(weighted, weighted.T)


def test_a_gram_matrix_of_several_tiles(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("head2toe.probes.standardised.TILE_BYTES", 4 * N * 4)  # four features a tile
    found = Standardised(X, blocks=BLOCKS)
    assert found.step == 4
    z = found.tile(np.arange(D))
    torch.testing.assert_close(found.gram(np.arange(D)), z.T @ z)


def copies(X: np.ndarray, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Standardised]:
    """The same rows in a scratch file, in memory, and made on the fly; four features a tile."""
    monkeypatch.setattr("head2toe.probes.standardised.TILE_BYTES", 4 * N * 4)
    np.save(folder / "rows.npy", X)
    opened = np.load(folder / "rows.npy", mmap_mode="r")
    found = {"scratch": Standardised(opened, blocks=BLOCKS), "memory": Standardised(X, blocks=BLOCKS)}
    monkeypatch.setattr("head2toe.probes.standardised.HELD_SHARE", 0.0)
    monkeypatch.setattr("head2toe.probes.scratch.FREE_SHARE", 0.0)
    return {**found, "on the fly": Standardised(opened, blocks=BLOCKS)}


def test_wherever_the_features_lie_they_are_the_same(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = copies(X, tmp_path, monkeypatch)
    assert [type(one._copy) for one in found.values()] == [Scratch, torch.Tensor, type(None)]
    for indices in (np.arange(D), np.arange(3, 9), np.array([0, 3, 4, 9, 13]), np.array([13])):
        expected = found["memory"].tile(indices)
        assert expected.shape == (len(indices), N)
        assert all(torch.equal(one.tile(indices), expected) for one in found.values())
        gram, dual = found["memory"].gram(indices), torch.randn(N, 2)
        for one in found.values():
            torch.testing.assert_close(one.gram(indices), gram)
            torch.testing.assert_close(one.project(indices, dual), expected @ dual)


def test_weights_are_of_the_product_and_not_of_the_features(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles are weighted in a matrix that several of them share; what lies in the copy must stay."""
    importance = np.random.default_rng(3).random(D)
    for one in copies(X, tmp_path, monkeypatch).values():
        for indices in (np.arange(D), np.array([0, 3, 4, 9, 13])):
            z, eta = one.tile(indices).clone(), importance[indices]
            weighted = z.T @ (torch.from_numpy(eta).float()[:, None] * z)
            torch.testing.assert_close(one.gram(indices, eta), weighted)
            assert torch.equal(one.tile(indices), z)


def test_a_scratch_file_has_no_name(X: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", X)
    found = Standardised(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert isinstance(found._copy, Scratch)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


def test_a_large_array_in_memory_has_a_scratch_file_too(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second copy in memory would make a fit take more than twice the matrix."""
    expected = Standardised(X).tile(np.arange(D))
    monkeypatch.setattr("head2toe.probes.scratch.SMALL_BYTES", X.nbytes)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = Standardised(X)
    assert isinstance(found._copy, Scratch) and torch.equal(found.tile(np.arange(D)), expected)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert isinstance(Standardised(X)._copy, torch.Tensor)


def test_a_disk_that_fills_up_costs_nothing_but_memory(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, tiles: object, n: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("head2toe.probes.scratch.Scratch", full)
    np.save(tmp_path / "rows.npy", X)
    found = Standardised(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert torch.equal(found.tile(np.arange(D)), Standardised(X).tile(np.arange(D)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a mapped file cannot be deleted")
def test_rows_whose_folder_is_gone_are_copied_into_memory(X: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    np.save(folder / "rows.npy", X)
    opened = np.load(folder / "rows.npy", mmap_mode="r")
    shutil.rmtree(folder)
    assert torch.equal(Standardised(opened).tile(np.arange(D)), Standardised(X).tile(np.arange(D)))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is resident")
def test_of_a_scratch_file_memory_holds_what_was_read_last(tmp_path: Path) -> None:
    rng, n, d, width = np.random.default_rng(0), 512, 16000, 1000
    before = _mapped()
    found = Scratch(tmp_path, [torch.from_numpy(rng.random((d, n), np.float32))], n)
    for start in range(0, d, width):
        assert float(found[start : start + width].sum()) > 0
        assert _mapped() - before < 2 * 4 * n * width + 2**21  # what is read ahead lies beside it


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is resident")
def test_a_memmap_does_not_stay_in_memory_beside_its_copy(tmp_path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(500, 20000)).astype(np.float32))
    opened = np.load(path, mmap_mode="r")
    for X in (opened, np.asarray(opened)):
        assert float(X.sum()) and _resident(path) > 0.9 * opened.nbytes
        held = Standardised(X)
        assert _resident(path) < 0.1 * opened.nbytes
    assert torch.equal(held.tile(np.arange(20000)), Standardised(np.array(opened)).tile(np.arange(20000)))


def test_what_was_written_to_a_private_memmap_is_kept(tmp_path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.zeros((20, 5), np.float32))
    X = np.load(path, mmap_mode="c")
    X[:] = np.random.default_rng(0).normal(size=X.shape)
    before = X.copy()
    Standardised(X)
    np.testing.assert_array_equal(X, before)


def _resident(path) -> int:
    """Bytes of a mapped file that this process has in memory."""
    return sum(one.rss for one in psutil.Process().memory_maps() if one.path == str(path))


def _mapped() -> int:
    """Bytes of nameless files that this process has in memory."""
    return sum(one.rss for one in psutil.Process().memory_maps() if "(deleted)" in one.path)
