"""Small data sets in their original formats, written by these tests."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
from PIL import Image

from head2toe.benchmark.vtab import definition
from head2toe.benchmark.vtab.definitions import Range


def smaller(name, train, validation, test):
    """The definition of a task with other ranges, as (part, start, stop)."""
    return replace(definition(name), train=Range(*train), validation=Range(*validation), test=Range(*test))


def pixels(n, size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def write_images(folder, files, seed=0):
    """PNG under any name: what differs is told by the pixels."""
    for file, image in zip(files, pixels(len(files), seed=seed), strict=True):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, format="PNG")


def write_norb(path, array):
    """The matrix format of smallNORB: magic, dimensions, at least three sizes, values; little-endian."""
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[str(array.dtype)]
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes())


def write_dsprites(path, factors):
    """The npz of dSprites: images of 0 and 1, factors, values, and pickled metadata."""
    n = len(factors)
    images = np.random.default_rng(0).integers(0, 2, (n, 64, 64), dtype=np.uint8)
    metadata = np.array({"title": "dSprites dataset"}, dtype=object)
    values = factors.astype(np.float64)
    np.savez_compressed(path, imgs=images, latents_classes=factors, latents_values=values, metadata=metadata)
    return images


def write_clevr(folder, split, scenes):
    """Images and scenes as CLEVR v1.0 has them; a scene is a list of depths."""
    files = [f"CLEVR_{split}_{i:06d}.png" for i in range(len(scenes))]
    write_images(folder / "images" / split, files)
    described = [
        {
            "image_index": i,
            "image_filename": file,
            "split": split,
            "objects": [
                {"shape": "cube", "size": "large", "pixel_coords": [100, 90, depth], "3d_coords": [0, 0, 0.7]}
                for depth in depths
            ],
        }
        for i, (file, depths) in enumerate(zip(files, scenes, strict=True))
    ]
    (folder / "scenes").mkdir(exist_ok=True)
    (folder / "scenes" / f"CLEVR_{split}_scenes.json").write_text(
        json.dumps({"info": {"split": split, "version": "1.0"}, "scenes": described})
    )


def kitti_line(kind, z):
    return f"{kind} 0.00 0 -1.57 614.24 181.78 727.31 284.77 1.57 1.73 4.15 1.00 1.75 {z:.2f} -1.62"


def write_kitti(folder, drives):
    """KITTI's training images 0, 1, ... with their drives, labels and the development kit's mapping."""
    n = len(drives)
    write_images(folder / "training" / "image_2", [f"{i:06d}.png" for i in range(n)])
    labels = folder / "training" / "label_2"
    labels.mkdir(parents=True)
    for i in range(n):
        # distances 1.5, 10.5, 30.5 and none, in turn
        lines = ["DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"]
        lines += [kitti_line("Pedestrian", 0.5)]
        lines += [kitti_line(("Car", "Van", "Truck")[i % 4], (1.5, 10.5, 30.5)[i % 4])] if i % 4 < 3 else []
        (labels / f"{i:06d}.txt").write_text("\n".join(lines) + "\n")
    mapping = folder / "mapping"
    mapping.mkdir()
    mixed = np.random.default_rng(0).permutation(n)  # line (from 0) of each image
    rows = [""] * n
    for image, row in enumerate(mixed):
        rows[row] = f"2011_09_26 {drives[image]} {image:010d}"
    (mapping / "train_rand.txt").write_text(",".join(str(row + 1) for row in mixed))
    (mapping / "train_mapping.txt").write_text("\n".join(rows) + "\n")


def write_tfrecords(path, records):
    """A TFRecord file of `tf.train.Example`s with bytes and int64 features; checksums are left 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for record in records:
            data = _message(1, b"".join(_entry(name, value) for name, value in record.items()))
            file.write(struct.pack("<QI", len(data), 0) + data + struct.pack("<I", 0))


def _entry(name, value):
    kind, data = (1, value) if isinstance(value, bytes) else (3, _varint(value))  # packed, as TensorFlow writes it
    return _message(1, _message(1, name.encode()) + _message(2, _message(kind, _message(1, data))))


def _message(field, data):
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
