"""Links of all pages lead somewhere, and what the pages say that no other test looks at is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks import records

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """What may follow a # in a link to a page, as Markdown on the web names its headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        assert not heading or heading in anchors(there), target


def test_the_code_on_the_group_lasso_runs(capsys) -> None:
    page = (CHECKOUT / "docs" / "how-to-group-lasso.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "how-to-group-lasso.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert int(lines[0].split()[0]) < 64
    assert float(re.search(r"at most (\S+) of itself", lines[1])[1]) <= names["lasso"].tol
    assert lines[-1] == "torch.Size([64, 10])"


def test_what_sleeping_threads_give() -> None:
    text = " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())
    found, figure = records.read("busy"), "224 pixels, images/s"
    busy, idle = (
        found[f"{beside}, short"][figure] / found[f"{beside}, default"][figure] for beside in ("busy", "idle")
    )
    assert f"ran {busy:.2f} times as fast for it, and {idle:.2f} times where nothing else ran (224 pixels" in text
