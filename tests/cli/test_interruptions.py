"""Commands that are stopped half-way: by the user, by a full disk or by a fault of ours."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cli.conftest import FAST, write_folder
from head2toe import Head2ToeClassifier
from head2toe.cli import main


def test_a_disk_that_fills_is_told_in_one_line(run, probe, folder, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out.csv"))

    monkeypatch.setattr("head2toe.cli.output._write_rows", full)
    done = run("predict", probe, folder, "--out", tmp_path / "out.csv")
    assert done.code == 2 and done.err[-1].startswith("error: ") and "No space left on device" in done.err[-1]
    assert not list(tmp_path.glob("*out.csv*"))


def test_predictions_are_printed_where_the_file_cannot_be_written(run, probe, folder, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("head2toe.whole_files.Path.replace", full)
    done = run("predict", probe, folder, "--out", tmp_path / "out.csv")
    assert done.code == 2 and f"{tmp_path / 'out.csv'} cannot be written: No space left" in done.err[-1]
    assert done.out.startswith("path,class,probability\n") and len(done.out.splitlines()) == 31
    assert not list(tmp_path.glob("*out*"))


def test_unexpected_errors_are_not_swallowed(monkeypatch, probe, folder):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(Head2ToeClassifier, "outputs", broken)
    with pytest.raises(ZeroDivisionError):
        main(["predict", str(probe), str(folder)])


def test_interruption_resumes(fit, folder, tmp_path, monkeypatch):
    import head2toe.features.extractor as room

    real, seen = room.Extractor._rows, []

    def stop_after_two(self, pixels):
        seen.append(len(pixels))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, pixels)

    monkeypatch.setattr(room.Extractor, "_rows", stop_after_two)
    done = fit(folder, tmp_path / "probe", "--batch-size", "8")
    assert done.code == 130 and "interrupted" in done.err[-1] and "resumes" in done.err[-1]
    assert not (tmp_path / "probe").exists()
    assert fit(folder, tmp_path / "probe", "--batch-size", "8").code == 0
    assert seen == [8, 8, 8, 8, 6]  # the third batch, cut off, is run again; the first two are not


def test_ctrl_c(backbone, tmp_path, cache_home):
    data = write_folder(tmp_path / "pictures", n=600)
    program = (
        "import signal, sys, torch; torch.set_num_threads(1);"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # jobs in the background inherit that it is ignored
        "from head2toe.cli import main; sys.exit(main())"
    )
    arguments = [
        "extract",
        str(data),
        "--backbone",
        backbone,
        "--out",
        str(tmp_path / "store"),
        "--batch-size",
        "1",
        *FAST,
    ]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "store" / "progress.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err and err.strip().splitlines()[-1].startswith("interrupted: ")
    progress = json.loads((tmp_path / "store" / "progress.json").read_text())
    assert progress["read"] < 600


def test_an_interruption_while_the_program_starts_is_told_in_one_line(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "head2toe", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr.splitlines()) == (130, ["error: interrupted"])
