"""A matrix on disk that is larger than the memory a process may take still gives a probe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

N, D = 399, 350_000
ROOM = 250 * 2**20  # that the search may take, of memory that is no file

SEARCH = f"""
import resource, sys
from pathlib import Path
import numpy as np, torch
from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search

torch.set_num_threads(1)
torch.linalg.eigh(torch.eye(50, dtype=torch.float64))  # what libraries keep for themselves
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
resource.setrlimit(resource.RLIMIT_DATA, (1024 * int(status["VmData"].split()[0]) + {ROOM},) * 2)
try:
    np.ones({N} * {D}, np.float32)
except MemoryError:
    X = np.load(sys.argv[1], mmap_mode="r")
    y = np.arange(len(X)) % 3
    blocks = Block("a", "mean", 0, {D} - 50), Block("last", "identity", {D} - 50, {D})
    columns = Columns(blocks, {{"all": (0, 1), LINEAR_VIEW: (1,)}})
    few = SearchSettings(
        fractions=(0.001,), layer_weights=("equal",), heads=("least squares",), strengths=(0.1,), folds=2, repeats=1
    )
    print(search(X, y, columns, settings=few).cv_accuracy)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is the Linux kernel's")
def test_a_matrix_on_disk_may_be_larger_than_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (N, D))
    for row in X:
        row[:] = rng.standard_normal(D, dtype=np.float32)
    X[:, 1000:1100] += 2 * rng.standard_normal((3, 100))[np.arange(N) % 3]
    assert X.nbytes > 2 * ROOM
    X.flush()
    del X
    command = [sys.executable, "-c", SEARCH, str(tmp_path / "rows.npy")]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # threads keep memory of their own
    found = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    assert float(found.stdout) > 0.9
