"""The folder `shared` beside the checkout: the tasks and the backbones that benchmarks run on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from head2toe.data import LabelledImages

SHARED = Path(__file__).resolve().parents[2] / "shared"
TASKS = {  # file, and which of its labels
    "location": ("dsprites.npz", "location"),
    "orientation": ("dsprites.npz", "orientation"),
    **{
        name: (f"{name}.zip", None)
        for name in ("caltech101", "nuclei_count", "signdigits", "cifar10", "mnist", "brainmri", "rsscn7")
    },
}
BACKBONES = ("embedded", "resnet50", "mobilenetv2_100", "vit_tiny_patch16_224")


def no_shared_data(benchmark: str, so: str = "nothing to run") -> bool:
    """Whether the folder is not there; if so, say it and what comes of it."""
    absent = not SHARED.is_dir()
    if absent:
        print(f"bench_{benchmark}: no folder 'shared' beside the checkout, {so}")
    return absent


def spec(backbone: str) -> str:
    """The specification of a shared backbone."""
    return backbone if backbone == "embedded" else f"timm/local-dir:{SHARED / 'weights' / backbone}"


def read(task: str, split: str) -> LabelledImages:
    """A task's labelled images, "train" or "test"."""
    from head2toe.data import read_data

    file, label = TASKS[task]
    return read_data(SHARED / "data" / file, split=split, label=label).with_labels()


def resident(field: str) -> int:
    """Resident memory of this process (Linux), bytes, pages of memmaps that it read among them: now or at most.

    Not getrusage: its peak is handed down from the parent at the start of a process.

    Parameters
    ----------
    field : "VmRSS" or "VmHWM"
        Now, or at most.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[field].split()[0])
