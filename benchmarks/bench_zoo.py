"""Looks at one architecture of every timm family, and writes docs/backbones.md: what is tapped, what not, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.records import read, write
from head2toe.whole_files import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backbones.md"

_INTRODUCTION = """Written by `python -m benchmarks zoo transformers`; do not edit. One small architecture of every
family of timm {version}, random weights, one thread. {fine} of {total} families pass: taps are found, shapes hold at
another batch size, and the network's output is bit-identical with and without hooks. The last column counts the tensors
of timm's own `forward_intermediates` that equal a tap bit by bit. The same matrix is a test:
`pytest -m slow tests/features/test_timm_zoo.py`. For other kinds of backbone see
[how to bring a backbone](how-to-backbones.md)."""


def look(family: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    from benchmarks.zoo.timm_families import backbone_of, inspect

    row = {"family": family, "model": name, "smaller": sorted(set(options) - {"side"})}
    try:
        backbone = backbone_of(name, **options)
        report = inspect(backbone)
    except Exception as error:  # noqa: BLE001 - the table names what fails
        return {**row, "error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return {
        **row,
        "millions": round(sum(p.numel() for p in backbone.module.parameters()) / 1e6, 1),
        "size": backbone.preprocessing.size[0],
        "taps": len(report.found),
        "linear": report.penultimate[0].name,
        "identical": report.identical,
        "wrong_shapes": list(report.wrong_shapes),
        "intermediates": report.intermediates,
        "unmatched": report.unmatched,
    }


def verdict(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"fails: {row['error']}"
    if not row["identical"]:
        return "fails: the output changes under hooks"
    if row["wrong_shapes"]:
        return f"fails: the shape of {', '.join(row['wrong_shapes'][:3])}"
    if not row["intermediates"]:
        return "timm has no `forward_intermediates`"
    return f"{row['intermediates'] - row['unmatched']} of {row['intermediates']}"


_TRANSFORMERS = """Small random models of transformers {version}, saved as on the hub and loaded with their own image
processor, tokenizer or feature extractor. The last column counts the model's own hidden states (what each block makes)
that equal a tap bit by bit; the output is bit-identical with and without hooks in {fine} of {total}. The same models
are tests: `tests/backbones/test_huggingface.py` and `test_text_and_audio.py`."""


def transformers_section(record: dict[str, Any]) -> list[str]:
    rows = record["models"]
    fine = sum(row["identical"] for row in rows)
    return [
        "## Models of transformers",
        "",
        _TRANSFORMERS.format(version=record["transformers"], fine=fine, total=len(rows)),
        "",
        "| takes | model | class | taps | the linear probe reads | hidden states |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['takes']} | {row['model']} | {row['class']} | {row['taps']} | {row['linear']} "
            f"| {row['equal']} of {row['states']} |"
            for row in rows
        ),
        "",
    ]


def page(
    rows: list[dict[str, Any]],
    not_tapped: dict[str, str],
    left_out: dict[str, str],
    version: str,
    transformers: dict[str, Any],
) -> str:
    fine = sum(not verdict(row).startswith("fails") for row in rows)
    table = [
        f"| {row['family']} | {row['model']}{' *' if row['smaller'] else ''} | {row.get('millions', '')} "
        f"| {row.get('size', '')} | {row.get('taps', '')} | {row.get('linear', '')} | {verdict(row)} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Backbones: what is tapped in timm's families, and in models of transformers",
            "",
            _INTRODUCTION.format(version=version, fine=fine, total=len(rows)),
            "",
            "## Not tapped",
            "",
            *(f"- **{family}**, {reason}." for family, reason in not_tapped.items()),
            "",
            "## Not run",
            "",
            *(f"- **{family}**: {reason}." for family, reason in left_out.items()),
            "",
            "## All",
            "",
            "| family | model | million parameters | pixels | taps | the linear probe reads | timm's intermediates |",
            "|---|---|---|---|---|---|---|",
            *table,
            "",
            "\\* made shallower or narrower for the test.",
            "",
            *(transformers_section(transformers) if transformers else ()),
        ]
    )


def write_page() -> None:
    """Write docs/backbones.md from the records of this benchmark and of `transformers`."""
    from benchmarks.zoo.timm_families import LEFT_OUT, NOT_TAPPED

    record = read("zoo")
    write_text(PAGE, page(record["families"], NOT_TAPPED, LEFT_OUT, record["timm"], read("transformers")))


def main() -> None:
    from benchmarks.zoo.timm_families import FAMILIES, timm

    torch.set_num_threads(1)
    rows = []
    for family, (name, options) in FAMILIES.items():
        rows.append(look(family, name, options))
        print(family, name, verdict(rows[-1]), flush=True)
    write("zoo", {"timm": timm.__version__, "families": rows})
    write_page()
