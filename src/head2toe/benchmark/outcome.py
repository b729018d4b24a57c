"""What a method came to on a task: its accuracy, its choices and its costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """One method on one task.

    Attributes
    ----------
    task, group, backbone, method : str
    accuracy, balanced_accuracy : float or None
        Top-1 accuracy and mean recall over the classes of the test images, in [0, 1]; None where a method is only
        costed. A test image of a class that no training image has counts as an error.
    cv_accuracy : float or None
        Of the chosen hyper-parameters on held-out training images.
    extract_seconds : float
        Of the rows of the training images, which all methods that read rows share; 0 for the others.
    train_seconds : float
        Everything after that, the choice of hyper-parameters included.
    train_flops : int
        Both together, a multiply-add as 2.
    stored_bytes : int
        Of the file that keeps what the method changed: a head, or a network.
    choice : dict
        Hyper-parameters chosen, and on what.
    seed, n_train, n_test, classes : int
    image_size : list of two int, or None
        Height and width of the network's input; None with a preprocessing of the user's own.
    preprocessing : dict or None
        Of the images: size, mean and standard deviation of each channel, interpolation; as its `to_dict` gives it.
    dtype : str or None
        The number format of the frozen backbone.
    weights_sha256 : str or None
        Of the pretrained weights; None of an outcome that an older version wrote.
    estimated : bool
        Seconds and FLOPs are extrapolated.
    device : str
        Where rows were extracted and networks trained: "cpu", "mps", or a GPU's name. Seconds compare on one device.
    """

    task: str
    group: str
    backbone: str
    method: str
    accuracy: float | None
    balanced_accuracy: float | None
    cv_accuracy: float | None
    extract_seconds: float
    train_seconds: float
    train_flops: int
    stored_bytes: int
    choice: dict[str, Any]
    seed: int
    n_train: int
    n_test: int
    classes: int
    image_size: list[int] | None = None
    preprocessing: dict[str, Any] | None = None
    dtype: str | None = None
    weights_sha256: str | None = None
    estimated: bool = False
    device: str = "cpu"

    @property
    def seconds(self) -> float:
        """Of extraction and training."""
        return self.extract_seconds + self.train_seconds

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Outcome:
        """The outcome that `to_dict` wrote."""
        return Outcome(**{part.name: data[part.name] for part in fields(Outcome) if part.name in data})
