"""The demo as a record, and its table in the README: `python -m benchmarks demo` (benchmarks/results/demo.json).

Beside it fine-tuning whose learning rate is chosen for each task, on a held-out fifth of its training images: the demo
has time for one rate alone. Run it on a quiet machine; what is in the record is not measured again.
"""

from __future__ import annotations

import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import records
from benchmarks.markdown import put_between
from head2toe.whole_files import write_text

NAME = "demo"
README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = "<!-- demo: written by benchmarks/bench_demo.py -->", "<!-- end of demo -->"
RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
NAMES = {"Head2Toe": "**Head2Toe**", "Linear probe": "linear probe"}


def run() -> dict[str, Any]:
    """The demo's table and seconds, and its table again of fine-tuning by `tuned`."""
    from head2toe.benchmark.demo import run_demo
    from head2toe.cli.demo import table_text

    with tempfile.TemporaryDirectory(prefix="head2toe-") as folder:
        found = run_demo(folder, lambda done, total, text: print(f"[{done}/{total}] {text}", flush=True))
    print(table_text(found["table"]))
    return {"table": found["table"], "seconds": found["seconds"]}


def tuned(task: str) -> dict[str, Any]:
    """The demo's fine-tuning of a task with a learning rate of its own, accuracy in [0, 1]."""
    from head2toe import backbones
    from head2toe.baselines import FineTuned
    from head2toe.benchmark import demo, embedded_task

    preprocessing: Any = backbones.load("embedded").preprocessing
    images = embedded_task(task, n_train=demo.N_TRAIN, n_test=demo.N_TEST)
    network = FineTuned(
        preprocessing=preprocessing.with_size(demo.IMAGE_SIZE), steps=demo.STEPS, learning_rates=RATES
    ).fit(images.train_images, images.train_labels)
    accuracy = float((network.predict(images.test_images) == images.test_labels).mean())
    return {"accuracy": accuracy, "learning_rate": network.learning_rate_}


def block(record: dict[str, Any]) -> str:
    """What stands in the README between the marks."""
    from head2toe.benchmark import demo

    rows = ["| task | method | accuracy % | training s | stored kB |", "|---|---|---|---|---|"]
    for task, group in groupby(record["table"], key=lambda row: row["task"]):
        rows += [_row(task if i == 0 else "", row, demo.STEPS) for i, row in enumerate(group)]
    reached = ", ".join(f"{100 * one['accuracy']:.1f} on {task}" for task, one in record["tuned"].items())
    said = (
        f"The demo prints this table and writes `demo/report.html` ({demo.N_TRAIN} training images, {demo.N_TEST} test",
        f"images, {demo.IMAGE_SIZE} pixels; two cores, {record['seconds']:.0f} seconds in all; ± is one standard error",
        "of the accuracy on the test images). The learning rates of fine-tuning and of training from scratch are one",
        "for all three tasks, chosen beforehand on held-out training images. Chosen for each task, on a held-out fifth",
        f"of its training images, fine-tuning reached {reached}.",
        "Runs this short are sensitive to rounding: expect fine-tuning's accuracies to vary between processors.",
    )
    return "\n".join((*said, "", *rows, ""))


def _row(task: str, row: dict[str, Any], steps: int) -> str:
    named = NAMES.get(row["method"], f"{row['method'].lower()}, {steps} steps")
    accuracy = f"{100 * row['accuracy']:.1f} ± {100 * row['standard_error']:.1f}"
    return f"| {task} | {named} | {accuracy} | {row['seconds']:.0f} | {row['stored_bytes'] / 1000:,.0f} |"


def written(page: str, record: dict[str, Any]) -> str:
    """The README with the block of a record."""
    return put_between(MARKS, block(record), page)


def main() -> None:
    """Run what is missing, print, and write the README's block."""
    if "table" not in records.read(NAME):
        records.write(NAME, run())
    tasks = dict.fromkeys(row["task"] for row in records.read(NAME)["table"])
    for task in tasks:
        record = records.read(NAME)
        if task not in record.get("tuned", {}):
            records.write(NAME, {**record, "tuned": {**record.get("tuned", {}), task: tuned(task)}})
    record = records.read(NAME)
    write_text(README, written(README.read_text(encoding="utf-8"), record))
    print(block(record))


if __name__ == "__main__":
    main()
