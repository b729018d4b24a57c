"""The reproduction page is made from the records, and from nothing else."""

from __future__ import annotations

import re

from benchmarks.markdown import markdown_table
from benchmarks.reproduction_page import reproduction_page

from head2toe.benchmark.experiments import NAMES, find
from head2toe.benchmark.experiments.running import run_experiment


def test_every_finding_figure_and_missing_experiment_is_on_the_page(laboratory, tmp_path):
    found = {name: run_experiment(name, laboratory, tmp_path) for name in ("target-size", "kept-layers")}
    page = reproduction_page(tmp_path, "figures", ["## The table\n"])
    for name, result in found.items():
        assert f"## {find(name).title}\n" in page
        assert f"](figures/{name}.svg)" in page
        assert find(name).paper in page and find(name).differs in page
        assert all(f"- {sentence}" in page for sentence in result["findings"])
    assert page.count("first (36 / 24), second (36 / 24)") == 2
    missing = page.split("## Not yet run")[1]
    assert set(re.findall(r"[a-z-]+", missing)) == set(NAMES) - set(found)


def test_a_table_in_markdown():
    assert markdown_table(["a", "b"], [("x", "1")]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"
