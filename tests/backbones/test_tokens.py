"""Texts that no tokenizer takes are left out and named, as pictures that cannot be decoded are."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("transformers", reason="hf-text/ backbones are an extra")
from benchmarks.zoo.hf_sequences import save_text

from head2toe.backbones import load
from head2toe.data import as_inputs
from head2toe.errors import UnreadableImageError
from head2toe.features import Plan, extract, layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SURROGATE = r"'a\\ud800b' has a lone surrogate, half a character, at index 1"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return load(save_text("bert", tmp_path_factory.mktemp("texts") / "bert"))


def test_a_lone_surrogate_is_no_text(backbone):
    with pytest.raises(UnreadableImageError, match=SURROGATE) as caught:
        backbone.preprocessing.image("a\ud800b")
    assert str(caught.value).isprintable()
    assert len(backbone.preprocessing.image("a \U0001f600 cat")) > 2  # a pair of them is a character


@pytest.mark.parametrize("asked", [lambda found: found.prefix, lambda found: found.noise(1)])
def test_the_tokenizer_is_not_used_by_two_threads_at_once(backbone, asked):
    """It keeps the truncation in itself: what asks for its special tokens switches that off."""
    thread = threading.Thread(target=asked, args=(backbone.preprocessing,))
    with backbone.preprocessing._lock:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()


def test_texts_with_a_lone_surrogate_are_skipped(backbone, tmp_path):
    texts = as_inputs(["the cat sat", "a\ud800b", "rain fell"], "texts")
    plan = Plan.build(layers(backbone, "output"), (32,))
    for _ in range(2):  # computed, then found in the store
        found = extract(backbone, texts, plan, store=tmp_path / "store", dtype="float32", progress=False)
        assert found.kept.tolist() == [0, 2]
        assert [item.index for item in found.skipped] == [1] and "surrogate" in found.skipped[0].reason
    with pytest.raises(UnreadableImageError, match=SURROGATE):
        extract(backbone, texts, plan, dtype="float32", progress=False, strict=True)
