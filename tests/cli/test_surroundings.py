"""What the shell leaves to the program: a home folder, streams that are closed, options that say two things."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from cli.conftest import FAST, QUICK_SEARCH

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
