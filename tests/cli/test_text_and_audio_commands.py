"""The program on a CSV of texts and on folders and CSVs of .wav files; several backbones."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("transformers", reason="hf-text/ and hf-audio/ backbones are an extra")
from benchmarks.zoo.hf_sequences import RATE, WORDS, save_audio, save_text
from scipy.io import wavfile

from cli.conftest import FAST, QUICK_SEARCH

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    return save_text("bert", tmp_path_factory.mktemp("hub") / "bert")


@pytest.fixture(scope="session")
def audio(tmp_path_factory):
    return save_audio("hubert", tmp_path_factory.mktemp("hub") / "hubert")


@pytest.fixture
def table(tmp_path):
    """24 sentences for training and 12 for the test, with commas and quotes in them."""
    rng = np.random.default_rng(0)
    path = tmp_path / "texts.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for i in range(36):
            label = "rain" if i % 2 else "cat"
            words = " ".join(w for w in rng.choice(WORDS, 5) if w not in ("rain", "cat"))
            writer.writerow([f'{words}, "{label}" {label}', label, "train" if i < 24 else "test"])
    return path


@pytest.fixture
def noises(tmp_path):
    """A folder a class: noise that swells or fades."""
    rng = np.random.default_rng(0)
    for i in range(24):
        label = "rising" if i % 2 else "falling"
        (tmp_path / "noises" / label).mkdir(parents=True, exist_ok=True)
        swell = np.linspace(0.05, 1, 500 + 10 * i)[:: 1 if label == "rising" else -1]
        samples = (swell * rng.standard_normal(len(swell)) * 4000).astype(np.int16)
        wavfile.write(tmp_path / "noises" / label / f"{i:02d}.wav", RATE, samples)
    return tmp_path / "noises"


def test_texts(run, text, table, tmp_path):
    options = ("--backbone", text, "--split", "train", *FAST, *QUICK_SEARCH)
    done = run("fit", table, "--out", tmp_path / "probe", *options, "--json")
    assert done.code == 0 and done.json["n"] == 24 and done.json["classes"] == ["cat", "rain"]
    done = run("evaluate", tmp_path / "probe", table, "--split", "test", "--json")
    assert done.code == 0 and done.json["n"] == 12 and done.json["accuracy"] > 0.7
    done = run("predict", tmp_path / "probe", table, "--split", "test")
    lines = list(csv.reader(done.out.splitlines()))
    assert lines[0] == ["text", "class", "probability"] and len(lines) == 13
    assert '"' in lines[1][0] and lines[1][1] in ("cat", "rain")
    done = run("layers", text, "--json")
    assert {layer["kind"] for layer in done.json["layers"]} == {"sequence", "vector"}
    done = run("extract", table, "--split", "test", "--backbone", text, "--out", tmp_path / "rows", *FAST, "--json")
    assert done.code == 0 and done.json["n"] == 12
    listed = tmp_path / "rows" / "images.csv"  # a CSV of texts again
    assert [row[1] for row in csv.reader(listed.open(encoding="utf-8"))] == ["label"] + ["cat", "rain"] * 6
    assert run("predict", tmp_path / "probe", listed, "--json").json["n"] == 12


def test_a_probe_refuses_another_pooling(run, table, tmp_path):
    """Which makes other vectors of the same weights."""
    spec = save_text("bert", tmp_path / "bert")
    options = ("--backbone", spec, "--split", "train", *FAST, *QUICK_SEARCH)
    assert run("fit", table, "--out", tmp_path / "probe", *options).code == 0
    (tmp_path / "bert" / "1_Pooling").mkdir()
    (tmp_path / "bert" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    done = run("predict", tmp_path / "probe", table, "--split", "test")
    assert done.code == 2 and "in another way than when the probe was made (pooling differ)" in done.err[0]


def test_recordings(run, audio, noises, tmp_path):
    (noises / "rising" / "broken.wav").write_bytes(b"RIFF")
    (noises / "rising" / "remarks.txt").write_text("no recording")
    done = run("fit", noises, "--backbone", audio, "--out", tmp_path / "probe", *FAST, *QUICK_SEARCH, "--json")
    assert done.code == 0 and done.json["n"] == 24 and done.json["classes"] == ["falling", "rising"]
    assert done.err[0] == "skipped 1 of 25 recordings that cannot be read:"
    assert [item["path"].rpartition("/")[2] for item in done.json["skipped"]] == ["broken.wav"]
    (noises / "rising" / "broken.wav").unlink()
    done = run("evaluate", tmp_path / "probe", noises, "--json")
    assert done.code == 0 and done.json["n"] == 24
    table = noises / "some.csv"
    table.write_text("file,label\nrising/01.wav,rising\nfalling/00.wav,falling\n")
    done = run("predict", tmp_path / "probe", table)
    assert done.out.splitlines()[0] == "path,class,probability" and len(done.out.splitlines()) == 3
    done = run("predict", tmp_path / "probe", noises / "rising" / "01.wav")
    assert len(done.out.splitlines()) == 2
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    done = run("predict", tmp_path / "probe", tmp_path / "broken.wav")
    assert done.code == 2 and "none of the 1 recordings can be read" in done.err[-1]


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ("text,label\na cat,x\n", "image", "(a column text goes with a backbone of hf-text/)"),
        ("path,label\na.png,x\n", "text", "one must be called text"),
        ("text,label\n,x\n", "text", "line 2: no text"),
        ("file,label\nnone.wav,x\n", "audio", "there is no none.wav"),
        (None, "text", "texts are read from a CSV"),
        (None, "audio", "no recording found"),
    ],
)
def test_data_of_another_kind(run, text, audio, backbone, tmp_path, data, kind, message):
    place = tmp_path / "data"
    place.mkdir()
    if data is not None:
        place = place / "data.csv"
        place.write_text(data)
    spec = {"text": text, "audio": audio, "image": backbone}[kind]
    done = run("fit", place, "--backbone", spec, "--out", tmp_path / "probe")
    assert done.code == 2 and len(done.err) == 1 and message in done.err[0]
    assert not (tmp_path / "probe").exists()


def test_several_backbones(run, backbone, folder, tmp_path):
    both = ("--backbone", backbone, "--backbone", backbone)
    done = run("fit", folder, *both, "--out", tmp_path / "probe", *FAST, *QUICK_SEARCH, "--json")
    assert done.code == 0 and len(done.json["backbone"]["parts"]) == 2
    assert done.json["flops"] > 0
    first = run("predict", tmp_path / "probe", folder)
    assert first.code == 0 and len(first.out.splitlines()) == 31
    moved = run("predict", tmp_path / "probe", folder, *both)
    assert moved.out == first.out
    done = run("evaluate", tmp_path / "probe", folder, "--backbone", backbone)
    assert done.code == 2 and "made with 2 backbones, not with 1" in done.err[0]


def test_backbones_of_two_kinds(run, backbone, text, folder, tmp_path):
    done = run("fit", folder, "--backbone", backbone, "--backbone", text, "--out", tmp_path / "probe")
    assert done.code == 2 and "backbones of images and texts cannot share a probe" in done.err[0]
