"""The pages of results in docs/ are what the committed records give: no figure in them is typed by hand."""

from __future__ import annotations

import pytest
from benchmarks import ablation_page, bench_ablation, bench_demo, records, reproduce

from head2toe.benchmark.experiments import NAMES


def test_the_reproduction_page_is_made_of_the_committed_records() -> None:
    assert reproduce.PAGE.read_text(encoding="utf-8") == reproduce.page()


def test_the_ablation_page_is_made_of_the_committed_records() -> None:
    assert ablation_page.PAGE.read_text(encoding="utf-8") == ablation_page.page(
        bench_ablation.measured(), bench_ablation.averaged()
    )


def test_the_demos_table_in_the_readme_is_made_of_the_committed_record() -> None:
    page = bench_demo.README.read_text(encoding="utf-8")
    assert page == bench_demo.written(page, records.read(bench_demo.NAME))


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_its_record_and_its_figure(name: str) -> None:
    files = [reproduce.RESULTS / f"{name}.json", reproduce.RESULTS / f"{name}.csv"]
    files += [reproduce.FIGURES / f"{name}.{ending}" for ending in ("svg", "png")]
    assert not [path.name for path in files if not path.stat().st_size]


def test_tasks_are_chosen_for_experiments_that_exist() -> None:
    assert not set(reproduce.TASKS_OF) - set(NAMES)
