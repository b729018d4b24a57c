"""Small randomly initialised text and audio models of `transformers`, saved in the hub's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.torchvision_ops import declare_missing_operators

declare_missing_operators()
import transformers as hf  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordLevel  # noqa: E402
from tokenizers.normalizers import Lowercase  # noqa: E402
from tokenizers.pre_tokenizers import Whitespace  # noqa: E402
from tokenizers.processors import TemplateProcessing  # noqa: E402

TOKENS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "bird",
    "ran",
    "sat",
    "saw",
    "far",
    "away",
    "house",
    "rain",
    "fell",
    "all",
    "night",
    "long",
    "and",
    "nobody",
    "knew",
    "why",
    "it",
    "was",
    "loud",
]
SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]  # padding is number 1, as in RoBERTa
TEXT = {**TOKENS, "vocab_size": len(WORDS) + len(SPECIAL), "pad_token_id": 1, "max_position_embeddings": 40}
CONVOLUTIONS = {"conv_dim": (16, 16, 16), "conv_kernel": (10, 3, 2), "conv_stride": (5, 4, 4)}
AUDIO = {**TOKENS, **CONVOLUTIONS, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
SHORTEST = 10 + 5 * (3 - 1 + 4 * (2 - 1))
RATE = 2000

# Name -> model, and the pooling that sentence-transformers would note beside it.
TEXTS: dict[str, Any] = {
    "bert": (lambda: hf.BertModel(hf.BertConfig(**TEXT)), None),
    "distilbert": (
        lambda: hf.DistilBertModel(
            hf.DistilBertConfig(
                dim=32,
                n_layers=3,
                n_heads=2,
                hidden_dim=64,
                **{key: TEXT[key] for key in ("vocab_size", "pad_token_id", "max_position_embeddings")},
            )
        ),
        None,
    ),
    "mpnet_mean": (lambda: hf.MPNetModel(hf.MPNetConfig(**TEXT)), "mean_tokens"),
    "mpnet_cls": (lambda: hf.MPNetModel(hf.MPNetConfig(**TEXT)), "cls_token"),
    "roberta_classifier": (lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**TEXT, num_labels=5)), None),
}
AUDIOS: dict[str, Any] = {
    "wav2vec2": lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**AUDIO)),  # with a norm over time
    "hubert": lambda: hf.HubertModel(hf.HubertConfig(**AUDIO, feat_extract_norm="layer", do_stable_layer_norm=True)),
    "hubert_classifier": lambda: hf.HubertForSequenceClassification(
        hf.HubertConfig(**AUDIO, num_labels=5, classifier_proj_size=8)
    ),
}


# Loaded in one test alone: the text tower of a model of images and text, and a decoder.
OTHER_TEXTS: dict[str, Any] = {
    "CLIPTextModel": lambda: hf.CLIPModel(
        hf.CLIPConfig(
            vision_config={**TOKENS, "image_size": 32, "patch_size": 8},
            text_config={**TEXT, "eos_token_id": 2, "bos_token_id": 0},
        )
    ),
    "GPT2Model": lambda: hf.GPT2Model(
        hf.GPT2Config(
            n_embd=32,
            n_layer=3,
            n_head=2,
            vocab_size=TEXT["vocab_size"],
            n_positions=40,
            bos_token_id=0,
            eos_token_id=2,
        )
    ),
}


def save_other_text(name: str, folder: Path) -> str:
    """Write one of `OTHER_TEXTS`; return its specification."""
    save(OTHER_TEXTS[name](), folder)
    tokenizer().save_pretrained(folder)
    return f"hf-text/{folder}"


def save_text(name: str, folder: Path, **settings: Any) -> str:
    """Write one of `TEXTS` with a tokenizer of whole words; return its specification."""
    make, pooling = TEXTS[name]
    save(make(), folder)
    tokenizer(**settings).save_pretrained(folder)
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 30}))
    return f"hf-text/{folder}"


def save_audio(name: str, folder: Path) -> str:
    """Write one of `AUDIOS` with its feature extractor; return its specification."""
    save(AUDIOS[name](), folder)
    hf.Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True).save_pretrained(folder)
    return f"hf-audio/{folder}"


def tokenizer(words: list[str] = WORDS, model_max_length: int = 1000) -> Any:
    numbers = {word: i for i, word in enumerate([*SPECIAL, *words])}
    made = Tokenizer(WordLevel(numbers, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = Lowercase(), Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=model_max_length,
    )


def save(model: Any, folder: Path) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # all random, and far enough from zero that every part leaves its trace
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.1))
    model.save_pretrained(folder)
