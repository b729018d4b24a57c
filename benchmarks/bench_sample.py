"""The README's sample: what `fit`, `evaluate` and `predict` print for folders of photographs.

The folders are made of the shared signdigits: 30 training images of each class, and all test images, of which ten stand
in a folder without subfolders too. `python -m benchmarks sample` (benchmarks/results/sample.json) runs the program in
their folder, and writes what it printed into README.md. Run it on a quiet machine.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import records
from benchmarks.markdown import put_between
from benchmarks.shared_data import no_shared_data, read
from head2toe.whole_files import write_text

NAME, TASK = "sample", "signdigits"
README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = "<!-- sample: written by benchmarks/bench_sample.py -->", "<!-- end of sample -->"
A_CLASS, UNKNOWN = 30, 10  # images
COMMANDS = (
    "head2toe fit signs --out probe",
    "head2toe evaluate probe more_signs",
    "head2toe predict probe unknown",
)
SHOWN = {COMMANDS[2]: 4}  # lines
WIDTH = 96  # characters of a line


def save(split: str, folder: Path, most: int | None = None) -> None:
    """Images of a split as files, in a subfolder for each class."""
    data, seen = read(TASK, split), Counter()
    for image, label in zip(data.images, data.labels, strict=True):
        seen[label] += 1
        if most is None or seen[label] <= most:
            path = folder / str(label) / f"{seen[label]:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)


def printed() -> dict[str, list[str]]:
    """What each command prints on standard output, line by line."""
    with tempfile.TemporaryDirectory(prefix="head2toe-") as name:
        folder = Path(name).resolve()
        save("train", folder / "signs", A_CLASS)
        save("test", folder / "more_signs")
        (folder / "unknown").mkdir()
        every = sorted((folder / "more_signs").rglob("*.png"))
        for number in range(UNKNOWN):
            shutil.copy(every[number * len(every) // UNKNOWN], folder / "unknown" / f"{number}.png")
        return {command: run(command, folder) for command in COMMANDS}


def run(command: str, folder: Path) -> list[str]:
    """The lines that a command prints in a folder, which they name by no path."""
    program = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(program, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.replace(f"{folder}/", "").splitlines()


def sample(record: dict[str, list[str]]) -> str:
    """Commands and lines as they stand in the README."""
    shown = []
    for command, lines in record.items():
        most = SHOWN.get(command, len(lines))
        shown += [f"$ {command}", *map(shortened, lines[:most]), *(["..."] if most < len(lines) else [])]
    return "\n".join(["```", *shown, "```", ""])


def shortened(line: str) -> str:
    """Cut behind a comma."""
    return line if len(line) <= WIDTH else f"{line[:WIDTH].rpartition(', ')[0]}, ..."


def main() -> None:
    """Run what the record lacks, print, and write the README."""
    if no_shared_data(NAME):
        return
    if not records.read(NAME):
        records.write(NAME, printed())
    text = sample(records.read(NAME))
    print(text)
    write_text(README, put_between(MARKS, text, README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
