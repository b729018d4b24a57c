"""A frozen network together with all that its rows depend on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.preprocessing import AnyPreprocessing
from head2toe.backbones.running import write_count
from head2toe.paths import path_of

OWN_PREFIX = "module/"
"""What the specification of a user's own module begins with."""
_OF_TRANSFORMERS = ("hf", "hf-text", "hf-audio")
LOCAL = "local-dir:"
"""What timm writes before the path of a folder."""


@dataclass(frozen=True)
class Backbone:
    """A frozen network with its own preprocessing.

    Attributes
    ----------
    spec : str
        What the user wrote: "embedded", "timm/resnet50.a1_in1k", ...; "module/ClassName" for a user's own module.
    module : torch.nn.Module
        In eval mode, without gradients, float32, on the CPU.
    preprocessing : Preprocessing, TransformPreprocessing, TextPreprocessing or WaveformPreprocessing
    classifier : str or None
        Name of the submodule that makes the logits; its input is the penultimate features.
    revision : str or None
        The hub's commit or the checkpoint's tag, where there is one.
    """

    spec: str
    module: torch.nn.Module
    preprocessing: AnyPreprocessing
    classifier: str | None = None
    revision: str | None = None
    _hashed: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def is_own(self) -> bool:
        """Whether the module is of the user's own: its name does not say what it is."""
        return self.spec.startswith(OWN_PREFIX)

    @property
    def folder(self) -> Path | None:
        """The folder that it was read from, whose config.json may be edited; None of all others."""
        prefix, path = _place(self.spec)
        return path if prefix.endswith(LOCAL) or self.revision is None else None

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the state dict: names, dtypes, shapes and bytes, in order.

        Made anew once one was written to or replaced; writes through `tensor.data` are not counted.
        """
        held = self.module.state_dict()
        written = [(name, _place_in_memory(tensor), write_count(tensor)) for name, tensor in held.items()]
        if self._hashed[:1] != [written]:
            self._hashed[:] = written, _hash(held)
        return self._hashed[1]

    @cached_property
    def body_bytes(self) -> int:
        """Bytes of the parameters and buffers, as loaded, without the classifier: what every task has in common."""
        whole = state_bytes(self.module)
        return whole - state_bytes(self.module.get_submodule(self.classifier)) if self.classifier else whole

    def to_dict(self) -> dict[str, Any]:
        """What identifies the rows this backbone makes, as a JSON object."""
        return {
            "spec": self.spec,
            "revision": self.revision,
            "weights_sha256": self.weights_sha256,
            "classifier": self.classifier,
            "preprocessing": self.preprocessing.to_dict(),
        }


def _place_in_memory(tensor: torch.Tensor) -> Any:
    """Where its numbers lie; of a sparse tensor, which has no such place, what equals nothing seen before."""
    return tensor.data_ptr() if tensor.layout == torch.strided else object()


def _hash(state: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(contents(tensor))
    return digest.hexdigest()


def contents(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor's numbers."""
    dense = tensor.detach().cpu()
    dense = dense if dense.layout == torch.strided else dense.to_dense()
    return dense.contiguous().flatten().view(torch.uint8).numpy().data


def state_bytes(module: torch.nn.Module) -> int:
    """Bytes of the parameters and buffers that a module keeps."""
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def freeze(module: torch.nn.Module) -> torch.nn.Module:
    """Put a module into eval mode and switch its gradients off; returns it."""
    return module.eval().requires_grad_(False)


def parts_of(description: dict[str, Any]) -> list[dict[str, Any]]:
    """What describes each backbone: several have a list of parts, one is its own."""
    return description.get("parts", [description])


def with_absolute_path(description: dict[str, Any]) -> dict[str, Any]:
    """`Backbone.to_dict()` with the full path of a local folder, which is found from another working directory too."""
    prefix, folder = _place(description["spec"])
    if folder is None or not folder.is_dir():
        return description
    return {**description, "spec": f"{prefix}{folder.absolute()}"}


def _place(spec: str) -> tuple[str, Path | None]:
    """What a specification begins with, and the path after it where that may be a folder's."""
    family, _, name = spec.partition("/")
    if name.startswith(LOCAL):
        return f"{family}/{LOCAL}", path_of(name.removeprefix(LOCAL))
    return f"{family}/", path_of(name) if family in _OF_TRANSFORMERS else None


def pinned(description: dict[str, Any]) -> str:
    """The specification in `Backbone.to_dict()`, with the hub's commit where `load` takes one."""
    spec, revision = description["spec"], description.get("revision")
    pins = spec.partition("/")[0] in _OF_TRANSFORMERS
    return f"{spec}@{revision}" if pins and revision and "@" not in spec else spec
