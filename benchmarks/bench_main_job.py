"""The main job on real data and weights: `fit` on 1000 training images, `evaluate` once on the test split.

Needs the folder `shared` beside the checkout; without it there is nothing to run. Resumes: a cell that is in the record
is not run again, so delete benchmarks/results/main_job.json to start afresh. Name cells (task/backbone) to run them
alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks import records

SHARED = Path(__file__).resolve().parents[2] / "shared"
NAME = "main_job"
TASKS = {
    "location": ("dsprites.npz", "location"),
    "orientation": ("dsprites.npz", "orientation"),
    **{
        name: (f"{name}.zip", None)
        for name in ("caltech101", "nuclei_count", "signdigits", "cifar10", "mnist", "brainmri", "rsscn7")
    },
}
CELLS = [
    *((task, "embedded") for task in TASKS),
    *((task, "resnet50") for task in ("orientation", "location", "caltech101")),
    *((task, "mobilenetv2_100") for task in ("signdigits", "nuclei_count")),
    *((task, "vit_tiny_patch16_224") for task in TASKS),
]


def spec(backbone: str) -> str:
    """The specification of a shared backbone."""
    return backbone if backbone == "embedded" else f"timm/local-dir:{SHARED / 'weights' / backbone}"


def run_cell(task: str, backbone: str) -> dict:
    """Fit and evaluate one cell; figures in per cent and seconds."""
    from sklearn.metrics import accuracy_score

    from head2toe import Head2ToeClassifier
    from head2toe.features import read_data

    file, label = TASKS[task]
    train, test = (read_data(SHARED / "data" / file, split=split, label=label) for split in ("train", "test"))
    start = time.perf_counter()
    probe = Head2ToeClassifier(spec(backbone), cache=False, verbose=False).fit(train)
    fitted = time.perf_counter() - start
    out = probe.outputs(test.images, linear=True)
    truth = [test.labels[i] for i in out.kept]
    return {
        "linear": 100 * float(accuracy_score(truth, out.linear_labels)),
        "head2toe": 100 * float(accuracy_score(truth, out.labels)),
        "cv": 100 * probe.cv_accuracy_,
        "linear_cv": 100 * probe.linear_cv_accuracy_,
        "choice": {k: probe.choice_[k] for k in ("view", "layer_weights", "fraction", "features", "head", "strength")},
        "fit_seconds": fitted,
        "n_test": len(truth),
        "dtype": probe.dtype_,
    }


def main(cells: list[str] | None = None) -> None:
    """Run what is missing and print the table."""
    if not SHARED.is_dir():
        print("bench_main_job: no folder 'shared' beside the checkout, nothing to run")
        return
    record = records.read(NAME)
    wanted = cells or [f"{task}/{backbone}" for task, backbone in CELLS]
    for cell in wanted:
        if cell not in record:
            row = run_cell(*cell.split("/"))
            record = {**records.read(NAME), cell: row}  # read again: another process may fill other cells
            records.write(NAME, record)
        row = record[cell]
        gain = row["head2toe"] - row["linear"]
        print(f"{cell:40} linear {row['linear']:5.1f}  head2toe {row['head2toe']:5.1f}  {gain:+5.1f}", flush=True)
    for backbone in ("embedded", "vit_tiny_patch16_224"):
        gains = [r["head2toe"] - r["linear"] for cell, r in record.items() if cell.endswith("/" + backbone)]
        if len(gains) == len(TASKS):
            mean, least = sum(gains) / len(gains), min(gains)
            print(f"{backbone}: mean gain over {len(gains)} tasks {mean:+.1f}, smallest {least:+.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
