"""`head2toe demo`: its minutes of work are not lost with a file."""

from __future__ import annotations

import errno

import pytest

from head2toe.benchmark import demo

ROW = {"task": "digits", "method": "Head2Toe", "accuracy": 0.5, "standard_error": 0.1, "seconds": 1.0,
       "stored_bytes": 2000}  # fmt: skip


@pytest.fixture
def measured(monkeypatch):
    """No work is done."""
    monkeypatch.setattr(demo, "TASKS", ())
    monkeypatch.setattr(demo, "_page", lambda task, *_: {"name": task.name, "results": [ROW]})
    run_demo = demo.run_demo
    monkeypatch.setattr(demo, "run_demo", lambda out, told: run_demo(out, told, tasks=("digits",)))


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("measured")
def test_the_table_is_printed_where_the_report_cannot_be_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.report.write_report", full)
    done = run("demo", "--out", tmp_path, "--no-progress")
    assert done.code == 2 and "50.0 ± 10.0" in done.out
    assert done.err == [f"error: {tmp_path / 'report.html'} cannot be written: No space left on device"]
    done = run("demo", "--out", tmp_path, "--no-progress", "--json")
    assert done.code == 2 and done.json["table"][0]["accuracy"] == 0.5 and done.json["report"] is None


def test_a_folder_in_the_place_of_the_report_is_refused_before_any_work(run, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "run_demo", lambda *_: pytest.fail("work was begun"))
    (tmp_path / "report.html").mkdir()
    done = run("demo", "--out", tmp_path)
    assert done.code == 2 and len(done.err) == 1 and "report.html is a folder" in done.err[0]
