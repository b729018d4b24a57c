"""The cells of the paper's table: what is there is kept, what is missing is run, and a failure is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import bench_paper, cost_table, records, shared_data
from PIL import Image

from head2toe.benchmark.outcome import Outcome

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
    assert found["linear"]["dtype"] == bench_paper.DTYPE
    earlier = {"finetune": {"accuracy": 0.25}, "scratch": {"accuracy": 0.5}}
    records.write(f"paper/{CELL}", earlier)
    bench_paper.run_cell(CELL, ("linear", "finetune", "scratch"))
    found = records.read(f"paper/{CELL}")
    assert set(found) == {"linear", "finetune", "scratch"}
    assert {name: found[name] for name in earlier} == earlier
    stamp = (folder / f"{CELL}.json").stat().st_mtime_ns
    bench_paper.run_cell(CELL, ("linear", "finetune", "scratch"))
    assert (folder / f"{CELL}.json").stat().st_mtime_ns == stamp


def test_what_started_from_an_older_head_goes_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = costed("head2toe", 1, 1, 1)
    monkeypatch.setattr("head2toe.benchmark.comparison.compare", lambda *given, **options: [made])
    records.write(f"paper/{CELL}", {"head2toe-ft": {"accuracy": 0.5}, "scratch": {"accuracy": 0.5}})
    bench_paper.run_cell(CELL, ("head2toe",))
    found = records.read(f"paper/{CELL}")
    assert set(found) == {"head2toe", "scratch"}
    assert found["head2toe"] == {**made.to_dict(), "backbone": "embedded-64"}


def test_a_cell_that_fails_is_raised_by_the_pool() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        bench_paper.run_cells(("nowhere--embedded",))


def test_records_name_the_machine(folder: Path) -> None:
    path = records.write("some", {"a": 1})
    machine = json.loads(path.read_text())["machine"]
    assert {"processor", "instructions", "cores", "threads", "python", "torch"} == set(machine)
    assert records.read("some") == {"a": 1} and not list(path.parent.glob("*.part"))


def costed(method: str, flops: float, seconds: float, stored: int, **choice: float) -> Outcome:
    """An outcome on orientation; seconds are of training, and ten more of extraction."""
    return Outcome(
        task="orientation",
        group="structured",
        backbone="embedded",
        method=method,
        accuracy=None if method == "finetune-cost" else 0.5,
        balanced_accuracy=None,
        cv_accuracy=None,
        extract_seconds=10.0,
        train_seconds=seconds - 10,
        train_flops=round(flops),
        stored_bytes=stored,
        choice=choice,
        seed=0,
        n_train=1000,
        n_test=10,
        classes=16,
    )


# Of the official grid; head2toe trains for 30 seconds.
GRID = {"official_grid_seconds_estimated": 90_000.0, "official_smallest_size_seconds_estimated": 1200.0}
# Fine-tuning takes 192 passes of the training images: head2toe's FLOPs are one and as many again of its search.
MEASURED = [
    costed("linear", 1.2e12, 20, 500_000),
    costed("head2toe-reference", 2e12, 60, 2_000_000, **GRID),
    costed("head2toe", 2e12, 40, 1_000_000),
    costed("finetune-cost", 192e12, 4000, 200_000_000),
]


def test_costs_are_printed_in_units_and_in_times_head2toes() -> None:
    text = cost_table.tables(MEASURED)
    assert text.startswith(
        "| orientation, 16 classes | TFLOPs | times head2toe's | seconds | times | stored MB | times |"
    )
    assert "\n| linear | 1.20 | 0.60 | 20.0 | 0.50 | 0.50 | 0.50 |\n" in text
    assert "\n| head2toe | 2.00 | 1.00 | 40.0 | 1.00 | 1.00 | 1.00 |\n" in text
    assert "one run, extrapolated | 192 | 96.0 | 4,000 | 100 | 200 | 200 |\n" in text
    assert "held-out fifth, 3 runs, extrapolated | 576 | 288 | 12,000 | 300 | 200 | 200 |\n" in text


def test_a_hundred_is_told_from_less_and_the_search_from_the_pass() -> None:
    below = cost_table.tables(MEASURED)
    assert "takes 96 (orientation) times the FLOPs" in below and "On orientation this is below the paper's" in below
    assert "some 50 % (orientation) of them" in below and "fine-tuning takes 288 times." in below
    cheaper = [*MEASURED[:2], costed("head2toe", 1.5e12, 40, 1_000_000), MEASURED[3]]
    above = cost_table.tables(cheaper)
    assert "This is the paper's hundred, or more" in above and "some 33 % (orientation) of them" in above


def test_no_costs_without_both_ends_of_the_comparison() -> None:
    assert cost_table.tables(MEASURED[:3]) == "" and cost_table.tables([]) == ""
    assert cost_table.official_grid(MEASURED[:1]) == []


def test_fine_tuning_that_ran_stands_beside_what_is_extrapolated() -> None:
    text = cost_table.tables([*MEASURED, costed("finetune-official", 577e12, 100, 200_000_000)])
    assert "counted 577.0 TFLOPs (orientation; 576.0 extrapolated)." in text


def test_the_official_grid_is_told_in_head2toes_training_seconds() -> None:
    (sentence,) = cost_table.official_grid(MEASURED)
    assert "would take 3,000 (orientation) to 3,000 (orientation), 3,000 in the median times the training" in sentence
    assert "smallest target size alone 40 (orientation) to 40" in sentence
    assert sentence.endswith("is reached in 1 of 1 tasks, and by the smallest size alone in 0.")


def test_the_page_names_what_is_reduced_in_the_reference() -> None:
    text = cost_table.lead()
    assert "500 steps instead of 500 and 5000, 5 fractions instead of about 18" in text
    assert "one split instead of 5 folds" in text and "192 passes" in text
