"""What the shell leaves to the program: a home folder, streams that are closed, options that say two things."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.conftest import FAST, QUICK_SEARCH
from head2toe.features import Cache

PROGRAM = "import sys; from head2toe.cli import main; sys.exit(main())"


@pytest.mark.parametrize("command", ["fit", "extract", "predict"])
def test_a_home_folder_is_meant_after_an_equals_sign_too(run, backbone, probe, folder, tmp_path, monkeypatch, command):
    home, here = tmp_path / "home", tmp_path / "here"
    for place in (home, here):
        place.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    images = (folder, "--backbone", backbone, *FAST)
    arguments = {"fit": (*images, *QUICK_SEARCH), "extract": images, "predict": (probe, folder)}[command]
    assert run(command, *arguments, "--out=~/made").code == 0
    assert (home / "made").exists() and not list(here.iterdir())


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_failure(probe, folder, tmp_path, closed):
    out = tmp_path / "answers.csv"
    command = f'"$0" -c "$1" predict "$2" "$3" --out "$4" {closed}'
    arguments = [sys.executable, PROGRAM, str(probe), str(folder), str(out)]
    assert subprocess.run(["bash", "-c", command, *arguments], check=False).returncode == 0
    assert len(out.read_text().splitlines()) == 31


def test_two_backbones_for_one_list_of_layers_are_refused(run, backbone):
    told = run("layers", backbone, "--backbone", "timm/nowhere")
    assert told.code == 2 and "name one" in told.err[0]
    assert run("layers", "").code == 2


def test_a_size_below_zero_is_not_any_size(fit, folder, tmp_path):
    told = fit(folder, tmp_path / "probe", "--head-size=-inf")
    assert told.code == 2 and "head_size is -inf" in told.err[-1]


def test_the_librarys_log_is_left_as_it_was(run):
    names = ("head2toe", "head2toe.estimators")
    before = [logging.getLogger(name).level for name in names]
    assert run("cache", "--progress").code == 0
    assert [logging.getLogger(name).level for name in names] == before


@pytest.mark.parametrize(("data", "out"), [("", "answers.csv"), ("pictures", "")])
def test_an_empty_path_is_not_the_folder_one_is_in(run, probe, folder, monkeypatch, data, out):
    monkeypatch.chdir(folder.parent)
    told = run("predict", probe, data, "--out", out)
    assert told.code == 2 and "an empty path" in told.err[0]


def test_a_pipe_is_no_file_to_replace(run, probe, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for options in ((), ("--overwrite",)):
        told = run("predict", probe, folder, "--out", tmp_path / "pipe", *options)
        assert told.code == 2 and "is a device or a pipe" in told.err[0]
    assert (tmp_path / "pipe").is_fifo()


def test_other_things_in_its_folder_do_not_make_a_probe_larger(fit, folder, tmp_path):
    first = fit(folder, tmp_path / "probe", "--json")
    (tmp_path / "probe" / "notes.txt").write_text("x" * 10_000)
    (tmp_path / "probe" / "gone").symlink_to(tmp_path / "nowhere")
    again = fit(folder, tmp_path / "probe", "--overwrite", "--json")
    assert again.code == 0 and abs(again.json["bytes"] - first.json["bytes"]) < 100


def test_a_folder_around_the_classes_folder_is_told(fit, folder, tmp_path):
    (tmp_path / "unpacked").mkdir()
    folder.rename(tmp_path / "unpacked" / "pictures")
    told = fit(tmp_path / "unpacked", tmp_path / "probe")
    assert told.code == 2 and told.err[-1].endswith(f"try {tmp_path / 'unpacked' / 'pictures'}")


def test_a_cache_that_is_not_ones_own(run, fit, folder, tmp_path, monkeypatch):
    assert fit(folder, tmp_path / "probe").code == 0
    monkeypatch.setattr(Cache, "_delete", lambda *_: False)
    assert "; left, in use or not yours to delete: 1" in run("cache", "--clear").out
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "features" not in str(path) and access(path, mode))
    told = fit(folder, tmp_path / "probe", "--overwrite")
    assert told.code == 2 and "no cache can be kept in" in told.err[-1] and "--no-cache" in told.err[-1]


@pytest.mark.parametrize("data", ["klänge", "klänge/töne.csv"])
def test_names_that_the_system_misreads_are_told_with_the_cure(backbone, tmp_path, data):
    for label in ("süß", "herb"):
        (tmp_path / "klänge" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / "klänge" / label / f"{number}.png")
    (tmp_path / "klänge" / "töne.csv").write_text("path,label\nsüß/0.png,süß\nherb/0.png,herb\n", encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "fit", data, "--out", "probe", "--backbone", backbone, *FAST],
        cwd=tmp_path,
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "set PYTHONUTF8=1" in done.stderr


def started(arguments, out, **options):
    """The program in a process of its own, with its standard output where it is to go."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, **options)


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("command", ["layers", "predict"])
def test_a_standard_output_that_is_full_is_told_in_one_line(backbone, probe, folder, command):
    with FULL.open("w") as full:
        process = started({"layers": ["layers", backbone], "predict": ["predict", probe, folder]}[command], full)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = err.splitlines()
    assert line.startswith("error: ") and "No space left" in line


@pytest.mark.parametrize("command", ["layers", "predict"])
def test_a_reader_that_has_left_ends_the_program_without_a_word(backbone, probe, folder, command):
    reader, writer = os.pipe()
    os.close(reader)
    process = started({"layers": ["layers", backbone], "predict": ["predict", probe, folder]}[command], writer)
    os.close(writer)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")


def test_a_tilde_that_names_no_user_is_a_name(run, probe, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename("~old")
    assert run("predict", probe, "~old").code == 0
    done = run("predict", "~nosuch/probe", "~old")
    assert done.code == 2 and done.err[-1].startswith("error: ~nosuch/probe is not a probe folder")


def test_a_link_to_itself_is_told_in_one_line(run, folder, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    done = run("compare", folder, "--test", tmp_path / "loop", "--methods", "linear")
    assert done.code == 2 and str(tmp_path / "loop") in done.err[-1]
