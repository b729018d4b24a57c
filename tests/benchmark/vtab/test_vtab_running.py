"""Cells: what runs together, what is kept, what is refused; and the table of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.vtab.recorder import FACTS, SETTINGS, Made, Recorder, a_task, run_with
from head2toe.benchmark.vtab import DEFINITIONS, LoadedTask, Settings, read_cells, run, vtab_table
from head2toe.benchmark.vtab.published import PUBLISHED
from head2toe.errors import (
    ClassTooSmallError,
    DataFormatError,
    OutputExistsError,
    ParameterError,
    UnknownBackboneError,
    UnreadableImageError,
)


def test_methods_that_share_rows_run_together_and_networks_one_by_one(tmp_path):
    compare = Recorder()
    run_with([a_task()], ["linear", "finetune", "head2toe"], tmp_path, SETTINGS, seeds=(0, 1), compare=compare)
    assert compare.calls == [
        ("kitti", ("linear", "head2toe"), (0, 1)),
        ("kitti", ("finetune",), (0,)),
        ("kitti", ("finetune",), (1,)),
    ]
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert [file for file in files if file.endswith(".json")] == [
        f"embedded/kitti/{method}-seed{seed}.json" for method in ("finetune", "head2toe", "linear") for seed in (0, 1)
    ]
    assert all(file.endswith(".json") or "." not in file for file in files)  # nothing half-written
    cell = json.loads((tmp_path / "embedded/kitti/linear-seed1.json").read_text())
    assert (cell["task"], cell["group"], cell["seed"], cell["data"]) == ("kitti", "structured", 1, FACTS)
    assert cell["settings"] == {"backbone": "embedded", "image_size": 32, "test_limit": None, "steps": None}


def test_fine_tuning_under_the_head_is_a_step_of_its_own(tmp_path):
    compare = Recorder()
    run_with([a_task()], ["head2toe", "head2toe-ft", "head2toe-ft+"], tmp_path, SETTINGS, seeds=(0, 1), compare=compare)
    assert compare.calls == [
        ("kitti", ("head2toe",), (0, 1)),
        ("kitti", ("head2toe-ft", "head2toe-ft+"), (0,)),  # one training gives both
        ("kitti", ("head2toe-ft", "head2toe-ft+"), (1,)),
    ]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    tasks = [a_task("kitti"), a_task("dtd", "natural")]
    methods = ["linear", "finetune"]
    with pytest.raises(KeyboardInterrupt):
        run_with(tasks, methods, tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder(stop_at=2))
    assert len(read_cells(tmp_path)) == 3  # linear with both seeds, finetune with the first
    again = Recorder()
    ran = run_with(tasks, methods, tmp_path, SETTINGS, seeds=(0, 1), compare=again)
    assert again.calls[0] == ("kitti", ("finetune",), (1,))
    assert (ran.made, ran.kept) == (5, 3)
    told = []
    third = run_with(
        tasks, methods, tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder(0), progress=lambda *step: told.append(step)
    )
    assert (third.made, third.kept) == (0, 8) and told[-1] == (2, 2, "done")


def test_data_are_not_even_looked_at_where_nothing_is_missing(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())

    def gone(**_):
        raise AssertionError

    assert run_with([("kitti", gone)], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder()).kept == 1


def test_more_seeds_and_methods_are_added_to_what_is_there(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    compare = Recorder()
    run_with([a_task()], ["linear", "knn"], tmp_path, SETTINGS, seeds=(0, 1, 2), compare=compare)
    assert compare.calls == [("kitti", ("linear",), (1, 2)), ("kitti", ("knn",), (0, 1, 2))]


def test_a_task_whose_data_cannot_be_used_does_not_stop_the_others(tmp_path):
    def broken(**_):
        raise DataFormatError("photos.zip is damaged")

    class Picky(Recorder):
        def __call__(self, task, *args, **rest):
            if task.name == "sun397":
                raise ClassTooSmallError("only one sample of class 3")
            return super().__call__(task, *args, **rest)

    tasks = [("dtd", broken), a_task("sun397"), a_task("kitti")]
    ran = run_with(tasks, ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Picky())
    assert ran.failed == {"dtd": "photos.zip is damaged", "sun397": "only one sample of class 3"}
    assert ran.made == 2 and {cell["task"] for cell in read_cells(tmp_path)} == {"kitti"}


def test_a_backbone_that_is_not_there_stops_the_run(tmp_path):
    def compare(*args, **rest):
        raise UnknownBackboneError("no such network")

    with pytest.raises(UnknownBackboneError):
        run_with([a_task()], ["linear"], tmp_path, SETTINGS, compare=compare)


def test_cells_of_other_settings_are_not_mixed_in(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    with pytest.raises(OutputExistsError, match=r"made with other settings .*image_size 32.*: choose another --out"):
        run_with([a_task()], ["linear"], tmp_path, Settings("embedded", 64), seeds=0, compare=Recorder())
    with pytest.raises(OutputExistsError, match="made with other settings"):
        run_with([a_task()], ["linear"], tmp_path, Settings("embedded", 32, steps=20), seeds=(0, 1), compare=Recorder())
    with pytest.raises(OutputExistsError, match="made with other settings"):  # the table would average both
        run_with([a_task("dtd")], ["linear"], tmp_path, Settings("embedded", 64), seeds=0, compare=Recorder())
    ran = run_with(
        [a_task()], ["linear"], tmp_path, Settings("other", 64), seeds=0, compare=lambda *a, **o: [Made("linear", 0)]
    )
    assert ran.made == 1  # another backbone is another row


@pytest.mark.parametrize(("names"), [("a b", "a-b"), ("猫", "犬"), ("x/y", "x-y")])
def test_tasks_whose_names_look_alike_as_folders_have_their_own(tmp_path, names):
    ran = run_with([a_task(name) for name in names], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    assert ran.made == 2 and {cell["task"] for cell in read_cells(tmp_path)} == set(names)


def test_cells_of_other_data_are_not_mixed_in(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())

    def other(**_):
        loaded = a_task()[1]()
        return LoadedTask(loaded.task, loaded.classes, {**FACTS, "order": "as in other"})

    with pytest.raises(OutputExistsError, match=r"made from other data .order as listed in the folder."):
        run_with([("kitti", other)], ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    with pytest.raises(OutputExistsError, match=r"made from other data .group structured."):
        run_with([a_task(group="own")], ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())


def test_cells_of_other_labels_are_not_mixed_in(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    other = a_task(labels=("0",) * 5 + ("1",) * 5)  # as many images, of the same classes
    with pytest.raises(OutputExistsError, match=r"linear-seed0\.json was made from other data .labels "):
        run_with([other], ["linear", "knn"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    assert len(read_cells(tmp_path)) == 1


@pytest.mark.parametrize("lacking", [("fingerprint",), ("fingerprint", "data")])
def test_cells_without_a_fingerprint_are_added_to(tmp_path, lacking):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    path = tmp_path / "embedded/kitti/linear-seed0.json"
    cell = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in cell.items() if name not in lacking}))
    ran = run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    assert (ran.made, ran.kept) == (1, 1)
    (row,) = vtab_table(read_cells(tmp_path), published=()).rows
    assert row.seeds == 2


@pytest.mark.parametrize("content", ["", "a whole cell"])
def test_files_of_an_unfinished_write_are_no_cells(tmp_path, content):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    path = tmp_path / "embedded/kitti/linear-seed1.json"
    path.with_name(".linear-seed1.0123abcd.json").write_text(path.read_text() if content else "")
    assert len(read_cells(tmp_path)) == 2
    ran = run_with([a_task()], ["linear", "knn"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    assert (ran.made, ran.kept) == (2, 2)


def test_a_cell_that_vanishes_while_others_are_read_is_passed_over(tmp_path, monkeypatch):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=(0, 1), compare=Recorder())
    read = Path.read_bytes

    def vanishing(path):
        path.with_name("linear-seed1.json").unlink(missing_ok=True)  # found already, and gone when its turn comes
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanishing)
    assert [cell["seed"] for cell in read_cells(tmp_path)] == [0]


class Choosy(Recorder):
    """Two of its methods cannot learn from this task."""

    def __call__(self, task, backbone, methods, **options):
        for method in methods:
            if method in ("all-l1", "finetune"):
                raise ClassTooSmallError(f"{method}: no class has two images")  # `compare` names it
        return super().__call__(task, backbone, methods, **options)


def test_a_method_that_cannot_learn_is_named_and_the_others_keep_their_cells(tmp_path):
    methods = ["linear", "knn", "all-l1", "head2toe", "finetune", "scratch"]
    ran = run_with([a_task(), a_task("dtd")], methods, tmp_path, SETTINGS, seeds=(0, 1), compare=Choosy())
    reason = "all-l1: no class has two images; finetune: no class has two images"
    assert ran.failed == dict.fromkeys(("kitti", "dtd"), reason)
    assert ran.made == 16 and {cell["method"] for cell in read_cells(tmp_path)} == {*methods} - {"all-l1", "finetune"}
    again = Choosy()
    second = run_with([a_task()], methods, tmp_path, SETTINGS, seeds=(0, 1), compare=again)
    assert not again.calls and second.failed == {"kitti": reason} and second.kept == 8


def test_data_that_cannot_be_read_are_not_tried_method_by_method(tmp_path):
    calls = []

    def compare(task, backbone, methods, **options):
        calls.append(methods)
        raise UnreadableImageError("1.png is cut off")

    ran = run_with([a_task()], ["linear", "knn"], tmp_path, SETTINGS, compare=compare)
    assert ran.failed == {"kitti": "1.png is cut off"} and len(calls) == 1


def test_cells_that_do_not_tell_their_steps_are_still_there(tmp_path):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    path = tmp_path / "embedded/kitti/linear-seed0.json"
    cell = json.loads(path.read_text())
    del cell["settings"]["steps"]
    path.write_text(json.dumps(cell))
    assert run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder()).kept == 1


def test_a_method_that_another_starts_from_keeps_its_cell(tmp_path):
    class Chain(Recorder):
        def __call__(self, task, backbone, methods, **options):
            return super().__call__(task, backbone, ["head2toe", *methods], **options)

    run_with([a_task()], ["head2toe"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    path = tmp_path / "embedded/kitti/head2toe-seed0.json"
    before = path.stat().st_mtime_ns
    ran = run_with([a_task()], ["head2toe", "head2toe-ft"], tmp_path, SETTINGS, seeds=0, compare=Chain())
    assert (ran.made, ran.kept) == (1, 1) and path.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "kitti"}'])
def test_a_damaged_cell_is_named(tmp_path, content):
    run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())
    (tmp_path / "embedded/kitti/linear-seed0.json").write_text(content)
    with pytest.raises(DataFormatError, match=r"linear-seed0\.json is no cell"):
        run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder())


def test_nothing_to_run_and_unknown_methods_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="nothing to run"):
        run([], ["linear"], tmp_path, SETTINGS)
    with pytest.raises(ParameterError, match="unknown method 'magic'"):
        run([a_task()], ["magic"], tmp_path, SETTINGS)
    with pytest.raises(DataFormatError, match="has no cells"):
        read_cells(tmp_path)


def test_a_backbones_name_makes_one_folder(tmp_path):
    settings = Settings("timm/local-dir:../weights/resnet50")
    run_with([a_task()], ["linear"], tmp_path, settings, seeds=0, compare=lambda *args, **rest: [Made("linear", 0)])
    assert (tmp_path / "timm-local-dir-..-weights-resnet50/kitti/linear-seed0.json").is_file()


# --- the table


def cells(accuracies, method="head2toe", backbone="embedded", **data):
    groups = {task.name: task.group for task in DEFINITIONS}
    return [
        {
            "task": task,
            "group": groups.get(task, "own"),
            "backbone": backbone,
            "method": method,
            "seed": seed,
            "accuracy": accuracy,
            "data": {**FACTS, **data},
        }
        for task, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


THREE = {"kitti": [0.2, 0.9, 0.3], "dtd": [0.5, 0.6, 0.7], "pets": [0.8, 0.8, 0.8]}


def test_a_row_has_medians_and_both_averages():
    table = vtab_table(cells(THREE), published=())
    (row,) = table.rows
    assert table.tasks == ("dtd", "pets", "kitti")  # in the order of the paper
    assert row.accuracies == pytest.approx({"kitti": 30, "dtd": 60, "pets": 80})
    assert row.groups == pytest.approx({"natural": 70, "structured": 30})
    assert row.over_tasks == pytest.approx(170 / 3) and row.over_groups == pytest.approx(50)
    assert row.seeds == 3


def test_published_rows_stand_beside_it_for_the_same_tasks_with_their_source():
    table = vtab_table(cells(THREE))
    paper = next(row for row in table.rows if row.name == "Head2Toe (paper)")
    assert paper.accuracies == {"dtd": 67.6, "pets": 87.6, "kitti": 72.3}
    assert paper.over_tasks == pytest.approx(np.mean([67.6, 87.6, 72.3]))
    assert not paper.verified and "as recalled, not verified" in paper.source
    assert any("as recalled, not verified" in note for note in table.notes)
    assert len(table.rows) == 1 + len(PUBLISHED)


def test_all_nineteen_tasks_give_the_published_means():
    everything = {task.name: [0.5] for task in DEFINITIONS}
    table = vtab_table(cells(everything))
    paper = next(row for row in table.rows if row.name == "Head2Toe (paper)")
    assert paper.over_tasks == pytest.approx(65.8, abs=0.1)
    assert list(paper.groups) == ["natural", "specialized", "structured"]
    assert not any("Not in this table" in note for note in table.notes)


def test_what_makes_a_row_no_vtab_figure_is_said():
    limited = cells({"kitti": [0.5]}, test=50, test_of=711, order="drawn with seed 0 from somewhere")
    notes = vtab_table([*limited, *cells({"kitti": [0.4], "dtd": [0.4]}, method="linear")]).notes
    assert "KITTI-Dist: images drawn with seed 0 from somewhere; 50 test images, not 711." in notes
    assert "head2toe, embedded: no DTD yet; its means are not comparable with the others." in notes
    assert any(note.startswith("Not in this table, and not in any of its means: CIFAR-100, ") for note in notes)


def test_what_the_backbone_is_shown_is_said_once():
    shown = {"size": [64, 32], "mean": [0.5], "interpolation": "bicubic"}
    notes = vtab_table([{**cell, "preprocessing": shown} for cell in cells(THREE)]).notes
    assert notes.count("Input of embedded: size 64 x 32, mean 0.5, interpolation bicubic.") == 1
    coloured = [{**cell, "preprocessing": {"mean": [0.5, 0.25, 0.4]}} for cell in cells(THREE)]
    assert "Input of embedded: mean 0.5 / 0.25 / 0.4." in vtab_table(coloured).notes


def test_own_tasks_have_their_own_group_and_no_published_row():
    table = vtab_table(cells({"birds": [0.25]}))
    assert [row.name for row in table.rows] == ["head2toe"]
    assert table.rows[0].groups == {"own": 25.0}
    assert not any("Not in this table" in note for note in table.notes)


def test_a_method_that_was_only_costed_has_no_row():
    costed = [{**cell, "accuracy": None} for cell in cells({"kitti": [0.1]}, method="finetune-cost")]
    assert [row.name for row in vtab_table([*cells({"kitti": [0.5]}), *costed], published=()).rows] == ["head2toe"]


def test_markdown_csv_and_json_say_the_same():
    table = vtab_table(cells(THREE))
    header, *rows = list(csv.reader(io.StringIO(table.csv())))
    assert header == [
        *("method", "backbone", "seeds", "DTD", "Pets", "KITTI-Dist"),
        *("natural mean", "structured mean", "mean of tasks", "mean of groups", "source"),
    ]
    assert rows[0] == ["head2toe", "embedded", "3", "60.0", "80.0", "30.0", "70.0", "30.0", "56.7", "50.0", ""]
    assert rows[1][2] == "" and "arXiv" in rows[1][-1]
    lines = table.markdown().splitlines()
    assert lines[0] == f"| {' | '.join(header[:-1])} |" and lines[2] == f"| {' | '.join(rows[0][:-1])} |"
    data = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert data["rows"][0]["over_groups"] == pytest.approx(50) and data["groups"]["kitti"] == "structured"
