"""What commands print for people, and output files that cannot be written."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import sys
from dataclasses import replace
from importlib import import_module

import pytest
from PIL import Image

from cli.conftest import write_folder
from head2toe import Head2ToeClassifier
from head2toe.benchmark.outcome import Outcome
from head2toe.cli.output import check_file, emit, resuming, table, warn_skipped, write_csv
from head2toe.errors import OutputExistsError, ParameterError
from head2toe.features import Skipped
from head2toe.features.cache import Cache

COMMAND = import_module("head2toe.cli.fit")  # whose name in its room is the command's


@pytest.mark.parametrize(("count", "last"), [(1, "  0.png: broken"), (20, "  19.png: broken"), (23, "  and 3 more")])
def test_twenty_skipped_images_are_named_and_the_others_counted(capsys, count, last):
    warn_skipped([Skipped(i, f"{i}.png", "broken") for i in range(count)], 30)
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"skipped {count} of 30 images that cannot be read:"
    assert lines[-1] == last and len(lines) == min(count, 21)


def test_a_reason_that_names_the_image_is_not_told_its_name_twice(capsys):
    warn_skipped([Skipped(0, "a.png", "a.png: empty"), Skipped(1, "b.png", "empty")], 2)
    assert capsys.readouterr().err.splitlines()[1:] == ["  a.png: empty", "  b.png: empty"]


def test_a_folder_is_no_file_to_replace(tmp_path):
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="is there already"):
            check_file(tmp_path, overwrite=overwrite)


def test_a_file_needs_a_folder_that_one_may_write_to(tmp_path, monkeypatch):
    check_file(tmp_path / "a.csv", overwrite=False)
    with pytest.raises(ParameterError, match="its folder is not there"):
        check_file(tmp_path / "nowhere" / "a.csv", overwrite=False)
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(ParameterError, match="its folder is not there"):
        check_file(tmp_path / "a.csv", overwrite=False)
    (tmp_path / "b").touch()
    with pytest.raises(ParameterError, match="its folder is not there"):
        check_file(tmp_path / "b" / "a.csv", overwrite=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ParameterError, match="not yours to write"):
        check_file(tmp_path / "c.csv", overwrite=False)


def test_only_what_can_be_resumed_says_that_it_is(capsys):
    with pytest.raises(KeyboardInterrupt), resuming(possible=False):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_columns_are_aligned_and_no_line_ends_in_blanks():
    lines = table([("name", "count", "state"), ("a", 5, ""), ("longer", 1234, "x")], right=(1,)).split("\n")
    assert lines == ["name    count  state", "a           5", "longer   1234  x"]


def test_json_is_one_line_of_utf8_that_people_can_read(capsys):
    emit({"path": "süß.png", "bytes": "caf\udce9"}, "", as_json=True)
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and "süß.png" in line and r"caf\udce9" in line
    assert json.loads(line) == {"path": "süß.png", "bytes": "caf\udce9"}


def test_labels_that_no_class_has_are_told_to_people_too(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=6)
    assert "no class of the probe" not in run("evaluate", probe, data).out
    (data / "left").rename(data / "up")
    assert "no class of the probe  up" in run("evaluate", probe, data).out


def test_a_label_column_of_ones_own_is_evaluated(run, probe, folder, tmp_path):
    files = sorted(folder.rglob("*.png"))
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name},{i % 2}" for i, path in enumerate(files)]
    (tmp_path / "t.csv").write_text("\n".join(["path,side,label", *rows]))
    found = run("evaluate", probe, tmp_path / "t.csv", "--label", "side", "--json").json
    assert found == run("evaluate", probe, folder, "--json").json
    assert run("evaluate", probe, tmp_path / "t.csv").code == 2  # whose labels are 0 and 1


def test_the_list_of_layers_ends_with_its_sums_and_marks_the_linear_probes(run, backbone):
    asked = ("layers", backbone, "--target-size", "8", "--target-size", "512")
    found, lines = run(*asked, "--json").json, run(*asked).out.splitlines()
    assert lines[0].split()[:3] == ["layer", "kind", "shape"]
    assert lines[-1].split() == [f"{len(found['layers'])}", "layers", *(f"{n:,}" for n in found["features"].values())]
    marked = [line.split()[0] for line in lines if "(linear probe)" in line]
    assert marked == [layer["name"] for layer in found["layers"] if layer["penultimate"]]


def rows_of(folder, key, size, *, complete, used):
    """A store in the cache of so many bytes, as a run leaves it."""
    store = folder / (key * 24)
    store.mkdir(parents=True)
    (store / "rows.npy").write_bytes(bytes(size))
    (store / "progress.json").write_text(json.dumps({"complete": complete}))
    (store / "manifest.json").write_text(json.dumps({"backbone": {"spec": f"timm/{key}"}, "data": {"n": 7}}))
    os.utime(store / "manifest.json", (used, used))


def test_the_cache_is_listed_from_the_least_recently_used_on(run):
    folder = Cache().folder
    rows_of(folder, "a", 3_000_000, complete=True, used=2e9)
    rows_of(folder, "b", 1_500_000, complete=False, used=1e9)
    first, header, *lines = run("cache").out.splitlines()
    assert first.endswith("2 stores, 0.00 of 10 GB") and header.split() == ["last", "used", "images", "MB", "backbone"]
    assert [line.split()[1:] for line in lines] == [["7", "1.5", "timm/b", "interrupted"], ["7", "3.0", "timm/a"]]
    assert lines[0].startswith("2001-09-09T01:46:40+00:00")


def test_clearing_the_cache_tells_what_it_freed(run):
    rows_of(Cache().folder, "a", 30_000_000, complete=True, used=2e9)
    assert "deleted 1 stores, 0.03 GB" in run("cache", "--clear").out
    assert run("cache", "--clear").out.splitlines()[1:] == ["deleted 0 stores, 0.00 GB"]


def test_extract_tells_what_it_skipped_and_stops_where_it_is_to_be_strict(run, backbone, folder, tmp_path):
    (folder / "left" / "00a.png").write_bytes(b"")
    asked = ("extract", folder, "--backbone", backbone, "--target-size", "8", "--dtype", "float32", "--json")
    strict = run(*asked, "--out", tmp_path / "strict", "--strict")
    assert strict.code == 2 and "00a.png" in strict.err[0] and len(strict.err) == 1
    done = run(*asked, "--out", tmp_path / "store")
    assert done.code == 0 and done.err[0] == "skipped 1 of 31 images that cannot be read:"
    assert [one["path"] for one in done.json["skipped"]] == [str(folder / "left" / "00a.png")]
    assert "the file is empty" in done.json["skipped"][0]["reason"]
    assert done.json["n"] == 30


def test_rows_of_images_without_labels_have_none(run, backbone, tmp_path):
    (tmp_path / "flat").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (80 * i, 0, 0)).save(tmp_path / "flat" / f"{i}.png")
    names = [str(tmp_path / "flat" / f"{i}.png") for i in range(3)]
    (tmp_path / "gap.csv").write_text("\n".join(["path,label", f"{names[0]},a", f"{names[1]},", f"{names[2]},b"]))
    for data, notes in (("flat", 0), ("gap.csv", 1)):
        done = run("extract", tmp_path / data, "--backbone", backbone, "--out", tmp_path / f"rows of {data}",
                   "--target-size", "8", "--dtype", "float32")  # fmt: skip
        assert done.code == 0 and len(done.err) == notes
        assert all("no labels are written to images.csv: " in line and "gap.csv, line 3" in line for line in done.err)
        lines = (tmp_path / f"rows of {data}" / "images.csv").read_text().splitlines()
        assert lines == ["path,label", *(f"{name}," for name in names)]


def test_a_fit_is_told_in_figures_of_its_own():
    one = {"view": "512", "layer_weights": "equal", "fraction": 0.1, "head": "logistic", "strength": None}
    choice = {"averaged": [{"share": 1.0, "unlabelled": 0, **one}], "features": 12, "cv_log_loss": 0.25}
    result = {
        "cv_accuracy": 0.9,
        "linear_cv_accuracy": 0.8,
        "estimated_accuracy": 0.85,
        "n": 30,
        "classes": ["a", "b"],
        "skipped": ["x"],
        "cached": False,
        "dtype": "float32",
        "choice": choice,
        "flops": 4e9,
        "flops_saved": 1e9,
        "probe": "p",
        "bytes": 2500,
        "seconds": 3.21,
    }
    told = dict(line.split("  ", 1) for line in COMMAND._text(result, "images").splitlines())
    told = {name: text.strip() for name, text in told.items()}
    assert [told[name] for name in ("cross-validated accuracy", "the linear probe's", "to expect of new images")] == [
        "0.9000",
        "0.8000",
        "0.8500",
    ]
    assert told["images"] == "30, 2 classes, 1 skipped" and told["features"] == "computed in float32"
    assert told["head"] == "view 512, layer weights equal, fraction 0.1, head logistic"
    assert told["network"] == "4.00 GFLOPs an image, 25% saved by stopping early"
    several = {"averaged": [{"share": 0.75, "unlabelled": 0, **one}, {"share": 0.25, "unlabelled": 9, **one}]}
    text = COMMAND._text({**result, "choice": {**choice, **several}, "flops": 0}, "texts")
    assert "texts  " in text and "0.00 GFLOPs a text, " in text
    assert "head 1  " in text and "75% of view" in text and "25% of view" in text and text.count("unlabelled 9") == 1
    assert "0% saved" in text


def test_no_run_of_the_program_leaves_its_notes_behind(run):
    """In a program that calls it twice each note would be printed twice."""
    logger = logging.getLogger("head2toe")
    before = list(logger.handlers)
    assert run("cache").code == 0 and run("cache", "--nonsense").code == 2
    assert logger.handlers == before


def test_blanks_after_commas_do_not_matter(run, backbone):
    asked = ("layers", backbone, "--target-size", "8", "--json", "--statistics")
    assert run(*asked, "mean, std").json == run(*asked, "mean,std").json is not None


OUTCOME = Outcome("squares", "", "tiny", "linear", 0.5, 0.25, 0.75, 1.0, 1000.25, 2_500_000_000_000, 12_345, {}, 0, 18,
                  9, 3, [32, 32], None, "float32", None, estimated=False, device="cpu")  # fmt: skip


@pytest.fixture
def compared(monkeypatch):
    """What `compare` is asked, and the outcomes that it gives without any work."""
    asked = {}

    def compare(task, backbone, methods, **options):
        asked.update(options, backbone=backbone, methods=list(methods))
        costs = replace(OUTCOME, method="finetune-cost", accuracy=None, balanced_accuracy=None, cv_accuracy=None)
        return [OUTCOME, replace(costs, seed=1, estimated=True)]

    monkeypatch.setattr("head2toe.benchmark.comparison.compare", compare)
    return asked


@pytest.fixture
def squares(tmp_path):
    write_folder(tmp_path / "squares" / "train", n=9)
    write_folder(tmp_path / "squares" / "test", n=6, seed=1)
    return tmp_path / "squares"


def test_options_of_a_comparison_reach_it(run, compared, squares):
    asked = ("compare", squares, "--split", "train", "--test-split", "test")
    assert run(*asked).code == 0
    assert (compared["steps"], compared["augment"], compared["seed"], compared["image_size"]) == (200, False, [0], None)
    assert compared["progress"] is None
    done = run(
        *asked, "--steps", "7", "--augment", "--seeds", " 3, 1,", "--methods", "linear, knn ,", "--image-size", 48
    )
    assert done.code == 0 and compared["methods"] == ["linear", "knn"]
    assert (compared["steps"], compared["augment"], compared["seed"], compared["image_size"]) == (7, True, [3, 1], 48)
    assert run(*asked, "--seeds", "0,-1").code == 2


def test_a_comparison_without_accuracies_has_dashes(run, compared, squares):
    header, *lines = run("compare", squares, "--split", "train", "--test-split", "test").out.splitlines()
    assert " ".join(header.split()) == "method seed top-1 % balanced % CV % seconds TFLOPs stored kB"
    assert lines[0].split() == ["linear", "0", "50.0", "25.0", "75.0", "1,001.2", "2.500", "12"]
    assert lines[1].split()[:6] == ["finetune-cost", "(estimated)", "1", "-", "-", "-"]


@pytest.mark.parametrize("ending", ["csv", "json", "svg", "png"])
def test_no_file_of_an_earlier_experiment_is_replaced_unasked(run, squares, tmp_path, ending):
    pytest.importorskip("matplotlib")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"offset.{ending}").write_text("mine")
    done = run("experiment", "offset", "--data", squares, "--out", tmp_path / "out")
    assert done.code == 2 and f"offset.{ending} is there already" in done.err[0]
    assert (tmp_path / "out" / f"offset.{ending}").read_text() == "mine"


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_told_on_a_terminal_unless_it_is_not_wanted(run, tmp_path, monkeypatch, terminal):
    told = []

    def run_demo(out, progress):
        told.append(progress is not None)
        return {"table": [], "report": str(out / "report.html"), "seconds": 3.0, "problem": None}

    monkeypatch.setattr("head2toe.benchmark.demo.run_demo", run_demo)
    monkeypatch.setattr("head2toe.cli.demo.table_text", lambda _: "", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    for more in ((), ("--progress",), ("--no-progress",)):
        assert run("demo", "--out", tmp_path, "--json", *more).code == 0
    assert told == [terminal, True, False]


def test_what_to_expect_of_new_images_is_the_estimate_of_choosing(fit, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.probes.ballot.Ballot.estimated_accuracy", lambda *_: 0.625)
    done = fit(folder, tmp_path / "probe", "--json")
    saved = Head2ToeClassifier.load(tmp_path / "probe")
    assert done.json["estimated_accuracy"] == saved.estimated_accuracy_ == 0.625 != done.json["cv_accuracy"]
    assert done.json["cv_accuracy"] == saved.choice_["cv_accuracy"]


def test_predictions_replace_no_file_unasked(run, probe, folder, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    done = run("predict", probe, folder, "--out", tmp_path / "a.csv")
    assert done.code == 2 and "is there already" in done.err[0] and (tmp_path / "a.csv").read_text() == "mine"
    assert run("predict", probe, folder, "--out", tmp_path / "a.csv", "--overwrite").code == 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 31


def test_a_text_of_two_lines_is_one_row_however_they_end(tmp_path):
    texts = ["a\rb", "a\nb", "a\r\nb", "plain"]
    write_csv(tmp_path / "a.csv", ("path", "class"), [(text, "x") for text in texts])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)] == ["path", *texts]


def test_json_is_json_on_an_output_that_lacks_letters(monkeypatch):
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding="cp1252", errors="backslashreplace"))
    emit({"class": "ü \U0001f600"}, "", as_json=True)
    sys.stdout.flush()
    assert json.loads(held.getvalue()) == {"class": "ü \U0001f600"}
