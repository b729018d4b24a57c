"""CPU-seconds on one thread to a group-lasso objective within 1e-3 of the optimum, against other solvers.

Synthetic rows ("ce", "sq"): n = 1000, columns of an AR(1) process (0.8) plus 20 latent factors, standardised; labels
from 50 of them. Real rows ("real"): 1000 images through ResNet-50 at target size 8192, CIFAR-10 or Caltech101,
standardised columns drawn at random. Every solver runs in its own process, at one thread, at tolerances from loose to
tight until it is within 1e-3 of the optimum; that last run counts. The optimum comes from head2toe in float64 at a gap
of 1e-5. Times are of the processor, not of the wall, so that other work on the machine matters little.

What is in the record is not measured again: delete it to start afresh. A solver that did not get there in its time
(that of all tolerances together) is not tried again with as many columns and classes or more and a strength as small or
smaller; the record says so.

The table and the curves are written into docs/how-to-group-lasso.md.

    python -m benchmarks.bench_group_lasso --python adelie=PATH skglm=PATH celer=PATH --rows ROW ...
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import group_lasso_rivals as rivals
from benchmarks.markdown import put_between
from benchmarks.real_rows import standardised
from benchmarks.records import read, write
from benchmarks.shared_data import SHARED
from head2toe.probes.group_lasso import group_lasso, lambda_max
from head2toe.whole_files import write_text

SIZES = [(d, c, ratio) for d in (20_000, 200_000) for c in (10, 100) for ratio in (0.1, 0.01)]
ROWS = [f"ce:{d}:{c}:{ratio}" for d, c, ratio in SIZES]
REAL = [f"real:{d}:{c if c == 10 else 102}:{ratio}" for d, c, ratio in SIZES]
SQUARED = ["sq:20000:10:0.1", "sq:20000:10:0.01"]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to-group-lasso.md"
MARKS = "<!-- measured: written by benchmarks/bench_group_lasso.py -->", "<!-- end of measured -->"
OURS = "head2toe"
WITHIN = 1e-3
TOLERANCE = 0.03  # of the curves; on every problem tried the objective was then well within 1e-3
PACKAGES = {"scikit-learn": "sklearn", "fista": "torch", "proximal": "torch"}
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


@dataclass(frozen=True)
class Row:
    """One problem: "ce", "real" or "sq", columns, outputs and the share of lambda_max."""

    kind: str
    d: int
    c: int
    ratio: float

    @staticmethod
    def parse(text: str) -> Row:
        kind, d, c, ratio = text.split(":")
        return Row(kind, int(d), int(c), float(ratio))

    @staticmethod
    def of(entry: dict[str, Any]) -> Row:
        return Row(entry["kind"], entry["d"], entry["c"], entry["ratio"])

    def no_harder_than(self, other: Row) -> bool:
        same = (self.kind == "sq") == (other.kind == "sq")
        return same and self.d <= other.d and self.c <= other.c and self.ratio >= other.ratio

    def data(self, cache: Path) -> tuple[np.ndarray, np.ndarray]:
        """Rows float32 (n, d) and labels (n,), or targets (n, c) for "sq"."""
        return standardised(self.c, self.d, cache) if self.kind == "real" else synthetic(self)


def synthetic(row: Row, n: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 (n, d) and labels (n,), or targets (n, c) for the squared loss."""
    rng = np.random.default_rng(seed)
    X = np.empty((row.d, n), np.float32)
    X[0] = rng.standard_normal(n)
    for j in range(1, row.d):
        X[j] = 0.8 * X[j - 1] + 0.6 * rng.standard_normal(n, dtype=np.float32)
    factors = rng.standard_normal((20, n), dtype=np.float32) / np.float32(np.sqrt(20))
    X += rng.standard_normal((row.d, 20), dtype=np.float32) @ factors
    X -= X.mean(axis=1, keepdims=True)
    X /= X.std(axis=1, keepdims=True)
    used = rng.choice(row.d, 50, replace=False)
    signal = X[used].T @ rng.standard_normal((50, row.c), dtype=np.float32)
    signal /= signal.std()
    X = np.ascontiguousarray(X.T)
    if row.kind == "sq":
        return X, signal + 0.5 * rng.standard_normal((n, row.c), dtype=np.float32)
    y = (3 * signal + rng.gumbel(size=signal.shape)).argmax(axis=1)
    y[: row.c] = np.arange(row.c)
    return X, y


def optimum(X: np.ndarray, y: np.ndarray, ratio: float) -> tuple[float, float]:
    """The strength, and the objective there."""
    loss = "squared" if y.ndim == 2 else "multinomial"
    strength = ratio * lambda_max(X, y, loss=loss, dtype=torch.float64)
    return strength, group_lasso(X, y, strength, loss=loss, tolerance=1e-5, dtype=torch.float64).objective


@dataclass(frozen=True)
class Run:
    """What a solver printed, a step a tolerance, before it was there or used up its CPU-seconds; or it crashed."""

    steps: list[dict[str, float]]
    crashed: bool = False


def ladder(name: str, entry: dict[str, Any], folder: Path, options: argparse.Namespace) -> Run:
    """One run of a solver, over all its tolerances. Who is out of CPU-seconds is stopped by a signal: no crash."""
    goal = (1 + WITHIN) * entry["optimum"]
    command = [options.python.get(name, sys.executable), rivals.__file__, name, str(folder)]
    command += [repr(entry["strength"]), repr(goal)]
    capped = ["bash", "-c", f'ulimit -t {int(limit_of(name, options))}; exec "$@"', "bash", *command]
    source = Path(__file__).resolve().parents[1] / "src"
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(source)}
    done = subprocess.run(capped, env=environment, capture_output=True, text=True, check=False)
    if done.returncode > 0 and done.stderr.strip():
        print(f"   {name}: {done.stderr.strip().splitlines()[-1]}")
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Run(steps, crashed=done.returncode > 0)


def measure(row: Row, entry: dict[str, Any], rows: list[dict], options: argparse.Namespace, keep: Callable) -> None:
    """Fill in what an entry of the record lacks: the optimum, and every solver's way to it; `keep()` after each."""
    names = missing(row, entry, options)
    for name in [name for name in names if failed_on_easier(row, name, rows)]:
        entry["solvers"][name] = {"over": limit_of(name, options), "tried": False}
        names.remove(name)
    if not names:
        return keep()
    X, y = row.data(options.cache)
    if "optimum" not in entry:
        entry["strength"], entry["optimum"] = optimum(X, y, row.ratio)
        keep()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        np.save(Path(folder) / "y.npy", y)
        del X
        for name in names:
            runs = [ladder(name, entry, Path(folder), options) for _ in range(options.repeats if name == OURS else 1)]
            entry["solvers"][name] = summary(runs, entry["optimum"], limit_of(name, options))
            print(f"   {row} {name:12} {entry['solvers'][name]}", flush=True)
            keep()
    return None


def missing(row: Row, entry: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Solvers that can run here, are wanted and not in the entry yet."""
    known = rivals.REGRESSORS if row.kind == "sq" else rivals.CLASSIFIERS
    here = [n for n in known if n in options.python or importlib.util.find_spec(PACKAGES.get(n, n)) is not None]
    return [n for n in here if n not in entry["solvers"] and (not options.solvers or n in options.solvers)]


def limit_of(name: str, options: argparse.Namespace) -> float:
    return float(options.caps.get(name, options.limit))


def failed_on_easier(row: Row, name: str, done: list[dict]) -> bool:
    easier = [old for old in done if Row.of(old).no_harder_than(row)]
    return name != OURS and any("over" in old["solvers"].get(name, {}) for old in easier)


def summary(runs: list[Run], best: float, limit: float) -> dict[str, Any]:
    """The median over repeats of the run within the goal; where none got there, how near it came."""
    last = [run.steps[-1] for run in runs if run.steps]
    if len(last) == len(runs) and all(step["objective"] <= (1 + WITHIN) * best for step in last):
        middle = statistics.median(step["seconds"] for step in last)
        return {"seconds": round(middle, 3), "error": max(step["objective"] / best - 1 for step in last)}
    reached = min((step["objective"] / best - 1 for step in last), default=None)
    if any(run.crashed for run in runs):
        return {"crashed": True, "error": reached}
    return {"over": limit, "tried": True, "error": reached}


def curves(cache: Path) -> dict[str, list[dict[str, float]]]:
    """Our CPU-seconds against d at ten classes, and against c at 20,000 columns."""
    X, y = Row("ce", 200_000, 10, 0.1).data(cache)
    by_d = [(d, 10, np.ascontiguousarray(X[:, :d]), y) for d in (12_500, 25_000, 50_000, 100_000, 200_000)]
    by_c = [(20_000, c, *Row("ce", 20_000, c, 0.1).data(cache)) for c in (2, 5, 10, 20, 50, 100)]
    return {"columns": [_point(*point) for point in by_d], "classes": [_point(*point) for point in by_c]}


def _point(d: int, c: int, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    strength = 0.1 * lambda_max(X, y)
    result, seconds = group_lasso(X, y, strength, tolerance=TOLERANCE), []
    for _ in range(3):
        start = time.process_time()
        group_lasso(X, y, strength, tolerance=TOLERANCE)
        seconds.append(time.process_time() - start)
    middle = statistics.median(seconds)
    print(f"   d={d} c={c}: {middle:.2f} s, {len(result.indices)} features, gap {result.gap:.3f}", flush=True)
    return {"d": d, "c": c, "seconds": round(middle, 3), "active": len(result.indices), "gap": result.gap}


def table(record: dict[str, Any]) -> str:
    """The record as a markdown table: CPU-seconds to within 1e-3 of the optimum."""
    kinds = {"ce": "synthetic", "real": "ResNet-50", "sq": "synthetic, squared loss"}
    lines = [
        "| rows | d | c | lambda / lambda_max | head2toe | fastest library | its time / ours | others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        times = dict(row["solvers"])
        if OURS not in times:
            continue
        ours = times.pop(OURS)
        own = {name: times.pop(name) for name in ("fista", "proximal") if name in times}
        name, seconds, ratio = _fastest(times, ours)
        rest = {**own, **{other: times[other] for other in times if other != name}}
        others = ", ".join(f"{other} {_shown(entry)}" for other, entry in rest.items())
        lines.append(f"| {kinds[row['kind']]} | {row['d']:,} | {row['c']} | {row['ratio']} | {_shown(ours)} "
                     f"| {f'{name} {seconds}'.strip()} | {ratio} | {others} |")  # fmt: skip
    return "\n".join(lines)


def _fastest(times: dict[str, dict], ours: dict) -> tuple[str, str, str]:
    there = {name: entry["seconds"] for name, entry in times.items() if "seconds" in entry}
    if there:
        name = min(there, key=lambda key: there[key])
        return name, _shown(times[name]), f"{there[name] / ours['seconds']:.1f}"
    limits = [entry["over"] for entry in times.values() if entry.get("tried")]
    if not limits:  # all of them had run out of time on an easier problem, or crashed
        return "", "none" if any("crashed" in entry for entry in times.values()) else "not tried", "-"
    return "none", f"> {min(limits):.0f}", f"> {min(limits) / ours['seconds']:.0f}"


def _shown(entry: dict[str, Any]) -> str:
    if "seconds" in entry:
        return f"{entry['seconds']:.2f}"
    if "crashed" in entry:
        return "crashed"
    return f"> {entry['over']:.0f}" + ("" if entry["tried"] else "*")


def measured(record: dict[str, Any]) -> str:
    """What the how-to page says of the record: the table and the two curves."""
    lines = [
        table(record),
        "",
        '"> N": not within 1e-3 after N CPU-seconds (as a ratio: N times our seconds), over all tolerances that were',
        "tried; with a star: not tried, as it had failed on a problem no larger. fista and proximal are our own plain",
        "versions, with and without working sets.",
        "",
        *_spans(record),
        "",
    ]
    curve = record.get("curves", {})
    for name, key, title in (("columns", "d", "columns, 10 classes"), ("classes", "c", "classes, 20,000 columns")):
        points = curve.get(name, [])
        if points:
            lines.append(f"| {title}, 0.1 | {' | '.join(format(point[key], ',') for point in points)} |")
            lines.append("|---|" + "---|" * len(points))
            lines.append(f"| CPU-seconds | {' | '.join(format(point['seconds'], '.2f') for point in points)} |")
            lines.append("")
    return "\n".join(lines)


def _spans(record: dict[str, Any]) -> list[str]:
    """From how much less to how much more the rivals took that got there."""
    rows = [row["solvers"] for row in record["rows"] if "seconds" in row["solvers"].get(OURS, {})]
    rivals = {"The fastest library": lambda name: name not in (OURS, "fista", "proximal"), "fista": "fista".__eq__}
    lines = []
    for title, meant in rivals.items():
        times = [[one["seconds"] for name, one in row.items() if meant(name) and "seconds" in one] for row in rows]
        ratios = [min(found) / row[OURS]["seconds"] for found, row in zip(times, rows, strict=True) if found]
        lines.append(f"{title} got there in {len(ratios)} of {len(rows)} rows{_span(ratios)}.")
    return lines


def _span(ratios: Sequence[float]) -> str:
    if not ratios:  # a record just begun
        return ""
    middle = statistics.median(ratios)
    return f", in {min(ratios):.1f} to {max(ratios):.1f} times our seconds ({middle:.1f} in the median)"


def on_page(page: str, record: dict[str, Any]) -> str:
    """The how-to page with the measured part written anew."""
    return put_between(MARKS, measured(record), page)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", nargs="+", default=ROWS + SQUARED + REAL, help="KIND:D:C:RATIO, KIND ce, real or sq")
    add("--solvers", nargs="+", default=[], help="these alone; the others another time")
    add("--limit", type=float, default=120, help="CPU-seconds of a solver on a problem, loading included")
    add("--caps", nargs="+", default=[], metavar="NAME=SECONDS", help="other limits for some solvers")
    add("--repeats", type=int, default=3, help="of head2toe; others run once")
    add("--python", nargs="+", default=[], metavar="NAME=PATH", help="of an environment with a solver")
    add("--cache", type=Path, help="a folder that keeps the real rows; default: a temporary one")
    options = parser.parse_args(list(argv))
    options.python, options.caps = pairs(options.python), pairs(options.caps)
    return options


def main(argv: Sequence[str] = ()) -> None:
    options = arguments(argv)
    torch.set_num_threads(1)
    record = read("group_lasso") or {"rows": []}
    by_row = {Row.of(entry): entry for entry in record["rows"]}

    def keep() -> None:
        write("group_lasso", record)
        write_text(PAGE, on_page(PAGE.read_text(encoding="utf-8"), record))

    with tempfile.TemporaryDirectory() as folder:
        options.cache = options.cache or Path(folder)
        for row in map(Row.parse, options.rows):
            if row.kind == "real" and not SHARED.is_dir():
                continue
            if row not in by_row:
                by_row[row] = {**vars(row), "solvers": {}}
                record["rows"].append(by_row[row])
            measure(row, by_row[row], record["rows"], options, keep)
        if "curves" not in record and not options.solvers:
            record["curves"] = curves(options.cache)
            keep()
    print(measured(record))


if __name__ == "__main__":
    main(sys.argv[1:])
