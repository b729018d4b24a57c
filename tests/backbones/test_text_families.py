"""Text and audio families that pad, change their attention or come in two halves; lengths no network takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="hf-text/ and hf-audio/ backbones are an extra")
from benchmarks.zoo.hf_sequences import AUDIO, RATE, TEXT, TOKENS, WORDS, hf, save, tokenizer

from head2toe.backbones import load
from head2toe.data import as_inputs
from head2toe.errors import PreprocessingError
from head2toe.features import Plan, extract, layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SHORT, LONG = "the cat sat", " ".join(WORDS)
T5 = {"vocab_size": TEXT["vocab_size"], "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}


def loaded(model: Any, folder: Path) -> Any:
    save(model, folder)
    tokenizer().save_pretrained(folder)
    return load(f"hf-text/{folder}")


def rows_of(backbone: Any, items: Any) -> np.ndarray:
    plan = Plan.build(layers(backbone), (32, 128), statistics=("mean", "max"))
    inputs = as_inputs(items, backbone.preprocessing.takes)
    return extract(backbone, inputs, plan, dtype="float32", progress=False).rows


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (hf.T5Model, "T5EncoderModel"),
        (hf.T5EncoderModel, "T5EncoderModel"),
        (hf.T5ForConditionalGeneration, "T5EncoderModel"),
    ],
)
def test_of_t5_the_half_that_reads_is_taken(tmp_path: Path, make: Any, kind: str) -> None:
    """Sentence encoders made of T5 hold this half alone."""
    backbone = loaded(make(hf.T5Config(**T5, pad_token_id=1, decoder_start_token_id=1)), tmp_path / "t5")
    assert type(backbone.module.model).__name__ == kind
    assert not any("decoder" in layer.name for layer in layers(backbone))
    alone, together = rows_of(backbone, [LONG])[0], rows_of(backbone, [SHORT, LONG, SHORT])[1]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_bigbird_reads_a_long_text_alike_before_and_after_a_short_one(tmp_path: Path) -> None:
    sparse = {"block_size": 2, "num_random_blocks": 1, "attention_type": "block_sparse"}
    backbone = loaded(hf.BigBirdModel(hf.BigBirdConfig(**TEXT, **sparse)), tmp_path / "bigbird")
    before, _, after = (rows_of(backbone, [text]) for text in (LONG, SHORT, LONG))
    np.testing.assert_array_equal(before, after)


def test_texts_longer_than_the_windows_that_a_network_pads_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Longformer fills its windows up: layers have as many tokens for many lengths, and more for longer texts."""
    windows = {**TEXT, "max_position_embeddings": 100, "attention_window": 24}
    backbone = loaded(hf.LongformerModel(hf.LongformerConfig(**windows)), tmp_path / "longformer")
    rows = rows_of(backbone, [SHORT, LONG, f"{LONG} {LONG}"])
    assert np.isfinite(rows).all() and "pads inside" in caplog.text
    np.testing.assert_allclose(rows_of(backbone, [f"{LONG} {LONG}", LONG])[::-1], rows[1:], rtol=1e-4, atol=1e-4)


def test_a_length_that_the_network_does_not_take_is_told(tmp_path: Path) -> None:
    """SEW squeezes what its convolutions leave, and a short recording leaves nothing."""
    save(hf.SEWModel(hf.SEWConfig(**AUDIO, squeeze_factor=2)), tmp_path)
    hf.Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(tmp_path)
    backbone = load(f"hf-audio/{tmp_path}")
    noise = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    with pytest.raises(PreprocessingError, match=r"recordings of 45 samples, such as .*1.* \(.*: leave those") as error:
        rows_of(backbone, [noise, noise[:45]])
    assert "\n" not in str(error.value)


def test_a_layer_that_is_the_same_for_every_token_has_no_deviation(tmp_path: Path) -> None:
    """RoBERTa has one kind of token: what rounding leaves would otherwise be scaled up, and depends on the batch."""
    backbone = loaded(hf.RobertaModel(hf.RobertaConfig(**{**TEXT, **TOKENS}, type_vocab_size=1)), tmp_path / "roberta")
    found = layers(backbone, "*token_type_embeddings")
    plan = Plan.build(found, (32,), statistics=("std",))
    rows = extract(backbone, as_inputs([SHORT, LONG, "rain fell"], "texts"), plan, dtype="float32", progress=False).rows
    blocks = [block for block in plan.blocks if "token_type" in block.layer and block.operation.startswith("std")]
    assert blocks
    for block in blocks:
        assert not rows[:, block.start : block.stop].round(12).any()


def test_the_linear_probe_of_a_decoder_with_a_classifier_reads_what_that_reads(tmp_path: Path) -> None:
    """The classifier judges the last token."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": TEXT["vocab_size"]}
    made = hf.GPT2ForSequenceClassification(hf.GPT2Config(**sizes, pad_token_id=1, bos_token_id=0, eos_token_id=2))
    backbone = loaded(made, tmp_path / "decoder")
    texts = [SHORT, LONG]
    plan = Plan.build(layers(backbone, "output"), (32,))
    rows = extract(backbone, as_inputs(texts, "texts"), plan, dtype="float32", progress=False).rows
    given = tokenizer()(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        judged = made.eval()(given["input_ids"], attention_mask=given["attention_mask"]).logits
        np.testing.assert_allclose(made.score(torch.from_numpy(rows)), judged, rtol=1e-4, atol=1e-5)


def test_a_model_that_gives_its_vector_alone(tmp_path: Path) -> None:
    backbone = loaded(hf.DPRQuestionEncoder(hf.DPRConfig(**TEXT)), tmp_path / "dpr")
    plan = Plan.build(layers(backbone, "output"), (32,))
    rows = extract(backbone, as_inputs([LONG], "texts"), plan, dtype="float32", progress=False).rows
    with torch.inference_mode():
        expected = backbone.module.model(torch.tensor([tokenizer()(LONG)["input_ids"]])).pooler_output
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)


def test_recordings_that_cannot_be_scaled_or_are_too_short_are_named(tmp_path: Path) -> None:
    save(hf.Wav2Vec2Model(hf.Wav2Vec2Config(**AUDIO)), tmp_path)
    hf.Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(tmp_path)
    backbone = load(f"hf-audio/{tmp_path}")
    noise = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    sounds = as_inputs([noise, noise / np.abs(noise).max() * np.float32(3e37), noise[:9]], "recordings")
    plan = Plan.build(layers(backbone, "output"), (32,))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = extract(backbone, sounds, plan, dtype="float32", progress=False)
    assert found.kept.tolist() == [0]
    reasons = [one.reason for one in found.skipped]
    assert reasons[0].startswith("recording 1: samples up to 3e+37 are too large to be scaled")
    assert reasons[1].startswith(f"recording 2: 9 samples at {RATE} Hz, and the network needs")
