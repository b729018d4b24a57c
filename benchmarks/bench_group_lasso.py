"""CPU-seconds on one thread to a group-lasso objective within 1e-3 of the optimum, against other solvers.

Synthetic rows: n = 1000, columns of an AR(1) process (0.8) plus 20 latent factors, standardised; labels from 50 of
them. Every solver runs in its own process, at one thread, at tolerances from loose to tight; the cheapest that gets
within 1e-3 of the optimum counts. The optimum comes from head2toe in float64 at a gap of 1e-6. Times are of the
processor, not of the wall, so that other work on the machine matters little.

`python -m benchmarks group_lasso` runs the small rows; `python -m benchmarks.bench_group_lasso --help` tells the rest.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import group_lasso_rivals as rivals
from benchmarks.records import write
from head2toe.probes.group_lasso import group_lasso, lambda_max

SMALL = ("ce:20000:10:0.1", "ce:20000:10:0.01", "ce:20000:100:0.1", "ce:20000:100:0.01", "sq:20000:10:0.1")
WITHIN = 1e-3
PACKAGES = {"scikit-learn": "sklearn", "fista": "torch"}
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


@dataclass(frozen=True)
class Row:
    """One problem: loss "ce" or "sq", columns, outputs and the share of lambda_max."""

    loss: str
    d: int
    c: int
    ratio: float

    @staticmethod
    def parse(text: str) -> Row:
        loss, d, c, ratio = text.split(":")
        return Row(loss, int(d), int(c), float(ratio))


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
    if row.loss == "sq":
        return X, signal + 0.5 * rng.standard_normal((n, row.c), dtype=np.float32)
    y = (3 * signal + rng.gumbel(size=signal.shape)).argmax(axis=1)
    y[: row.c] = np.arange(row.c)
    return X, y


def optimum(X: np.ndarray, y: np.ndarray, ratio: float) -> tuple[float, float]:
    """The strength, and the objective there."""
    loss = "squared" if y.ndim == 2 else "multinomial"
    strength = ratio * lambda_max(X, y, loss=loss, dtype=torch.float64)
    return strength, group_lasso(X, y, strength, loss=loss, tolerance=1e-6, dtype=torch.float64).objective


def ladder(name: str, python: str, folder: Path, strength: float, limit: float) -> list[dict[str, float]]:
    """What a rival printed before it ended, failed or used up `limit` CPU-seconds."""
    command = [python, rivals.__file__, name, str(folder), repr(strength)]
    capped = ["bash", "-c", f'ulimit -t {int(limit)}; exec "$@"', "bash", *command]
    source = Path(__file__).resolve().parents[1] / "src"
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(source)}
    done = subprocess.run(capped, env=environment, capture_output=True, text=True, check=False)
    if done.returncode > 0:
        print(f"   {name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure(row: Row, X: np.ndarray, y: np.ndarray, limit: float, repeats: int, adelie: str | None) -> dict[str, Any]:
    """One problem: the optimum and every solver's cheapest way to it."""
    strength, best = optimum(X, y, row.ratio)
    result: dict[str, Any] = {"loss": row.loss, "d": X.shape[1], "c": row.c, "ratio": row.ratio, "optimum": best}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        np.save(Path(folder) / "y.npy", y)
        for name in rivals.CLASSIFIERS if y.ndim == 1 else rivals.REGRESSORS:
            python = adelie if name == "adelie" else sys.executable
            if python is None or (name != "adelie" and importlib.util.find_spec(PACKAGES.get(name, name)) is None):
                continue
            times = repeats if name in ("head2toe", "fista") else 1
            runs = [ladder(name, python, Path(folder), strength, limit) for _ in range(times)]
            result[name] = summary(runs, best, limit)
            print(f"   {row.loss} d={X.shape[1]} c={row.c} ratio={row.ratio} {name:12} {result[name]}", flush=True)
    return result


def summary(runs: list[list[dict[str, float]]], best: float, limit: float) -> dict[str, float | str]:
    """The median over repeats of the cheapest run within the goal; where none got there, how near it came."""
    good = [[step for step in run if step["objective"] <= (1 + WITHIN) * best] for run in runs]
    if all(good):
        cheapest = [min(steps, key=lambda step: step["seconds"]) for steps in good]
        middle = statistics.median(step["seconds"] for step in cheapest)
        return {"seconds": round(middle, 3), "error": max(step["objective"] / best - 1 for step in cheapest)}
    reached = [step["objective"] / best - 1 for run in runs for step in run]
    return {"seconds": f"not within {limit:.0f}", "error": min(reached) if reached else float("nan")}


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=SMALL, help="LOSS:D:C:RATIO, LOSS ce or sq")
    parser.add_argument("--features", nargs=2, metavar=("X.npy", "y.npy"), help="own rows, for the ratios of --rows")
    parser.add_argument("--limit", type=float, default=60, help="CPU-seconds of a rival on a problem")
    parser.add_argument("--repeats", type=int, default=3, help="of head2toe and fista; others run once")
    parser.add_argument("--adelie", metavar="PYTHON", help="the python of an environment with adelie (numpy < 2)")
    options = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    began, results = time.perf_counter(), []
    for row in map(Row.parse, options.rows):
        if options.features:
            X, y = (np.load(path) for path in options.features)
            row = Row("ce", X.shape[1], int(y.max()) + 1, row.ratio)  # noqa: PLW2901
        else:
            X, y = synthetic(row)
        results.append(measure(row, X, y, options.limit, options.repeats, options.adelie))
        write("group_lasso", results)
    print(f"   {len(results)} problems in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
