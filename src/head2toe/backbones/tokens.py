"""From a text to the numbers of its tokens, by the tokenizer of a checkpoint."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from head2toe.errors import UnreadableImageError

# Lengths of the noise that layers are found with: two, to tell the axis that grows with the text.
_NOISE_TOKENS = (24, 17)
_LONG = 512  # tokens that a text seldom exceeds: models of long contexts take tens of thousands


@dataclass(frozen=True)
class TextPreprocessing:
    """A checkpoint's own tokenizer.

    Nothing is padded: texts go through the network together with others of as many tokens, so no pooling, attention
    or norm sees padding.

    Attributes
    ----------
    tokenizer
        Of `transformers`.
    max_length : int
        Tokens that the network takes, special ones counted; what is longer loses its end.
    pooling : str
        How the network makes one vector of its states, which neither its weights nor the tokenizer tell.
    """

    takes: ClassVar[str] = "texts"

    tokenizer: Any
    max_length: int
    pooling: str = "mean"
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def image(self, text: str) -> npt.NDArray[np.int64]:
        """The token numbers of one text, int64 (T,), special tokens included.

        Raises
        ------
        UnreadableImageError
            No token remains of the text, or it has a lone surrogate.
        """
        _check_characters(text)
        with self._lock:  # the tokenizer keeps the truncation in itself: not for two threads at once
            found = self.tokenizer(text, truncation=True, max_length=self.max_length, verbose=False)
        numbers = np.asarray(found["input_ids"], np.int64)
        if not len(numbers):
            raise UnreadableImageError(f"{text[:40]!r} has no token for this tokenizer")
        return numbers

    def batch(self, texts: Sequence[npt.NDArray[np.int64]]) -> torch.Tensor:
        """B texts of as many tokens: int64 (B, T)."""
        return torch.from_numpy(np.stack(texts))

    def noise(self, count: int, kind: str = "first") -> torch.Tensor:
        """Random tokens, int64 (count, T), always the same; the kinds "first", "second" and "longest" differ in T."""
        length = {"first": _NOISE_TOKENS[0], "second": _NOISE_TOKENS[1], "longest": _LONG}[kind]
        special = np.asarray(self._special(), np.int64)
        ordinary = np.setdiff1d(np.arange(len(self.tokenizer)), self.tokenizer.all_special_ids)
        inner = min(length, self.max_length) - len(special)
        drawn = np.random.default_rng(0).choice(ordinary, (count, inner))
        start, end = (np.tile(part, (count, 1)) for part in np.split(special, [1] if len(special) else [0]))
        return torch.from_numpy(np.concatenate([start, drawn, end], axis=1).astype(np.int64))

    @property
    def prefix(self) -> int:
        """1 where a class token stands first, else 0."""
        special = self._special()
        return int(bool(special) and special[0] == self.tokenizer.cls_token_id)

    def _special(self) -> list[int]:
        """The tokens of no text."""
        with self._lock:  # it switches the truncation off
            return list(self.tokenizer("", verbose=False)["input_ids"])

    def to_dict(self) -> dict[str, Any]:
        """A JSON description that identifies the tokenizer; the tokenizer itself stays in its repository.

        The pooling is in it where it is not the mean, as probes that are there already do not name that.
        """
        described = {
            "tokenizer": type(self.tokenizer).__name__,
            "sha256": self._digest(),
            "max_length": self.max_length,
        }
        return described if self.pooling == "mean" else {**described, "pooling": self.pooling}

    def _digest(self) -> str:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            described = json.dumps(self.tokenizer.get_vocab(), sort_keys=True)
        else:
            with self._lock:
                self.tokenizer("", truncation=True, max_length=self.max_length, verbose=False)  # one state for all
                described = backend.to_str()
        return hashlib.sha256(described.encode()).hexdigest()


def _check_characters(text: str) -> None:
    """Refuse what UTF-8 has no bytes for, and so no tokenizer takes: it comes of texts decoded in a wrong way."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnreadableImageError(
            f"{text[:40]!r} has a lone surrogate, half a character, at index {error.start}: decode the text anew, or "
            "replace it"
        ) from error
