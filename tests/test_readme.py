"""The README's Python runs, and its table of dependencies is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from functools import partial
from pathlib import Path

from head2toe import benchmark

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_every_python_block_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        benchmark, "embedded_task", partial(benchmark.embedded_task, n_train=200, n_test=100)
    )  # quicker
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    head2toe, linear = map(float, capsys.readouterr().out.split())
    assert head2toe > linear + 0.03


def dependencies() -> set[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return {re.split(r"[\[<>=]", line)[0] for line in project["dependencies"] + extras}


def test_every_dependency_has_a_reason():
    table = README[README.index("## Dependencies") : README.index("Ranges stand in")]
    rows = " ".join(re.findall(r"^\| (.+?) \|", table, re.MULTILINE)).replace(",", " ").split()
    assert dependencies() - set(rows) == set()


def test_every_dependency_is_pinned():
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    assert dependencies() - pinned == set()


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", README):
        assert (CHECKOUT / target).exists(), target
