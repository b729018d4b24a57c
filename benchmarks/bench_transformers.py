"""Looks at small random models of `transformers` (images, text, recordings) for docs/backbones.md."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.bench_zoo import write_page
from benchmarks.records import write


def look(spec: str, name: str, kind: str) -> dict[str, Any]:
    """Taps, what the linear probe reads, and how many of the model's own hidden states equal a tap bit by bit."""
    from head2toe.backbones import load
    from head2toe.backbones.running import run
    from head2toe.features import layers
    from head2toe.features.hooks import watch
    from head2toe.features.noise import noise_batch
    from head2toe.features.outputs import first_tensor

    backbone = load(spec)
    batch = noise_batch(backbone, 2)
    found = {layer.key: layer for layer in layers(backbone)}
    seen: dict[Any, torch.Tensor] = {}

    def see(module: str, where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, 2)
        if (module, where, call) in found and tensor is not None:
            seen[module, where, call] = tensor.clone()

    with watch(backbone.module, {key[:2] for key in found}, see):
        during = first_tensor(run(backbone.module, batch))
    model = getattr(backbone.module, "model", backbone.module)
    with torch.inference_mode():
        plain, own = first_tensor(backbone.module(batch)), model(batch, output_hidden_states=True).hidden_states
    states = own[1:]  # the first is the embeddings, which some models change before the first block
    equal = sum(any(t.shape == state.shape and torch.equal(t, state) for t in seen.values()) for state in states)
    return {
        "takes": kind,
        "model": name,
        "class": type(model).__name__,
        "taps": len(found),
        "linear": next(layer.name for layer in found.values() if layer.penultimate),
        "identical": torch.equal(during, plain),
        "states": len(states),
        "equal": equal,
    }


def main() -> None:
    from benchmarks.zoo import hf_images, hf_sequences

    torch.set_num_threads(1)
    zoos = (
        ("images", hf_images.MODELS, hf_images.save),
        ("text", hf_sequences.TEXTS, hf_sequences.save_text),
        ("recordings", hf_sequences.AUDIOS, hf_sequences.save_audio),
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, models, save in zoos:
            for name in models:
                rows.append(look(save(name, Path(folder) / name), name, kind))
                print(kind, name, rows[-1], flush=True)
    write("transformers", {"transformers": hf_images.hf.__version__, "models": rows})
    write_page()
