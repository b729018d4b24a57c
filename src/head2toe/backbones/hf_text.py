"""Text backbones of Hugging Face: BERT and its kin, sentence encoders, decoders, through `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.hf_repository import (
    Repository,
    class_of,
    config_of,
    find_repository,
    load_model,
    quiet,
)
from head2toe.backbones.sequence_encoder import SequenceEncoder, classifier_of
from head2toe.backbones.tokens import TextPreprocessing
from head2toe.errors import PreprocessingError, UnknownBackboneError, one_line

PREFIX = "hf-text/"
_TOKENS = "input_ids"  # what a text model calls its input
_DESCRIPTIONS = ["*.json", "vocab.*", "merges.txt", "*.model", "*_Pooling/config.json"]
_WAYS = {  # what sentence-transformers writes -> one of `POOLINGS`
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
_TOKENIZERS = ("tokenizer*", "vocab.*", "*.model", "spiece*")
_NO_LIMIT = 1_000_000  # tokenizers write huge numbers where they know no limit
_DEFAULT_LIMIT = 512


def load_text(name: str) -> Backbone:
    """Load a text model of `transformers` with its tokenizer.

    Its output is the vector that a linear probe reads: of a sentence encoder what its own pooling makes, of a decoder
    with a classifier the last state, which that reads, else the mean of the last states. Another checkpoint with a
    classifier keeps it.

    Parameters
    ----------
    name : str
        Without the leading "hf-text/": a folder, ORG/REPO, or ORG/REPO@REVISION (a branch, tag or commit).

    Raises
    ------
    UnknownBackboneError
        No such repository or folder, or no encoder or decoder of text.
    PreprocessingError
        The repository has no tokenizer, or a damaged note on its pooling or length.
    WeightsMismatchError, HubUnreachableError, MissingDependencyError
    """
    found = find_repository(PREFIX, name, _DESCRIPTIONS)
    with quiet():
        model, usual = _model(found)
        tokenizer = _tokenizer(found)
    pooling = _pooling(found) or usual
    return Backbone(
        spec=found.spec,
        module=freeze(SequenceEncoder(model, pooling)),
        preprocessing=TextPreprocessing(tokenizer, _limit(model, tokenizer, found.folder), pooling),
        classifier=classifier_of(model),
        revision=found.revision,
    )


def _model(found: Repository) -> tuple[nn.Module, str]:
    """The model, and the pooling where no file says another."""
    config = config_of(found)
    config = getattr(config, "text_config", config)  # of a model of images and text, the text tower
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"  # BigBird turns to it at the first short text, and stays there
    kind = class_of(config, "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING", named=True)
    if kind is not None:
        model = load_model(kind, found, config)
        if classifier_of(model) is not None:
            return model, "mean"
        if isinstance(getattr(model, "score", None), nn.Linear):  # of a decoder: it judges every state, the last counts
            return model.base_model, "lasttoken"  # type: ignore[return-value]
    encoder = class_of(config, "MODEL_FOR_TEXT_ENCODING_MAPPING")  # of T5 the half that reads
    kind = encoder or class_of(config)
    translates = config.is_encoder_decoder and encoder is None
    if kind is None or getattr(kind, "main_input_name", None) != _TOKENS or translates:
        raise UnknownBackboneError(
            f"{found.spec} is a {config.model_type} model, which is no encoder or decoder of text: hf-text/ is for "
            "those, hf/ for images, hf-audio/ for recordings"
        )
    try:  # without the pooler, which serves a task of the pretraining
        return load_model(kind, found, config, add_pooling_layer=False), "mean"
    except TypeError:
        return load_model(kind, found, config), "mean"


def _tokenizer(found: Repository) -> Any:
    from transformers import AutoTokenizer

    if not any(any(found.folder.glob(pattern)) for pattern in _TOKENIZERS):  # transformers would make an empty one up
        raise PreprocessingError(f"{found.spec} has no tokenizer: save it into the same folder")
    try:
        return AutoTokenizer.from_pretrained(found.folder, local_files_only=True)
    except Exception as error:  # tokenizers raise nearly anything where a file is missing
        raise PreprocessingError(
            f"{found.spec} has no tokenizer that can be read ({one_line(error)}): save it into the same folder"
        ) from error


def _pooling(found: Repository) -> str | None:
    """The way of a sentence encoder, as sentence-transformers writes it down; None where it writes none."""
    for path in sorted(found.folder.glob("*_Pooling/config.json")):
        written = _noted(path)
        chosen = {way for key, way in _WAYS.items() if written.get(key) is True or written.get("pooling_mode") == way}
        if len(chosen) == 1:
            return chosen.pop()
    return None


def _noted(path: Path) -> dict[str, Any]:
    """What sentence-transformers wrote down."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        written = None
    if not isinstance(written, dict):
        raise PreprocessingError(f"{path} is no JSON object: copy it anew, or delete it")
    return written


def _limit(model: nn.Module, tokenizer: Any, folder: Path) -> int:
    """The most tokens: the least of what tokenizer, position embeddings and sentence encoder say."""
    limits = [int(min(tokenizer.model_max_length, _NO_LIMIT)), *_positions(model)]
    noted = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if isinstance(noted, int) and noted > 0:
        limits.append(noted)
    described = folder / "sentence_bert_config.json"
    if described.is_file():
        longest = _noted(described).get("max_seq_length")
        limits.append(longest if isinstance(longest, int) and longest > 0 else _NO_LIMIT)
    least = min(limits)
    return _DEFAULT_LIMIT if least == _NO_LIMIT else least


def _positions(model: nn.Module) -> list[int]:
    """Places of the tables of position embeddings; with a place for padding, those up to it are not for tokens."""
    tables = [
        child
        for name, child in model.named_modules()
        if isinstance(child, nn.Embedding)
        and name.rpartition(".")[2] in ("position_embeddings", "position_embedding", "wpe")
    ]
    return [t.num_embeddings - (0 if t.padding_idx is None else t.padding_idx + 1) for t in tables]
