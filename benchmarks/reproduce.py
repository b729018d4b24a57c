"""The paper again, on the shared data: its table, every experiment, and the page about them (`make reproduce`).

Resumes: an experiment whose JSON is in benchmarks/results/experiments/ is not run again, nor is a cell of the table
that has its record. `python -m benchmarks.reproduce [NAME ...]` runs some experiments alone, `page` draws and
writes from the records alone, `table` the table alone. Figures go to docs/figures/, the page to docs/reproduction.md.

Rows are kept in .cache/reproduce/ until every experiment has its record: each pair of task and backbone passes the
network once.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import bench_paper, main_table, records
from benchmarks.shared_data import SHARED, TASKS, read, spec
from head2toe.whole_files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = records.FOLDER / "experiments"
ROWS = ROOT / ".cache" / "reproduce"
FIGURES, PAGE = ROOT / "docs" / "figures", ROOT / "docs" / "reproduction.md"
FEW_TASKS = ("orientation", "signdigits")
TASKS_OF = {  # The others run on all tasks.
    "shots": (*FEW_TASKS, "nuclei_count"),  # a panel a task
    **dict.fromkeys(("affine", "stability", "several-sizes", "backbones"), FEW_TASKS),  # many rankings, or training
}
BACKBONES = ("embedded", "mobilenetv2_100")
USES_SEVERAL = ("backbones",)


def laboratory(name: str, cache: Any, memory: dict) -> Any:
    """Tasks, backbones and settings of an experiment."""
    from head2toe.benchmark.experiments.laboratory import Laboratory
    from head2toe.benchmark.experiments.settings import Settings
    from head2toe.benchmark.tasks import Task

    used = TASKS_OF.get(name, tuple(TASKS))
    tasks = [Task(task, bench_paper.GROUPS[task], read(task, "train"), read(task, "test")) for task in used]
    chosen = BACKBONES if name in USES_SEVERAL else BACKBONES[:1]
    return Laboratory(
        tasks,
        {backbone: spec(backbone) for backbone in chosen},
        cache,
        replace(Settings(), steps=100),
        progress=_report,
        run_options={"dtype": bench_paper.DTYPE},
        memory=memory,
    )


def run_experiments(names: tuple[str, ...]) -> None:
    """Run those that have no record yet."""
    from head2toe.benchmark.experiments import NAMES
    from head2toe.benchmark.experiments.running import run_experiment
    from head2toe.features import Cache

    cache, memory = Cache(ROWS, limit=10**12), {}
    for name in names:
        if (RESULTS / f"{name}.json").is_file():
            continue
        print(f"== {name}", flush=True)
        result = run_experiment(name, laboratory(name, cache, memory), RESULTS, FIGURES)
        for sentence in result["findings"]:
            print(f"   {sentence}", flush=True)
        print(f"   {result['seconds']:.0f} s, {result['cpu_seconds']:.0f} CPU-seconds", flush=True)
    if all((RESULTS / f"{name}.json").is_file() for name in NAMES):
        shutil.rmtree(ROWS, ignore_errors=True)


def draw_again(names: tuple[str, ...]) -> None:
    """Draw the figures of the records there are, and count their findings again, without measuring anything."""
    from head2toe.benchmark.experiments import find
    from head2toe.benchmark.experiments.running import write

    for name in names:
        path = RESULTS / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            write(find(name), {**record, "findings": find(name).findings(record["rows"])}, RESULTS, FIGURES)


def page() -> str:
    """The reproduction page, Markdown, of the records alone."""
    from benchmarks.reproduction_page import reproduction_page

    return reproduction_page(RESULTS, FIGURES.relative_to(PAGE.parent).as_posix(), main_table.sections())


def _report(text: str) -> None:
    print(f"   {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(names: tuple[str, ...] = ()) -> None:
    """Run what is missing and write the page."""
    from head2toe.benchmark.experiments import NAMES

    unknown = set(names) - {*NAMES, "table", "page"}
    if unknown:
        raise SystemExit(f"reproduce: no {', '.join(sorted(unknown))}; there are table, page, {', '.join(NAMES)}")
    if names == ("page",):
        draw_again(NAMES)
        write_text(PAGE, page())
        return
    if not SHARED.is_dir():
        raise SystemExit("reproduce: no folder 'shared' with data and weights beside the checkout, nothing to run")
    if not names or "table" in names:
        bench_paper.main(bench_paper.CELLS)
    run_experiments(tuple(name for name in names or NAMES if name in NAMES))
    write_text(PAGE, page())


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
