"""The layouts in which a task's data are found below one folder, and what of each is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from head2toe.benchmark.vtab.definitions import DEFINITIONS, NORB_FILES, TaskDefinition

if TYPE_CHECKING:
    from head2toe.benchmark.vtab.pool import Drawn


@dataclass(frozen=True)
class Layout:
    """One way a data set lies on a disk.

    Attributes
    ----------
    name : str
        "lists", "torchvision" or "original".
    folder : str
        Below the user's folder; what the reader gets.
    files : tuple of str
        What must be in it, "." itself; "a|b" is one of both, and "*" any end.
    module, function : str
        The reader.
    seeded : bool
        It draws with a seed, because the original drawing is lost.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    module: str
    function: str
    seeded: bool = False

    def missing(self, root: Path) -> list[str]:
        """What is not there, relative to `root`."""
        there = root / self.folder
        return [
            str(Path(self.folder) / file)
            for file in self.files
            if not any(_is_there(there, one) for one in file.split("|"))
        ]

    def read(self, root: Path, definition: TaskDefinition, seed: int) -> Drawn:
        """Draw the task's images. Raises what the reader raises: see its module."""
        reader: Callable[..., Drawn] = getattr(import_module(f"{__package__}.{self.module}"), self.function)
        place = root / self.folder
        return reader(place, definition, seed) if self.seeded else reader(place, definition)


@dataclass(frozen=True)
class Presence:
    """What is there of a task.

    Attributes
    ----------
    definition : TaskDefinition
    layout : Layout or None
        The first whose files are all there.
    missing : dict of str to list of str
        Without one: for each layout, what is not there.
    begun : tuple of str
        The layouts of which something is there, but not all.
    """

    definition: TaskDefinition
    layout: Layout | None
    missing: dict[str, list[str]]
    begun: tuple[str, ...] = ()


def layouts(definition: TaskDefinition) -> tuple[Layout, ...]:
    """The layouts that are looked for, in this order."""
    dataset = definition.name if definition.name in _LAYOUTS else definition.name.partition("-")[0]
    return (*_lists(definition.folder), *_LAYOUTS.get(dataset, ()))


def presence(root: Path) -> list[Presence]:
    """Look for all tasks below a folder; nothing is read."""
    return [find(root, definition) for definition in DEFINITIONS]


def find(root: Path, definition: TaskDefinition, *, only: str | None = None) -> Presence:
    """Look for one task below a folder, in one layout or in any."""
    missing: dict[str, list[str]] = {}
    begun = []
    for layout in layouts(definition):
        if only not in (None, layout.name):
            continue
        lacking = layout.missing(root)
        if not lacking:
            return Presence(definition, layout, {})
        if len(lacking) < len(layout.files):
            begun.append(layout.name)
            missing[layout.name] = lacking
        missing.setdefault(layout.name, lacking)
    return Presence(definition, None, missing, tuple(begun))


def _is_there(folder: Path, file: str) -> bool:
    return any(folder.glob(file)) if "*" in file else (folder / file).exists()


def _lists(folder: str) -> tuple[Layout, ...]:
    files = ("test.txt", "train800.txt|train800val200.txt", "val200.txt|train800val200.txt")
    return tuple(Layout("lists", place, files, "listed", "read_lists") for place in (folder, f"vtab-1k/{folder}"))


def _layout(name: str, folder: str, files: str, reader: str, *, seeded: bool = False) -> Layout:
    module, function = reader.split(".")
    return Layout(name, folder, tuple(files.split()), module, function, seeded)


_torchvision, _original = partial(_layout, "torchvision"), partial(_layout, "original")

_SVHN = "train_32x32.mat test_32x32.mat"
_CAMELYON = " ".join(
    f"camelyonpatch_level_2_split_{split}_{axis}.h5" for split in ("train", "valid", "test") for axis in "xy"
)
_NORB = " ".join(f"{stem}-{kind}.mat" for stem in NORB_FILES.values() for kind in ("dat", "info"))
_CLEVR = "images/train images/val scenes/CLEVR_train_scenes.json scenes/CLEVR_val_scenes.json"
_KITTI = "training/image_2 training/label_2 mapping/train_rand.txt mapping/train_mapping.txt"
_DMLAB = "dmlab-train.tfrecord* dmlab-validation.tfrecord* dmlab-test.tfrecord*"
_SPRITES = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"

_LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "cifar100": (
        _torchvision(".", "cifar-100-python/train cifar-100-python/test", "arrays.read_cifar"),
        _original("cifar-100-binary", "train.bin test.bin", "arrays.read_cifar_binary"),
    ),
    "caltech101": (
        _torchvision("caltech101/101_ObjectCategories", "BACKGROUND_Google", "photographs.read_caltech", seeded=True),
    ),
    "dtd": (
        _torchvision("dtd/dtd", "images labels/train1.txt labels/val1.txt labels/test1.txt", "photographs.read_dtd"),
    ),
    "flowers102": (_torchvision("flowers-102", "jpg imagelabels.mat setid.mat", "photographs.read_flowers"),),
    "pets": (
        _torchvision(
            "oxford-iiit-pet", "images annotations/trainval.txt annotations/test.txt", "photographs.read_pets"
        ),
    ),
    "svhn": (_torchvision(".", _SVHN, "arrays.read_svhn"), _torchvision("svhn", _SVHN, "arrays.read_svhn")),
    "sun397": (_torchvision("SUN397", "ClassName.txt a", "photographs.read_sun", seeded=True),),
    "camelyon": (_torchvision("pcam", _CAMELYON, "arrays.read_camelyon"),),
    "eurosat": (_torchvision("eurosat/2750", "AnnualCrop SeaLake", "photographs.read_class_folders"),),
    "resisc45": (_original("NWPU-RESISC45", "airplane wetland", "photographs.read_class_folders"),),
    "retinopathy": (
        _original("retinopathy", "train test trainLabels.csv retinopathy_solution.csv", "retinopathy.read_retinopathy"),
    ),
    "clevr": (_torchvision("clevr/CLEVR_v1.0", _CLEVR, "scenes.read_clevr"),),
    "dmlab": (_original("dmlab", _DMLAB, "dmlab.read_dmlab"),),
    "kitti": (_torchvision("Kitti/raw", _KITTI, "scenes.read_kitti"),),
    "dsprites": (
        _original(_SPRITES, ".", "dsprites.read_dsprites"),
        _original(f"dsprites/{_SPRITES}", ".", "dsprites.read_dsprites"),
    ),
    "smallnorb": (_original("smallnorb", _NORB, "smallnorb.read_smallnorb"),),
}
