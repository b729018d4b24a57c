"""Repositories of `transformers`: the files of one, from a folder, this machine's cache or the hub, and its model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.hub import ONE_AT_A_TIME, local_first
from head2toe.backbones.weights_file import NOT_READ, reason_of
from head2toe.errors import (
    HubUnreachableError,
    MissingDependencyError,
    UnknownBackboneError,
    WeightsMismatchError,
    one_line,
)
from head2toe.paths import path_of

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""The files that describe how a model's input is made, older ones first."""
_WEIGHTS = (["*.safetensors", "*.safetensors.index.json"], ["pytorch_model*.bin", "pytorch_model.bin.index.json"])
# Serves training alone (it hides parts of the input), and many checkpoints leave it out.
_TRAINING_ONLY = "masked_spec_embed"


@dataclass(frozen=True)
class Repository:
    """The files of a model on this machine.

    Attributes
    ----------
    spec : str
        What the user wrote, with its prefix.
    folder : Path
    revision : str or None
        The hub's commit; a local folder has none.
    """

    spec: str
    folder: Path
    revision: str | None


def find_repository(prefix: str, name: str, descriptions: Sequence[str]) -> Repository:
    """Find the files of a repository: a folder, this machine's cache, the hub, in this order.

    Parameters
    ----------
    prefix : str
        "hf/", "hf-text/" or "hf-audio/".
    name : str
        A folder, ORG/REPO, or ORG/REPO@REVISION.
    descriptions : sequence of str
        Globs of the files wanted beside config.json and the weights.

    Raises
    ------
    UnknownBackboneError, HubUnreachableError, MissingDependencyError
    """
    _import_transformers(prefix)
    folder = path_of(name)
    if (folder / "config.json").is_file():
        return Repository(prefix + name, folder, None)
    repo, _, revision = name.partition("@")
    if repo.startswith((".", "/", "~")) or repo.count("/") > 1:
        raise UnknownBackboneError(
            f"no config.json in {name}: {prefix} wants a hub repository or a folder that save_pretrained wrote"
        )
    try:
        path = _snapshot(prefix, repo, revision or None, ["config.json", *descriptions])
    except (UnknownBackboneError, HubUnreachableError) as error:
        if not folder.is_dir():
            raise
        raise type(error)(f"the folder {name} has no config.json; taken for a name of the hub, {error}") from error
    return Repository(prefix + name, path, path.name)


def config_of(found: Repository) -> Any:
    """The description of the repository's model.

    Raises
    ------
    UnknownBackboneError
        transformers does not know its kind.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(found.folder)
    except (ValueError, OSError, KeyError) as error:
        raise UnknownBackboneError(f"{found.spec} is no model that transformers knows: {one_line(error)}") from error


def class_of(config: Any, mapping: str = "MODEL_MAPPING", *, named: bool = False) -> Any:
    """The class that a mapping of transformers has for a description, None where it has none.

    With `named`, only the one that the checkpoint was made of: it brings its classifier along.
    """
    import transformers

    known = getattr(transformers, mapping)
    if type(config) not in known:
        return None
    found = known[type(config)]
    kinds: tuple[Any, ...] = tuple(found) if isinstance(found, tuple | list) else (found,)
    names: set[str] = set(getattr(config, "architectures", None) or ())
    return next((kind for kind in kinds if not named or kind.__name__ in names), None)


def load_model(kind: Any, found: Repository, config: Any, **options: Any) -> torch.nn.Module:
    """The model with its weights, float32; without a pooler where the checkpoint has none, for a random one is worse.

    Raises
    ------
    WeightsMismatchError
        The checkpoint does not hold all weights of the class.
    """
    module, missing = _from_pretrained(kind, found, config, **options)
    if missing and all("pooler" in key.split(".") for key in missing):
        with suppress(TypeError):  # an architecture that always has its pooler
            module, missing = _from_pretrained(kind, found, config, add_pooling_layer=False)
    if missing:
        raise WeightsMismatchError(
            f"{found.spec}: the checkpoint misses {len(missing)} weights of {kind.__name__}: "
            f"{', '.join(sorted(missing)[:3])}"
        )
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load reports and bars from the terminal."""
    from transformers.utils import logging

    with ONE_AT_A_TIME:
        before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(before)
            if bars:
                logging.enable_progress_bar()


def _import_transformers(prefix: str) -> None:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"{prefix} backbones need transformers: pip install transformers") from error


def _snapshot(prefix: str, repo: str, revision: str | None, descriptions: list[str]) -> Path:
    """Description and weights of a repository, from this machine's cache or the hub."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def download() -> Path:
        offline = constants.HF_HUB_OFFLINE
        for patterns in _WEIGHTS:
            wanted = [*descriptions, *patterns]
            path = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=offline))
            if (path / "config.json").is_file() and any(any(path.glob(pattern)) for pattern in patterns):
                return path
        if offline:
            raise LocalEntryNotFoundError(f"{repo} is not complete in the cache")
        raise UnknownBackboneError(
            f"{prefix}{repo} has no config.json or no PyTorch weights: it is no model of transformers"
        )

    try:
        return local_first(download, prefix + repo, _cure(prefix))
    except HubUnreachableError as error:
        cause = error.__cause__
        if isinstance(cause, RevisionNotFoundError):
            raise UnknownBackboneError(
                f"{prefix}{repo} has no revision {revision!r}: leave it out, or use one of its commits"
            ) from error
        if isinstance(cause, RepositoryNotFoundError):
            raise UnknownBackboneError(f"the hub has no model repository {repo!r}{_nearest(repo)}") from error
        raise HubUnreachableError(f"{error}{_nearest(repo)}") from error
    except HFValidationError as error:
        raise UnknownBackboneError(
            f"{repo!r} is no name of a hub repository: use {prefix}ORG/REPO or {prefix}FOLDER"
        ) from error


def _cure(prefix: str) -> str:
    """What needs no hub; the embedded network is one of images."""
    folder = "a local folder that save_pretrained wrote"
    return f"{folder}, or 'embedded', which needs no hub" if prefix == "hf/" else folder


def _nearest(repo: str) -> str:
    """The repositories on this machine whose names are like `repo`, in the words of an error's end."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*")
    known = sorted(folder.name.removeprefix("models--").replace("--", "/") for folder in folders)
    near = difflib.get_close_matches(repo, known, n=3, cutoff=0.5)
    return f"; on this machine there are {', '.join(near)}" if near else ""


def _from_pretrained(kind: Any, found: Repository, config: Any, **options: Any) -> tuple[torch.nn.Module, set[str]]:
    try:
        module, report = kind.from_pretrained(
            found.folder,
            config=config,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # its error points to a report that `quiet` hides: ours names them
            **options,
        )
    except NOT_READ as error:
        raise WeightsMismatchError(f"{found.spec} cannot be loaded: {reason_of(error)}") from error
    _check_shapes(found, report["mismatched_keys"])
    missing = set(report["missing_keys"])
    for key in {key for key in missing if key.rpartition(".")[2] == _TRAINING_ONLY}:
        module.get_parameter(key).data.zero_()  # drawn at random otherwise, and part of the hash of the weights
        missing.remove(key)
    return module, missing


def _check_shapes(found: Repository, mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    wrong = sorted((key, tuple(held), tuple(described)) for key, held, described in mismatched)
    if wrong:
        key, held, described = wrong[0]
        raise WeightsMismatchError(
            f"{found.spec}: config.json and the weights do not fit each other in {len(wrong)} shapes: {key} has {held} "
            f"in the weights and {described} by config.json; take both from one checkpoint"
        )
