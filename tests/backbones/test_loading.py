"""From a specification to a frozen network, or to an error with the cure in it."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import save_file

from head2toe.backbones import Preprocessing, embedded, hub, load, with_absolute_path
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import (
    HubUnreachableError,
    ParameterError,
    PreprocessingError,
    UnknownBackboneError,
    WeightsMismatchError,
)

declare_missing_operators()
import timm  # noqa: E402

NAME = "test_resnet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights in timm's hub layout."""
    path = tmp_path_factory.mktemp("hub") / "tiny"
    path.mkdir()
    torch.manual_seed(0)
    model = timm.create_model(NAME)
    save_file(model.state_dict(), path / "model.safetensors")
    config = {
        "input_size": [3, 96, 80],
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "interpolation": "bicubic",
        "crop_pct": 0.8,
    }
    description = {
        "architecture": NAME,
        "num_classes": 1000,
        "pretrained_cfg": {**config, "classifier": "fc", "num_classes": 1000},
    }
    (path / "config.json").write_text(json.dumps(description))
    return path


def test_local_folder_brings_its_own_preprocessing_and_weights(folder: Path) -> None:
    backbone = load(f"timm/local-dir:{folder}")
    torch.manual_seed(0)
    expected = timm.create_model(NAME).state_dict()
    assert all(torch.equal(value, backbone.module.state_dict()[name]) for name, value in expected.items())
    assert backbone.preprocessing == Preprocessing((96, 80), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", "whole", 0.8)
    assert not backbone.module.training and not any(p.requires_grad for p in backbone.module.parameters())
    assert backbone.classifier == "fc"


def test_hash_tells_weights_apart_and_nothing_else(folder: Path) -> None:
    one, same = load(f"timm/local-dir:{folder}"), load(f"timm/local-dir:{folder}", resize="crop")
    assert one.weights_sha256 == same.weights_sha256
    assert one.to_dict() != same.to_dict()
    other = load(f"timm/local-dir:{folder}")
    next(other.module.parameters()).data[0] += 1e-3
    assert other.weights_sha256 != one.weights_sha256


def test_weights_that_were_written_to_have_another_hash(folder: Path) -> None:
    backbone = load(f"timm/local-dir:{folder}")
    before, held = backbone.weights_sha256, {n: t.clone() for n, t in backbone.module.state_dict().items()}
    backbone.module.load_state_dict({name: 2 * tensor for name, tensor in held.items()})
    assert backbone.weights_sha256 != before
    backbone.module.load_state_dict(held)
    assert backbone.weights_sha256 == before


def test_sparse_weights_have_a_hash_too() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    backbone = load(network, preprocessing=Preprocessing((2, 2), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    before, linear = backbone.weights_sha256, backbone.module.get_submodule("1")
    dense = linear.weight.detach()
    linear.weight = torch.nn.Parameter(dense.to_sparse(), requires_grad=False)
    assert backbone.weights_sha256 == backbone.weights_sha256 == before
    linear.weight = torch.nn.Parameter((2 * dense).to_sparse(), requires_grad=False)
    assert backbone.weights_sha256 != before


def test_two_threads_that_load_leave_the_hub_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    inside, other, left = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        inside.set()
        other.wait(0.2)  # if it can get in now, it finds the hub switched off, and leaves last

    def second() -> None:
        other.set()
        left.wait(0.2)

    threads = [threading.Thread(target=hub.local_first, args=(make, "a", "b")) for make in (first, second)]
    threads[0].start()
    inside.wait(5)
    threads[1].start()
    threads[0].join(5)
    left.set()
    threads[1].join(5)
    assert not constants.HF_HUB_OFFLINE


def test_weights_file_is_loaded_strictly(folder: Path, tmp_path: Path) -> None:
    by_file = load(f"timm/{NAME}", weights=folder / "model.safetensors")
    assert by_file.weights_sha256 == load(f"timm/local-dir:{folder}").weights_sha256
    state = dict(by_file.module.state_dict())
    state.pop("fc.bias")
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsMismatchError, match=r"misses 1 keys: fc\.bias"):
        load(f"timm/{NAME}", weights=tmp_path / "short.safetensors")
    state["fc.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "shape.safetensors")
    with pytest.raises(WeightsMismatchError, match=r"wrong shapes for 1 keys: fc\.bias"):
        load(f"timm/{NAME}", weights=tmp_path / "shape.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsMismatchError, match="not a safetensors file"):
        load(f"timm/{NAME}", weights=tmp_path / "junk.safetensors")


def test_local_folder_that_does_not_fit(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architecture": "test_vit"}))
    with pytest.raises(WeightsMismatchError, match="cannot be loaded"):
        load(f"timm/local-dir:{tmp_path}")


def test_a_folder_alone_names_the_families_that_read_it(folder: Path) -> None:
    with pytest.raises(UnknownBackboneError, match=f"is a folder: use 'timm/local-dir:{folder}' or 'hf/{folder}'"):
        load(str(folder))
    with pytest.raises(UnknownBackboneError, match=f"say timm/local-dir:{folder} for that folder"):
        load(f"timm/{folder}")


@pytest.mark.parametrize("text", ["{}", "[]", '{"architecture": null}', '{"architectures": ["ViTModel"]}'])
def test_local_folder_without_an_architecture(text: str, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnknownBackboneError, match=r'config\.json has no "architecture".*goes with hf/'):
        load(f"timm/local-dir:{tmp_path}")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff"])
def test_local_folder_whose_description_is_no_json(data: bytes, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(UnknownBackboneError, match=r"config\.json cannot be read as JSON"):
        load(f"timm/local-dir:{tmp_path}")


def test_repository_without_an_architecture(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--someone--else" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, snapshot)
    (snapshot / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "models--someone--else" / "refs").mkdir()
    (tmp_path / "models--someone--else" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UnknownBackboneError, match=r'config\.json of timm/hf-hub:someone/else has no "architecture"'):
        load("timm/hf-hub:someone/else")


def test_local_folder_with_a_whole_pickled_network(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    torch.save(timm.create_model(NAME), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsMismatchError, match=r"whole pickled object.*save model\.state_dict\(\) alone$"):
        load(f"timm/local-dir:{tmp_path}")
    for data in (b"junk", b""):
        (tmp_path / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(WeightsMismatchError, match="cannot be loaded: the file is damaged"):
            load(f"timm/local-dir:{tmp_path}")


def test_local_folder_with_damaged_weights(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(WeightsMismatchError, match="cannot be loaded"):
        load(f"timm/local-dir:{tmp_path}")
    for name in ("model.safetensors", "pytorch_model.bin"):
        (tmp_path / name).write_bytes((folder / "model.safetensors").read_bytes()[:100])
        with pytest.raises(WeightsMismatchError, match="cannot be loaded"):
            load(f"timm/local-dir:{tmp_path}")
        (tmp_path / name).unlink()


def test_other_weights_have_not_the_revision_of_the_checkpoint(folder: Path) -> None:
    assert timm.create_model(NAME).pretrained_cfg["tag"]
    assert load(f"timm/{NAME}", weights=folder / "model.safetensors").revision is None


def test_files_in_the_hub_s_cache_need_no_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda: pytest.fail("asked the network for what is here"))
    expected = load(f"timm/local-dir:{folder}").weights_sha256
    for spec in ("timm/hf-hub:someone/tiny", f"timm/hf-hub:someone/tiny@{commit}"):
        backbone = load(spec)
        assert (backbone.revision, backbone.weights_sha256, backbone.spec) == (commit, expected, spec)
    assert backbone.preprocessing == Preprocessing((96, 80), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", "whole", 0.8)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("resnet50", "timm/resnet50"),
        ("timm/resnot50", "resnet50"),
        ("timm/resnet50.a1in1k", "resnet50.a1_in1k"),
        ("timm/local-dir:/no/such/folder", "config.json"),
        ("timm/hf-hub:", "hf-hub:ORG/REPO"),
        ("timm/hf-hub:no such/repository", "hf-hub:ORG/REPO"),
    ],
)
def test_unknown_backbones_name_what_is_near(spec: str, hint: str) -> None:
    with pytest.raises(UnknownBackboneError, match=hint) as caught:
        load(spec)
    assert "\n" not in str(caught.value)


def test_no_hub_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda: False)
    with pytest.raises(HubUnreachableError, match="embedded"):
        load(f"timm/{NAME}")


def test_no_hub_advises_weights_only_where_they_help(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda: False)
    with pytest.raises(HubUnreachableError, match="--weights FILE"):
        load(f"timm/{NAME}")
    with pytest.raises(HubUnreachableError, match="local folder") as caught:
        load("timm/hf-hub:someone/nothing")  # of which not even the architecture is known
    assert "--weights" not in str(caught.value)


@pytest.mark.parametrize("failure", [URLError("no route to host"), ConnectionResetError("peer")])
def test_a_download_that_fails_is_no_unknown_backbone(failure: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(timm, "create_model", create_model)
    monkeypatch.setattr(hub, "reachable", lambda: True)
    with pytest.raises(HubUnreachableError, match="embedded"):
        load(f"timm/{NAME}")


def test_a_repository_that_is_not_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_: object, **__: object) -> None:
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)  # its constructor wants the hub's response

    monkeypatch.setattr(timm, "create_model", create_model)
    monkeypatch.setattr(hub, "reachable", lambda: True)
    with pytest.raises(UnknownBackboneError, match="the hub has no hf-hub:someone/nothing"):
        load("timm/hf-hub:someone/nothing")


def test_own_module_needs_a_transform() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    with pytest.raises(PreprocessingError, match="preprocessing="):
        load(module)
    backbone = load(module, preprocessing=lambda image: torch.zeros(3, 8, 8))
    assert backbone.spec == "module/Sequential" and backbone.classifier is None


@pytest.mark.parametrize("resize", ["whole", "crop"])
def test_a_module_that_timm_made_brings_its_preprocessing(folder: Path, resize: str) -> None:
    by_name = load(f"timm/local-dir:{folder}", resize=resize)
    backbone = load(timm.create_model(f"local-dir:{folder}", pretrained=True), resize=resize)
    assert backbone.spec == "module/ResNet" and backbone.revision is None
    assert backbone.preprocessing == by_name.preprocessing and backbone.classifier == "fc"
    assert backbone.weights_sha256 == by_name.weights_sha256 and not backbone.module.training
    own = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    assert load(timm.create_model(NAME), preprocessing=own).preprocessing == own


@pytest.mark.parametrize("wrong", [{"resize": "fit"}, {"weights": "x.safetensors"}])
def test_parameters_that_do_not_apply(wrong: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        load("embedded", **wrong)


def test_embedded_is_the_pretrained_network() -> None:
    backbone = load("embedded")
    assert backbone.preprocessing == Preprocessing((224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", "whole", 0.875)
    assert sum(p.numel() for p in backbone.module.parameters()) == pytest.approx(4.65e6, rel=0.01)
    # Trained weights, not the random initialisation: running variances have moved away from one.
    assert backbone.module.get_buffer("bn1.running_var").std() > 0.01


def test_embedded_weights_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / embedded.FILE).write_bytes(b"other weights")
    monkeypatch.setattr(embedded, "files", lambda package: tmp_path)
    with pytest.raises(WeightsMismatchError, match="reinstall"):
        load("embedded")


@pytest.mark.parametrize(("spec", "prefix"), [("timm/local-dir:net", "timm/local-dir:"), ("hf/net", "hf/")])
def test_a_local_folder_is_settled_by_its_full_path(tmp_path, monkeypatch, spec, prefix):
    monkeypatch.chdir(tmp_path)
    there = {"spec": spec, "revision": None}
    assert with_absolute_path(there) == there  # a name of the hub, for all that is known
    (tmp_path / "net").mkdir()
    assert with_absolute_path(there) == {"spec": f"{prefix}{tmp_path / 'net'}", "revision": None}
    assert with_absolute_path({"spec": "embedded"}) == {"spec": "embedded"}


def test_a_home_folder_is_meant_by_a_tilde(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    there = load(f"timm/local-dir:{folder}").weights_sha256
    assert load(f"timm/local-dir:~/{folder.name}").weights_sha256 == there
    weights = f"~/{folder.name}/model.safetensors"
    assert load(f"timm/{NAME}", weights=weights).weights_sha256 == there
