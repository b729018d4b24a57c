"""Text and audio models of `transformers`: layers, lengths, poolings, and rows that do not depend on the company."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="hf-text/ and hf-audio/ backbones are an extra")
from benchmarks.zoo.hf_sequences import (
    AUDIOS,
    OTHER_TEXTS,
    RATE,
    SHORTEST,
    TEXTS,
    WORDS,
    hf,
    save_audio,
    save_other_text,
    save_text,
)
from scipy.io import wavfile

from head2toe.backbones import load, pinned, takes
from head2toe.backbones.running import run
from head2toe.data import as_inputs
from head2toe.errors import (
    DataFormatError,
    ParameterError,
    PreprocessingError,
    UnknownBackboneError,
    UnreadableImageError,
)
from head2toe.features import Plan, extract, layers
from head2toe.features.dtype import prepare
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch
from head2toe.features.outputs import first_tensor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

LONG = " ".join(WORDS)
SENTENCES = [
    "The cat sat",
    "A dog ran far away and nobody knew why",
    "rain",
    LONG,
    "the bird saw a cat",
    "rain fell",
    "",
]
NAMES = [*TEXTS, *AUDIOS]


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Write a model once a session."""
    folder, specs = tmp_path_factory.mktemp("sequences"), {}

    def specification(name):
        if name not in specs:
            specs[name] = (save_text if name in TEXTS else save_audio)(name, folder / name)
        return specs[name]

    return specification


@pytest.fixture(scope="session")
def loaded(saved):
    """Load a model once a session."""
    backbones = {}

    def backbone(name):
        if name not in backbones:
            backbones[name] = load(saved(name))
        return backbones[name]

    return backbone


def recordings(n=6, seed=0):
    """Chirps and noise of unequal lengths, three of them alike."""
    rng = np.random.default_rng(seed)
    lengths = [300, 811, 300, 640, 300, 97][:n]
    return [
        (np.sin(np.arange(t) ** (1 + 0.05 * i) / 9) + 0.1 * rng.standard_normal(t)).astype(np.float32)
        for i, t in enumerate(lengths)
    ]


def inputs_of(name):
    return as_inputs(SENTENCES, "texts") if name in TEXTS else as_inputs(recordings(), "recordings")


def rows_of(backbone, items, **options):
    plan = Plan.build(layers(backbone), (32, 128), statistics=("mean", "std", "max"))
    return extract(backbone, items, plan, dtype="float32", progress=False, **options).rows


def seen(backbone, batch):
    wanted, found = {layer.key: layer for layer in layers(backbone)}, {}

    def see(module, where, call, value):
        if (module, where, call) in wanted:
            layer = wanted[module, where, call]
            found[layer.name] = layer.canonical(first_tensor(value)).clone()

    with watch(backbone.module, {key[:2] for key in wanted}, see):
        output = run(backbone.module, batch)
    return found, output


@pytest.mark.parametrize("name", NAMES)
def test_block_outputs_are_the_hidden_states(loaded, name):
    backbone = loaded(name)
    batch = noise_batch(backbone, 2)
    found, output = seen(backbone, batch)
    assert torch.equal(output, run(backbone.module, batch))
    with torch.inference_mode():
        states = backbone.module.model(batch, output_hidden_states=True).hidden_states
    assert len(states) == 4
    for state in states[1:]:
        assert any(tensor.shape == state.shape and torch.equal(tensor, state) for tensor in found.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_axis_along_the_sequence_is_found(loaded, name):
    """At two other lengths all shapes are as described, but for the number of tokens."""
    backbone = loaded(name)
    listed = {layer.name: layer for layer in layers(backbone)}
    assert layers(backbone) == layers(backbone)
    assert sum(layer.kind == "sequence" for layer in listed.values()) >= 9
    for kind in ("second", "longest"):
        found, _ = seen(backbone, noise_batch(backbone, 2, kind))
        for layer in listed.values():
            if layer.kind == "sequence":
                assert found[layer.name].shape[2] == layer.shape[1] and found[layer.name].ndim == 3
            else:
                assert tuple(found[layer.name].shape[1:]) == layer.shape
    if name in AUDIOS:  # convolutions make (channels, time)
        first = listed[
            "model.feature_extractor.conv_layers.0.activation"
            if name != "hubert_classifier"
            else "model.hubert.feature_extractor.conv_layers.0.activation"
        ]
        assert first.shape[1] == 16 and first.shape[0] > 300


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_depend_on_the_company(loaded, name):
    backbone = loaded(name)
    items = inputs_of(name)
    together = rows_of(backbone, items, batch_size=3)
    assert np.isfinite(together).all()
    for i in range(len(items)):
        alone = rows_of(backbone, as_inputs([items[i] if name in TEXTS else items[i].samples], items.takes))
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-3, atol=1e-3)  # deviations near 0 are rounding
    assert len(np.unique(together.round(3), axis=0)) == len(items)


@pytest.mark.parametrize("name", ["bert", "distilbert", "mpnet_mean"])
def test_vectors_are_those_of_a_padded_and_masked_batch(loaded, saved, name):
    """What users of transformers get by padding, masking, and the mean over what is not masked."""
    backbone = loaded(name)
    tokenizer = hf.AutoTokenizer.from_pretrained(saved(name).removeprefix("hf-text/"))
    given = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = backbone.module.model(given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    mask = given["attention_mask"][..., None]
    expected = (states * mask).sum(1) / mask.sum(1)
    plan = Plan.build(layers(backbone, "output"), (32,))
    rows = extract(backbone, as_inputs(SENTENCES, "texts"), plan, dtype="float32", progress=False).rows
    np.testing.assert_allclose(rows, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_linear_probe_reads_one_vector(loaded, name):
    backbone = loaded(name)
    (penultimate,) = (layer for layer in layers(backbone) if layer.penultimate)
    batch = noise_batch(backbone, 2)
    found, output = seen(backbone, batch)
    vector = found[penultimate.name]
    with torch.inference_mode():
        given = backbone.module.model(batch)
    if name == "roberta_classifier":
        assert torch.equal(backbone.module.model.classifier.out_proj(vector), given.logits)
    elif name == "hubert_classifier":
        assert torch.equal(backbone.module.model.classifier(vector), given.logits)
    elif name == "mpnet_cls":
        assert torch.equal(vector, given.last_hidden_state[:, 0]) and torch.equal(vector, output)
    else:
        assert torch.equal(vector, given.last_hidden_state.mean(1)) and torch.equal(vector, output)


@pytest.mark.parametrize(("name", "limit"), [("bert", 40), ("mpnet_mean", 30), ("roberta_classifier", 38)])
def test_texts_are_cut_at_the_models_length(loaded, name, limit):
    """Of positions, of the sentence encoder's note, of positions without those for padding."""
    backbone = loaded(name)
    assert backbone.preprocessing.max_length == limit
    endless = backbone.preprocessing.image(" ".join(["cat"] * 200))
    assert endless.shape == (limit,) and endless[0] == 0 and endless[-1] == 2
    rows = rows_of(backbone, as_inputs([" ".join(["cat"] * 200), " ".join(["cat"] * (limit - 2))], "texts"))
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


@pytest.mark.parametrize("name", OTHER_TEXTS)
def test_text_towers_and_decoders(tmp_path, name):
    backbone = load(save_other_text(name, tmp_path / name))
    assert type(backbone.module.model).__name__ == name
    assert backbone.preprocessing.max_length == 40
    rows = rows_of(backbone, as_inputs([" ".join(["cat"] * 200), "the cat sat", "rain fell"], "texts"))
    alone = rows_of(backbone, as_inputs(["the cat sat"], "texts"))
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[1], alone[0], rtol=1e-3, atol=1e-3)


def test_a_tokenizers_own_limit_counts(tmp_path):
    assert load(save_text("bert", tmp_path / "short", model_max_length=9)).preprocessing.max_length == 9


def test_class_tokens_of_texts(loaded):
    found = [layer for layer in layers(loaded("bert")) if layer.kind == "sequence"]
    assert {layer.prefix for layer in found} == {1}
    for option, operations in (("alone", {"cls"}), ("beside", {"cls", "rest-mean:1"}), ("with", {"mean"})):
        plan = Plan.build(found, (32,), cls_token=option)
        assert {block.operation for block in plan.blocks} == operations
    plan = Plan.build(found, (128,))
    assert {block.operation for block in plan.blocks} == {"parts:4", "parts:2"}  # 32 channels, and 64 in the MLP
    assert {layer.prefix for layer in layers(loaded("wav2vec2"))} == {0}


def test_recordings_of_any_rate_and_form(loaded, tmp_path):
    """A low tone at four times the rate, in files of 8 and 16 bits, a pair and a dict, are about the same."""
    backbone = loaded("wav2vec2")
    seconds = np.arange(4 * RATE) / (4 * RATE)
    tone = (0.5 * np.sin(2 * np.pi * 60 * seconds) * np.hanning(len(seconds))).astype(np.float32)
    wavfile.write(tmp_path / "stereo.wav", 4 * RATE, np.stack([tone * 32767, tone * 32767], axis=1).astype(np.int16))
    wavfile.write(tmp_path / "bytes.wav", 4 * RATE, (tone * 127 + 128).round().astype(np.uint8))
    wavfile.write(tmp_path / "float.wav", 4 * RATE, tone)
    items = [
        tone[::4],
        torch.from_numpy(tone[::4].copy()),
        (tone, 4 * RATE),
        [tone.tolist(), 4 * RATE],  # as JSON holds a pair
        {"array": tone, "sampling_rate": 4 * RATE},
        tmp_path / "stereo.wav",
        str(tmp_path / "float.wav"),
        tmp_path / "bytes.wav",
    ]
    sounds = as_inputs(items, "recordings")
    taken = [backbone.preprocessing.image(sounds[i]) for i in range(len(items))]
    assert {(part.shape, part.dtype) for part in taken} == {((RATE,), np.dtype(np.float32))}
    assert abs(taken[0].mean()) < 1e-3 and abs(taken[0].std() - 1) < 1e-3  # as its feature extractor scales
    np.testing.assert_array_equal(taken[0], taken[1])
    for part in taken[2:7]:
        assert np.abs(part - taken[0]).max() < 0.02
    assert np.abs(taken[7] - taken[0]).max() < 0.06  # of 8 bits
    assert len(backbone.preprocessing.image(as_inputs([(tone, RATE)], "recordings")[0])) == 4 * RATE


def test_damaged_recordings_are_skipped_and_named(loaded, tmp_path):
    backbone = loaded("wav2vec2")
    (tmp_path / "junk.wav").write_bytes(b"RIFFjunk")
    (tmp_path / "empty.wav").write_bytes(b"")
    good = np.sin(np.arange(400) / 5).astype(np.float32)
    items = [
        good,
        tmp_path / "junk.wav",
        tmp_path / "none.wav",
        np.full(400, np.nan),
        good[: SHORTEST - 1],
        tmp_path / "empty.wav",
    ]
    items.append(good[:SHORTEST])
    plan = Plan.build(layers(backbone), (32,))
    found = extract(backbone, as_inputs(items, "recordings"), plan, dtype="float32", progress=False)
    assert found.kept.tolist() == [0, 6] and np.isfinite(found.rows).all()
    reasons = [item.reason for item in found.skipped]
    for reason, part in zip(
        reasons, ["no .wav file", "no such file", "NaN", f"needs {SHORTEST}", "no .wav"], strict=True
    ):
        assert part in reason
    with pytest.raises(UnreadableImageError, match=r"junk\.wav"):
        extract(backbone, as_inputs(items, "recordings"), plan, dtype="float32", progress=False, strict=True)


def test_the_loop_refuses_data_of_another_kind(loaded):
    plan = Plan.build(layers(loaded("bert")), (32,))
    images = as_inputs(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataFormatError, match="the data are images and the backbone takes texts"):
        extract(loaded("bert"), images, plan, dtype="float32", progress=False)


def test_wrong_kinds_of_models(saved, tmp_path):
    text, audio = saved("bert").removeprefix("hf-text/"), saved("wav2vec2").removeprefix("hf-audio/")
    for spec, message in (
        (f"hf/{text}", "bert model, which takes no images.*hf-text/"),
        (f"hf-audio/{text}", "bert model, which takes no samples"),
        (f"hf-text/{audio}", "wav2vec2 model, which is no encoder or decoder of text"),
        (f"hf/{audio}", "takes no images"),
        (f"hf-text/{tmp_path}", "no config.json"),
    ):
        with pytest.raises(UnknownBackboneError, match=message):
            load(spec)
    assert (takes("hf-text/x"), takes("hf-audio/x"), takes("hf/x"), takes("embedded")) == (
        "texts",
        "recordings",
        "images",
        "images",
    )


def test_options_of_images_are_refused(saved):
    with pytest.raises(ParameterError, match="image_size is for backbones of images"):
        load(saved("bert"), image_size=32)
    with pytest.raises(ParameterError, match="resize is for backbones of images"):
        load(saved("bert"), resize="crop")
    with pytest.raises(ParameterError, match="preprocessing is for backbones of images"):
        load(saved("wav2vec2"), preprocessing=lambda image: image)
    with pytest.raises(ParameterError, match="weights= goes with"):
        load(saved("bert"), weights="x.safetensors")


def test_missing_tokenizers_and_extractors(saved, tmp_path):
    for name, prefix, lost in (("bert", "hf-text/", "token*"), ("hubert", "hf-audio/", "preprocessor_config.json")):
        folder = tmp_path / name
        shutil.copytree(saved(name).removeprefix(prefix), folder)
        for path in folder.glob(lost):
            path.unlink()
        with pytest.raises(PreprocessingError, match=r"has no (tokenizer|feature extractor)"):
            load(f"{prefix}{folder}")
    (tmp_path / "hubert" / "preprocessor_config.json").write_text("[]")
    with pytest.raises(PreprocessingError, match="no feature extractor that can be read"):
        load(f"hf-audio/{tmp_path / 'hubert'}")


def test_the_commit_is_pinned(saved, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--some--encoder"
    shutil.copytree(saved("mpnet_cls").removeprefix("hf-text/"), repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("head2toe.backbones.hub.reachable", lambda: False)
    backbone = load("hf-text/some/encoder")
    assert backbone.revision == commit and backbone.module.pooling == "cls"
    assert pinned(backbone.to_dict()) == f"hf-text/some/encoder@{commit}"


def test_weights_that_serve_training_alone_may_be_missing(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "copy"
    shutil.copytree(saved("wav2vec2").removeprefix("hf-audio/"), folder)
    state = load_file(folder / "model.safetensors")
    del state["masked_spec_embed"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert load(f"hf-audio/{folder}").weights_sha256 == load(f"hf-audio/{folder}").weights_sha256


@pytest.mark.parametrize("name", ["bert", "wav2vec2"])
def test_bfloat16_runs(loaded, name):
    prepared = prepare(loaded(name), "cpu", "bfloat16")
    batch = prepared.batch(noise_batch(loaded(name), 2))
    assert batch.dtype == (torch.int64 if name == "bert" else torch.bfloat16)
    assert run(prepared.module, batch).dtype == torch.bfloat16
    assert prepare(loaded(name), "cpu", "auto").precision.reason.startswith(("trial", "bfloat16 does not run"))


def test_descriptions_are_json_and_name_the_tokenizer(loaded, tmp_path):
    described = json.loads(json.dumps(loaded("bert").to_dict()))["preprocessing"]
    assert described["max_length"] == 40 and len(described["sha256"]) == 64
    loaded("bert").preprocessing.image(LONG)  # what was read does not change what is said of it
    assert loaded("bert").to_dict()["preprocessing"] == described
    other = load(save_text("bert", tmp_path / "other", words=WORDS[::-1])).to_dict()["preprocessing"]
    assert other["sha256"] != described["sha256"]
    assert loaded("wav2vec2").to_dict()["preprocessing"]["rate"] == RATE


def test_the_pooling_is_part_of_what_identifies_the_rows(loaded):
    """Weights and tokenizer are alike, and the rows are not; of the mean nothing is said, for probes that are there."""
    described = [loaded(name).to_dict() for name in ("mpnet_mean", "mpnet_cls")]
    assert described[0]["weights_sha256"] == described[1]["weights_sha256"]
    assert [one["preprocessing"].pop("pooling", None) for one in described] == [None, "cls"]
    assert described[0]["preprocessing"] == described[1]["preprocessing"]


@pytest.mark.parametrize("note", ["1_Pooling/config.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("text", ['{"max_seq_length": 3', "[]"])
def test_damaged_notes_of_a_sentence_encoder_are_told(tmp_path, note, text):
    spec = save_text("mpnet_cls", tmp_path / "encoder")
    (tmp_path / "encoder" / note).write_text(text)
    with pytest.raises(PreprocessingError, match=rf"{note} is no JSON object: copy it anew, or delete it"):
        load(spec)
