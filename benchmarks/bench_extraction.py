"""What extraction costs beside the bare network, what `predict` reaches, and whether memory stays flat.

    python -m benchmarks.bench_extraction --weights ../shared/weights/resnet50

Writes benchmarks/results/extraction.json. Four measurements:

* hooks, pooling and rows written to disk, against the bare forward pass of the same batches in the same dtype, in turn,
  for one target size (512), for three (512, 8192, 24576), and for the classifier's default (512 and statistics);
* `predict`'s loop (1 % of the default's columns, images decoded from JPEG) against the bare forward pass of ready
  batches;
* a network that stops after its first half (stages 1 and 2 of 4, where all kept columns lie), against the same columns
  from a whole forward pass;
* the peak memory of whole runs of 1,000 and of 10,000 images in fresh processes (a small network).

Ratios are medians over rounds of (time / bare time of the same round), so that a machine busy with other things slows
both sides alike.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.shared_data import SHARED, resident
from head2toe.backbones import Backbone, Preprocessing, load
from head2toe.backbones.running import run
from head2toe.features.dtype import prepare
from head2toe.features.extractor import Extractor, extract
from head2toe.features.narrowing import narrow
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch
from head2toe.features.plan import Plan
from head2toe.features.pooling_rules import STATISTICS
from head2toe.features.taps import layers
from head2toe.whole_files import write_text

RESULTS = Path(__file__).parent / "results" / "extraction.json"
WEIGHTS = SHARED / "weights" / "resnet50"
ONE, THREE = (512,), (512, 8192, 24576)
FIRST_HALF = "re:^(maxpool|act1|layer[12])"
BATCH = 16  # what `batch_size="auto"` takes on a CPU


class Pictures:
    """JPEGs of seeded noise, 160 x 128, made once and decoded at every access."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.files = []
        for seed in range(min(n, 64)):
            coarse = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(coarse).resize((160, 128), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            self.files.append(file.getvalue())

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Image.Image:
        return Image.open(io.BytesIO(self.files[i % len(self.files)])).convert("RGB")

    def identity(self, i: int) -> str:
        return str(i)


def in_turn(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, one uncounted round first."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    """Median over rounds of a contender's time beside that of the bare forward pass."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds["bare"], strict=True))


def cost_of_pooling(backbone: Backbone, dtype: str, rounds: int) -> dict[str, Any]:
    """Pooling and writing against the bare forward pass of the same batches."""
    prepared = prepare(backbone, "cpu", dtype)
    batch = prepared.batch(noise_batch(backbone, BATCH))
    found = layers(backbone)
    plans = {_name(sizes): Plan.build(found, sizes) for sizes in (ONE, THREE)}
    plans["default"] = Plan.build(found, ONE, statistics=STATISTICS)
    contenders: dict[str, Callable[[], Any]] = {"bare": lambda: run(prepared.module, batch)}
    with tempfile.TemporaryFile(buffering=0) as file:

        def write(network: PooledNetwork) -> None:
            file.seek(0)
            file.write(network.rows(batch).numpy().data)

        for name, plan in plans.items():
            network = PooledNetwork(prepared.module, plan, stop_early=False)
            contenders[name] = lambda network=network: write(network)
        seconds = in_turn(contenders, rounds)
    return {
        "dtype": dtype,
        "batch": BATCH,
        "layers": len(found),
        "columns": {name: plan.d for name, plan in plans.items()},
        "bare_images_per_second": BATCH / statistics.median(seconds["bare"]),
        "ratio": {name: ratio(seconds, name) for name in plans},
    }


def speed_of_predict(backbone: Backbone, dtype: str, rounds: int, batches: int = 8) -> dict[str, Any]:
    """Images per second of `predict`'s loop from JPEGs, as a share of the bare network's on ready batches."""
    plan = Plan.build(layers(backbone), ONE, statistics=STATISTICS)
    columns = np.sort(np.random.default_rng(0).permutation(plan.d)[: plan.d // 100])
    extractor = Extractor(backbone, plan, columns=columns, dtype=dtype, batch_size=BATCH, device="cpu", progress=False)
    prepared = prepare(backbone, "cpu", dtype)
    ready = prepared.batch(noise_batch(backbone, BATCH))
    images = Pictures(batches * BATCH)

    def bare() -> None:
        for _ in range(batches):
            run(prepared.module, ready)

    def predict() -> None:
        for _ in extractor.stream(images):
            pass

    seconds = in_turn({"bare": bare, "predict": predict}, rounds)
    return {"dtype": dtype, "columns": len(columns), "share_of_bare_images_per_second": 1 / ratio(seconds, "predict")}


def truncation(backbone: Backbone, dtype: str, rounds: int) -> dict[str, Any]:
    """How many times as fast the same rows are made when the network stops after its first half."""
    prepared = prepare(backbone, "cpu", dtype)
    batch = prepared.batch(noise_batch(backbone, BATCH))
    plan = Plan.build(layers(backbone, FIRST_HALF), ONE, statistics=STATISTICS)
    kept = np.sort(np.random.default_rng(0).permutation(plan.columns("512"))[: plan.d // 100])
    few = narrow(plan, kept)
    contenders = {
        name: PooledNetwork(prepared.module, few.plan, parts=few.parts, stop_early=early)
        for name, early in {"bare": False, "stopped": True}.items()
    }
    rows = [network.rows(batch).clone() for network in contenders.values()]
    seconds = in_turn(
        {name: lambda network=network: network.rows(batch) for name, network in contenders.items()}, rounds
    )
    return {
        "layers": len(plan.restrict(kept)[0].layers),
        "identical": bool(rows[0].equal(rows[1])),
        "speed": 1 / ratio(seconds, "stopped"),
    }


def peak_memory(n: int) -> float:
    """Peak resident megabytes of a fresh process that extracts n images to disk."""
    code, root = f"from benchmarks.bench_extraction import one_run; one_run({n})", Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    return float(done.stdout)


def one_run(n: int) -> None:
    """Extract n images with a small network to a temporary store; print the peak memory in megabytes (Linux)."""
    import timm

    torch.manual_seed(0)
    module = timm.create_model("test_resnet", pretrained=False)
    backbone = load(module, preprocessing=Preprocessing(size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3))
    plan = Plan.build(layers(backbone), ONE)
    with tempfile.TemporaryDirectory() as folder:
        extract(backbone, Pictures(n), plan, store=Path(folder) / "rows", dtype="float32", device="cpu", progress=False)
    print(resident("VmHWM") / 1024**2)


def _name(sizes: tuple[int, ...]) -> str:
    return "+".join(map(str, sizes))


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = str(WEIGHTS) if WEIGHTS.is_dir() else None
    parser.add_argument(
        "--weights", default=shared, help="folder in timm's hub layout; by default the shared ones, else random weights"
    )
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    backbone = _resnet50(options.weights)
    result = {
        "network": "resnet50",
        "weights": Path(options.weights).name if options.weights else "random",
        "machine": {"processor": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        # Before the wide rows: a process that predicts has never held any.
        "predict": speed_of_predict(backbone, options.dtype, 2 * options.rounds),
        "truncation": truncation(backbone, options.dtype, options.rounds),
        "pooling": cost_of_pooling(backbone, options.dtype, options.rounds),
        "peak_memory_mb": {str(n): peak_memory(n) for n in (1_000, 10_000)},
    }
    print(json.dumps(result, indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    write_text(RESULTS, json.dumps(result, indent=2) + "\n")


def _resnet50(weights: str | None) -> Backbone:
    if weights:
        return load(f"timm/local-dir:{weights}")
    import timm

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return load(timm.create_model("resnet50"), preprocessing=Preprocessing(size=(224, 224), mean=mean, std=std))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main(sys.argv[1:])
