"""From a recording to the samples that a network takes: resampled, then scaled as the checkpoint wants it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch

from head2toe.errors import UnreadableImageError

_TOO_LOUD = 1e15  # as damaged files are: the sum of squares would leave float32, and silence would be left
_NOISE_SECONDS = {"first": 1.0, "second": 0.8, "longest": 5.0}


class Sound(Protocol):
    """A recording: float32 samples (T,) and their number a second, None for the network's own; a name for messages."""

    @property
    def samples(self) -> npt.NDArray[np.float32]:
        """Float32 (T,)."""
        ...

    @property
    def rate(self) -> int | None:
        """Samples a second."""
        ...

    @property
    def name(self) -> str:
        """As the user knows it."""
        ...


@dataclass(frozen=True)
class WaveformPreprocessing:
    """A checkpoint's own feature extractor.

    Nothing is padded: recordings go through the network together with others of as many samples. Networks with a norm
    over time (wav2vec2-base) would otherwise give other numbers for the same recording in other company.

    Attributes
    ----------
    extractor
        Of `transformers`; one number a sample.
    shortest : int
        Samples that the network needs at least.
    """

    takes: ClassVar[str] = "recordings"
    prefix: ClassVar[int] = 0

    extractor: Any
    shortest: int = 1

    @property
    def rate(self) -> int:
        """Samples a second that the network takes."""
        return int(self.extractor.sampling_rate)

    def image(self, sound: Sound) -> npt.NDArray[np.float32]:
        """The samples of one recording at the network's rate, scaled: float32 (T,).

        Raises
        ------
        UnreadableImageError
            Shorter than the network's first window, or of samples too large to be scaled.
        """
        samples = resampled(sound.samples, sound.rate or self.rate, self.rate)
        if len(samples) < self.shortest:
            raise UnreadableImageError(
                f"{sound.name}: {len(samples)} samples at {self.rate} Hz, and the network needs {self.shortest}"
            )
        loudest = np.abs(samples).max()
        if not loudest < _TOO_LOUD:
            raise UnreadableImageError(f"{sound.name}: samples up to {loudest:.0e} are too large to be scaled")
        made = self.extractor(samples, sampling_rate=self.rate, return_tensors="np")
        return np.asarray(made["input_values"][0], np.float32)

    def batch(self, recordings: Sequence[npt.NDArray[np.float32]]) -> torch.Tensor:
        """B recordings of as many samples: float32 (B, T)."""
        return torch.from_numpy(np.stack(recordings))

    def noise(self, count: int, kind: str = "first") -> torch.Tensor:
        """Noise, float32 (count, T), always the same; the kinds "first", "second" and "longest" differ in T."""
        length = max(int(_NOISE_SECONDS[kind] * self.rate), self.shortest)
        return torch.from_numpy(np.random.default_rng(0).standard_normal((count, length)).astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """A JSON description that identifies the extractor; the extractor itself stays in its repository."""
        return {
            "extractor": type(self.extractor).__name__,
            "rate": self.rate,
            "normalised": bool(getattr(self.extractor, "do_normalize", False)),
        }


def resampled(samples: npt.NDArray[np.float32], rate: int, wanted: int) -> npt.NDArray[np.float32]:
    """Samples (T,) at another rate, through SciPy's polyphase filter.

    Parameters
    ----------
    samples
        Float32 (T,).
    rate, wanted
        Samples a second, before and after.

    Returns
    -------
    float32 (ceil(T * wanted / rate),)
    """
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return resample_poly(samples, wanted // common, rate // common).astype(np.float32)
