"""Runs every benchmark, or those named: `python -m benchmarks [NAME ...]`.

A benchmark is a module `bench_NAME.py` in this folder with a function `main()` that prints a table and writes its
numbers as JSON with `benchmarks.records.write`.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

PREFIX = "bench_"


def names() -> list[str]:
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def main() -> None:
    known = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks and write their results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known) or 'none yet'}")
    chosen = parser.parse_args().names or known
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(known)}")
    for name in chosen:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        importlib.import_module(f"benchmarks.{PREFIX}{name}").main()
        print(f"   {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
