"""The reproduction page, made from the JSON that the experiments wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from head2toe.benchmark.experiments import NAMES, find

LEAD = """\
# The paper's experiments, done again

This page is made by a program from the records of the experiments: no figure in it is typed by hand. The records are
part of the checkout: whoever wants to measure anew deletes those in `benchmarks/results/experiments` and
`benchmarks/results/paper` (of the latter `finetune-official` takes a GPU). `make reproduce`
runs what is missing and writes the page again. It needs the folder `shared` beside the checkout, with the tasks below
in `shared/data` and backbones in `shared/weights`, which are not handed out with the package (licences differ). On
your own data, a folder, CSV, zip or npz with a training and a test split, the command under each heading runs one
(drawing takes the extra `paper`, matplotlib; `affinity` and `other-task` need `--data` twice, and `backbones` needs
`--backbone` twice).

The paper is Evci, Dumoulin, Larochelle, Mozer, "Head2Toe: Utilizing Intermediate Representations for Better Transfer
Learning", ICML 2022 ([arXiv 2201.03529](https://arxiv.org/abs/2201.03529)). It measures ResNet-50 and ViT-B/16 on the
19 tasks of VTAB-1k. What follows is measured on ResNet-50 and smaller backbones, and a small VTAB of nine tasks with
1000 training images each, on two processor cores (fine-tuning by the official schedule alone: on a GPU); so what can
be compared is which way an effect points and how large it is, not a single accuracy.

In all experiments features are selected inside the training images only, and anew in each fold where a fraction or a
ridge strength is chosen by cross-validation. In the experiments after the table, **Head2Toe is the paper's method**,
with its pooling, features ranked by the group lasso and a ridge regression on the class indicators, in closed form;
the linear probe is such a ridge regression too. So their accuracies are not those of `head2toe` and `linear` in the
table. Error bars are one standard error of the test images drawn.

What the paper found is told under **The paper**. "As recalled" marks what is told from memory and was not looked up
again; where only what was done is told, what came of it is not known here. The first of the findings says whether it
came out the same, as far as the two can be compared.
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
        f"`head2toe experiment {name} --data DATA --out DIR`\n\n"
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
        f"{_number_format(record)}{_trained(record)}{record['cpu_seconds']:.0f} CPU-seconds."
    )


def _number_format(record: dict[str, Any]) -> str:
    """In which the frozen network ran; records of older versions do not tell."""
    return f"The frozen network ran in {record['dtype']}. " if "dtype" in record else ""


def _trained(record: dict[str, Any]) -> str:
    """How large and how long, where whole networks were trained."""
    sides = dict.fromkeys(row["image_size"] for row in record["rows"] if "image_size" in row)
    steps = record["settings"]["steps"]
    return "".join(f"Images of {side} pixels; networks were trained for {steps} steps. " for side in sides)
