"""Vision backbones of Hugging Face: hub repositories and local folders, through `transformers`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.backbone import Backbone, freeze
from head2toe.backbones.hub import local_first
from head2toe.backbones.image_processor import preprocessing_of
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import (
    HubUnreachableError,
    MissingDependencyError,
    UnknownBackboneError,
    WeightsMismatchError,
)

PREFIX = "hf/"
PIXELS = "pixel_values"  # what a vision model calls its input
_DESCRIPTIONS = ["config.json", "preprocessor_config.json", "processor_config.json"]
_WEIGHTS = (["*.safetensors", "*.safetensors.index.json"], ["pytorch_model*.bin", "pytorch_model.bin.index.json"])
_IMAGE_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def load_huggingface(name: str, *, resize: str = "whole", own_preprocessing: bool = True) -> Backbone:
    """Load a vision model of `transformers`.

    A checkpoint with a classifier keeps it: its logits are features too, and its input is the linear probe's. Of models
    of images and text the vision tower is taken.

    Parameters
    ----------
    name : str
        Without the leading "hf/": a folder, ORG/REPO, or ORG/REPO@REVISION (a branch, tag or commit).
    resize : "whole" or "crop"
    own_preprocessing : bool
        False where the caller brings preprocessing: the repository's image processor is then not looked at.

    Raises
    ------
    UnknownBackboneError
        No such repository or folder, or no vision model.
    PreprocessingError
        The repository's image processor is missing, or does what a `Preprocessing` cannot express.
    WeightsMismatchError
        The checkpoint does not hold all weights of its architecture.
    HubUnreachableError, MissingDependencyError
    """
    _import_transformers()
    folder, revision = _files(name)
    with _quiet():
        module = _model(folder, name)
        preprocessing = preprocessing_of(folder, resize, f"hf/{name}") if own_preprocessing else None
    return Backbone(
        spec=PREFIX + name,
        module=freeze(module),
        preprocessing=preprocessing,  # type: ignore[arg-type] - replaced by the caller's own where it is None
        classifier=_classifier(module),
        revision=revision,
    )


def _import_transformers() -> None:
    declare_missing_operators()
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("hf/ backbones need transformers: pip install 'head2toe[hf]'") from error


def _files(name: str) -> tuple[Path, str | None]:
    """The folder with the files, and the hub's commit; a local folder has none."""
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return folder, None
    repo, _, revision = name.partition("@")
    if repo.startswith((".", "/", "~")) or repo.count("/") > 1:
        raise UnknownBackboneError(
            f"no config.json in {name}: hf/ wants a hub repository or a folder that save_pretrained wrote"
        )
    path = _snapshot(repo, revision or None)
    return path, path.name


def _snapshot(repo: str, revision: str | None) -> Path:
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
            wanted = [*_DESCRIPTIONS, *patterns]
            path = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=offline))
            if (path / "config.json").is_file() and any(any(path.glob(pattern)) for pattern in patterns):
                return path
        if offline:
            raise LocalEntryNotFoundError(f"{repo} is not complete in the cache")
        raise UnknownBackboneError(
            f"hf/{repo} has no config.json or no PyTorch weights: it is no model of transformers"
        )

    try:
        return local_first(download, PREFIX + repo)
    except HubUnreachableError as error:
        cause = error.__cause__
        if isinstance(cause, RevisionNotFoundError):
            raise UnknownBackboneError(
                f"hf/{repo} has no revision {revision!r}: leave it out, or use one of its commits"
            ) from error
        if isinstance(cause, RepositoryNotFoundError):
            raise UnknownBackboneError(f"the hub has no model repository {repo!r}{_nearest(repo)}") from error
        raise HubUnreachableError(f"{error}{_nearest(repo)}") from error
    except HFValidationError as error:
        raise UnknownBackboneError(f"{repo!r} is no name of a hub repository: use hf/ORG/REPO or hf/FOLDER") from error


def _nearest(repo: str) -> str:
    """The repositories on this machine whose names are like `repo`, in the words of an error's end."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*")
    known = sorted(folder.name.removeprefix("models--").replace("--", "/") for folder in folders)
    near = difflib.get_close_matches(repo, known, n=3, cutoff=0.5)
    return f"; on this machine there are {', '.join(near)}" if near else ""


def _model(folder: Path, name: str) -> torch.nn.Module:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder)
    except (ValueError, OSError, KeyError) as error:
        raise UnknownBackboneError(f"hf/{name} is no model that transformers knows: {_one_line(error)}") from error
    tower = getattr(config, "vision_config", None)
    if tower is not None:
        kind, config = _auto_class(tower), tower
    else:
        kind = _named_class(config) or _auto_class(config)
    if kind is None or getattr(kind, "main_input_name", None) != PIXELS:
        raise UnknownBackboneError(
            f"hf/{name} is a {config.model_type} model, which takes no images: hf/ is for vision models"
        )
    return _loaded(kind, folder, config, name)


def _named_class(config: Any) -> Any:
    """The class that the checkpoint was made of, if it is an image classifier: it brings its classifier along."""
    from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

    if type(config) not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        return None
    found = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
    kinds: tuple[Any, ...] = found if isinstance(found, tuple | list) else (found,)
    named: set[str] = set(getattr(config, "architectures", None) or ())
    return next((kind for kind in kinds if kind.__name__ in named), None)


def _auto_class(config: Any) -> Any:
    from transformers import MODEL_MAPPING

    if type(config) not in MODEL_MAPPING:
        return None
    found = MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple | list) else found


def _loaded(kind: Any, folder: Path, config: Any, name: str) -> torch.nn.Module:
    """The model with its weights; without a pooler where the checkpoint has none, for a random one is worse."""
    module, missing = _from_pretrained(kind, folder, config, name)
    if missing and all("pooler" in key.split(".") for key in missing):
        with suppress(TypeError):  # an architecture that always has its pooler
            module, missing = _from_pretrained(kind, folder, config, name, add_pooling_layer=False)
    if missing:
        raise WeightsMismatchError(
            f"hf/{name}: the checkpoint misses {len(missing)} weights of {kind.__name__}: "
            f"{', '.join(sorted(missing)[:3])}"
        )
    return module


def _from_pretrained(
    kind: Any, folder: Path, config: Any, name: str, **options: Any
) -> tuple[torch.nn.Module, set[str]]:
    from safetensors import SafetensorError

    try:
        module, found = kind.from_pretrained(
            folder, config=config, local_files_only=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise WeightsMismatchError(f"hf/{name} cannot be loaded: {_one_line(error)}") from error
    return module, set(found["missing_keys"])


def _classifier(module: torch.nn.Module) -> str | None:
    head = getattr(module, "classifier", None)
    return "classifier" if isinstance(head, torch.nn.Module) and not isinstance(head, torch.nn.Identity) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' load reports and bars from the terminal."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
