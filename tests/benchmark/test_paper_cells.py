"""The cells of the paper's table: what is there is kept, what is missing is run, and a failure is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import bench_paper, records, shared_data
from PIL import Image

CELL = "signdigits--embedded-64"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of its own, and a task of dark and bright squares in place of the shared one."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 5)):
        for label, level in (("dark", 60), ("bright", 180)):
            home = tmp_path / "data" / "signdigits.zip" / split / label
            home.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(level, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(home / f"{i}.png")
    monkeypatch.setattr(shared_data, "SHARED", tmp_path)
    monkeypatch.setattr(records, "FOLDER", tmp_path / "results")
    return tmp_path / "results" / "paper"


def test_a_cell_runs_what_its_record_lacks_and_keeps_the_rest(folder: Path) -> None:
    bench_paper.run_cell(CELL, ("linear",))
    found = records.read(f"paper/{CELL}")
    assert list(found) == ["linear"] and found["linear"]["accuracy"] > 0.5
    assert found["linear"]["backbone"] == "embedded-64" and found["linear"]["n_test"] == 10
    earlier = {"finetune": {"accuracy": 0.25}, "scratch": {"accuracy": 0.5}}
    records.write(f"paper/{CELL}", earlier)
    bench_paper.run_cell(CELL, ("linear", "finetune", "scratch"))
    found = records.read(f"paper/{CELL}")
    assert set(found) == {"linear", "finetune", "scratch"}
    assert {name: found[name] for name in earlier} == earlier
    stamp = (folder / f"{CELL}.json").stat().st_mtime_ns
    bench_paper.run_cell(CELL, ("linear", "finetune", "scratch"))
    assert (folder / f"{CELL}.json").stat().st_mtime_ns == stamp


def test_what_started_from_an_older_head_goes_with_it(folder: Path) -> None:
    records.write(f"paper/{CELL}", {"head2toe-ft": {"accuracy": 0.5}, "scratch": {"accuracy": 0.5}})
    bench_paper.run_cell(CELL, ("head2toe",))
    found = records.read(f"paper/{CELL}")
    assert set(found) == {"head2toe", "scratch"} and found["head2toe"]["dtype"] == bench_paper.DTYPE


def test_a_cell_that_fails_is_raised_by_the_pool() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        bench_paper.run_cells(("nowhere--embedded",))


def test_records_name_the_machine(folder: Path) -> None:
    path = records.write("some", {"a": 1})
    machine = json.loads(path.read_text())["machine"]
    assert {"processor", "instructions", "cores", "threads", "python", "torch"} == set(machine)
    assert records.read("some") == {"a": 1} and not list(path.parent.glob("*.part"))
