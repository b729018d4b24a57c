"""The 19 tasks of VTAB-1k: groups, classes and splits.

Source: google-research/task_adaptation, ``task_adaptation/data/*.py`` and the figures that its own ``*_test.py`` assert
(commit ed9b417 and, for the tests, dd43428). All tasks follow one rule there: "train800" is the first 800 images of the
training range, "val200" the first 200 of the validation range, and the test is on the whole test range; only the ranges
differ. A range counts images in the order of tensorflow_datasets, see `order`.
"""

from __future__ import annotations

from dataclasses import dataclass

from head2toe.errors import ParameterError

NATURAL, SPECIALIZED, STRUCTURED = GROUPS = ("natural", "specialized", "structured")
NORB_FILES = {  # smallNORB's own names: -dat.mat and -info.mat follow
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
TRAINING, VALIDATION = 800, 200


@dataclass(frozen=True)
class Range:
    """Images ``start`` to ``stop`` (not included) of one part, in its order."""

    part: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def first(self, n: int) -> Range:
        """The first `n` of them."""
        return Range(self.part, self.start, min(self.start + n, self.stop))


@dataclass(frozen=True)
class TaskDefinition:
    """One task of VTAB-1k.

    Attributes
    ----------
    name : str
        Ours.
    title : str
        In tables, as in the VTAB paper.
    group : str
        "natural", "specialized" or "structured".
    classes : int
        Class numbers are 0 .. classes - 1.
    folder : str
        Name of the folder in the layout of NOAH, SSF and RepAdapter.
    train, validation, test : Range
        VTAB's ranges: 800 and 200 images are drawn from the first two, all of the third is used.
    """

    name: str
    title: str
    group: str
    classes: int
    folder: str
    train: Range
    validation: Range
    test: Range

    @property
    def train800(self) -> Range:
        """The first 800 of `train`."""
        return self.train.first(TRAINING)

    @property
    def val200(self) -> Range:
        """The first 200 of `validation`."""
        return self.validation.first(VALIDATION)

    @property
    def parts(self) -> dict[str, int]:
        """Images of each split of the data set."""
        ranges = (self.train, self.validation, self.test)
        return {part.part: max(other.stop for other in ranges if other.part == part.part) for part in ranges}


def definition(name: str) -> TaskDefinition:
    """The task of that name (ours, or its folder's).

    Raises
    ------
    ParameterError
        There is none.
    """
    for task in DEFINITIONS:
        if name in (task.name, task.folder):
            return task
    raise ParameterError(f"VTAB-1k has no task {name}: its tasks are {', '.join(task.name for task in DEFINITIONS)}")


Splits = tuple[Range, Range, Range]


def _given(train: int, validation: int, test: int) -> Splits:
    """The data set has all three."""
    return Range("train", 0, train), Range("validation", 0, validation), Range("test", 0, test)


def _held_out(train: int, validation: int, test: int, *, judged_on: str = "test") -> Splits:
    """The data set has two: the end of its training images is for validation."""
    return Range("train", 0, train), Range("train", train, train + validation), Range(judged_on, 0, test)


def _divided(train: int, validation: int, test: int) -> Splits:
    """The data set has one, which is divided."""
    judged = train + validation
    return Range("train", 0, train), Range("train", train, judged), Range("train", judged, judged + test)


# Half of the test images are for validation.
_NORB = (Range("train", 0, 24300), Range("test", 0, 12150), Range("test", 12150, 24300))
_CLEVR = _held_out(63000, 7000, 15000, judged_on="validation")
_SPRITES = _divided(589824, 73728, 73728)

# In the order of the VTAB paper's tables: name, title, classes, folder, splits.
_TASKS: dict[str, tuple[tuple[str, str, int, str, Splits], ...]] = {
    NATURAL: (
        ("cifar100", "CIFAR-100", 100, "cifar", _held_out(45000, 5000, 10000)),
        ("caltech101", "Caltech101", 102, "caltech101", _held_out(2754, 306, 6084)),
        ("dtd", "DTD", 47, "dtd", _given(1880, 1880, 1880)),
        ("flowers102", "Flowers102", 102, "oxford_flowers102", _given(1020, 1020, 6149)),
        ("pets", "Pets", 37, "oxford_iiit_pet", _held_out(2944, 736, 3669)),
        ("svhn", "SVHN", 10, "svhn", _held_out(65931, 7326, 26032)),
        ("sun397", "Sun397", 397, "sun397", _given(76128, 10875, 21750)),
    ),
    SPECIALIZED: (
        ("camelyon", "Camelyon", 2, "patch_camelyon", _given(262144, 32768, 32768)),
        ("eurosat", "EuroSAT", 10, "eurosat", _divided(16200, 5400, 5400)),
        ("resisc45", "Resisc45", 45, "resisc45", _divided(18900, 6300, 6300)),
        ("retinopathy", "Retinopathy", 5, "diabetic_retinopathy", _given(35126, 10906, 42670)),
    ),
    STRUCTURED: (
        ("clevr-count", "Clevr-Count", 8, "clevr_count", _CLEVR),
        ("clevr-distance", "Clevr-Dist", 6, "clevr_dist", _CLEVR),
        ("dmlab", "DMLab", 6, "dmlab", _given(65550, 22628, 22735)),
        ("kitti", "KITTI-Dist", 4, "kitti", _given(6347, 423, 711)),
        ("dsprites-location", "dSpr-Loc", 16, "dsprites_loc", _SPRITES),
        ("dsprites-orientation", "dSpr-Ori", 16, "dsprites_ori", _SPRITES),
        ("smallnorb-azimuth", "sNORB-Azim", 18, "smallnorb_azi", _NORB),
        ("smallnorb-elevation", "sNORB-Elev", 9, "smallnorb_ele", _NORB),
    ),
}


DEFINITIONS = tuple(
    TaskDefinition(name, title, group, classes, folder, *splits)
    for group, rows in _TASKS.items()
    for name, title, classes, folder, splits in rows
)
NAMES = tuple(task.name for task in DEFINITIONS)
