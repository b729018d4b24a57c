"""The reproduction page, made from the JSON that the experiments wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from head2toe.benchmark.experiments import NAMES, find

LEAD = """\
# The paper's experiments, done again

This page is made by a program from the records of the experiments: no figure in it is typed by hand. `make reproduce`
runs what is missing and writes the page again; `head2toe experiment NAME --data DATA --out DIR` runs one on your own
data.

The paper is Evci, Dumoulin, Larochelle, Mozer, "Head2Toe: Utilizing Intermediate Representations for Better Transfer
Learning", ICML 2022 ([arXiv 2201.03529](https://arxiv.org/abs/2201.03529)). It measures ResNet-50 and ViT-B/16 on the
19 tasks of VTAB-1k. What follows is measured on smaller backbones and a small VTAB of nine tasks with 1000 training
images each, on two processor cores; so what can be compared is which way an effect points and how large it is, not a
single accuracy.

In all experiments features are selected inside the training images only, and anew in each fold where a fraction or a
ridge strength is chosen by cross-validation. All heads are ridge regressions on the class indicators, in closed form,
unless it says otherwise. Error bars are one standard error of the test images drawn.
"""


def reproduction_page(records: Path, figures: str, table: Sequence[str] = ()) -> str:
    """Markdown of the page.

    Parameters
    ----------
    records : path
        Folder of the experiments' JSON; those that have not been run are named as missing.
    figures : str
        Where the figures are, relative to the page.
    table : sequence of str
        Sections of Markdown on the main table, to stand first.
    """
    sections = [LEAD, *table]
    missing = []
    for name in NAMES:
        path = records / f"{name}.json"
        if path.is_file():
            sections.append(_section(name, json.loads(path.read_text(encoding="utf-8")), figures))
        else:
            missing.append(name)
    if missing:
        sections.append(f"## Not yet run\n\n{', '.join(missing)}.\n")
    return "\n".join(sections)


def _section(name: str, record: dict[str, Any], figures: str) -> str:
    chosen = find(name)
    findings = "\n".join(f"- {sentence}" for sentence in record["findings"])
    return (
        f"## {chosen.title}\n\n"
        f"**The paper.** {chosen.paper}\n\n"
        f"**Here.** {_measured_on(record)}\n\n"
        f"{findings}\n\n"
        f"![{chosen.title}]({figures}/{name}.svg)\n\n"
        f"**Why it may differ.** {chosen.differs}\n"
    )


def _measured_on(record: dict[str, Any]) -> str:
    used = list(dict.fromkeys(row["task"] for row in record["rows"]))
    sizes = {task["name"]: task for task in record["tasks"]}
    tasks = ", ".join(f"{name} ({sizes[name]['train']} / {sizes[name]['test']})" for name in used)
    networks = ", ".join(dict.fromkeys(row["backbone"] for row in record["rows"]))
    wide = record["settings"]["target_sizes"][0]
    return (
        f"Tasks (training / test images): {tasks}. Backbone: {networks}; target size {wide} where no other is named. "
        f"{record['cpu_seconds']:.0f} CPU-seconds."
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table in Markdown; all but the first column to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
