"""Backbones: sequences become one vector, sizes that are not square, and messages that name no more than they count."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.backbones import hub as hub_module
from head2toe.backbones.hub import opens, reachable
from head2toe.backbones.image_processor import _geometry
from head2toe.backbones.own_module import _fault
from head2toe.backbones.sequence_encoder import POOLINGS, SequenceEncoder, classifier_of
from head2toe.backbones.timm_zoo import classifier_of as classifier_of_timms
from head2toe.backbones.weights_file import load_strictly
from head2toe.errors import ParameterError, PreprocessingError, UnknownBackboneError, WeightsMismatchError

STATES = torch.tensor([[[1.0, -1.0, 5.0], [3.0, -2.0, 0.0], [2.0, -6.0, 1.0], [0.0, 1.0, 2.0]]])


@pytest.mark.parametrize(
    ("way", "vector"),
    [("mean", [1.5, -2, 2]), ("cls", [1, -1, 5]), ("max", [3, 1, 5]), ("lasttoken", [0, 1, 2])],
)
def test_every_way_of_pooling_leaves_one_vector_a_sequence(way: str, vector: list[float]) -> None:
    assert POOLINGS[way](STATES).tolist() == [vector]

    class Model(nn.Module):
        main_input_name = "numbers"

        def forward(self, numbers: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(last_hidden_state=STATES.expand(len(numbers), -1, -1))

    assert SequenceEncoder(Model(), way)(torch.zeros(2, 4)).tolist() == [vector, vector]


def test_the_classifier_of_a_sequence_model_is_its_last_linear_layer() -> None:
    model = nn.Module()
    assert classifier_of(model) is None
    model.classifier = nn.Linear(4, 2)
    assert classifier_of(model) == "model.classifier"
    model.classifier = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2), nn.Dropout())
    assert classifier_of(model) == "model.classifier.2"
    model.classifier = nn.Sequential(nn.Tanh())
    assert classifier_of(model) is None
    encoder = SequenceEncoder(model)
    model.classifier = nn.Linear(4, 2)
    assert encoder.get_submodule(str(classifier_of(model))) is model.classifier


def processor(height: int, width: int, crop: tuple[int, int] | None = None) -> SimpleNamespace:
    kept = None if crop is None else {"height": crop[0], "width": crop[1]}
    size = {"height": height, "width": width}
    return SimpleNamespace(size=size, do_resize=True, do_center_crop=crop is not None, crop_size=kept)


def test_a_size_that_is_not_square_is_kept_and_a_square_crop_of_a_square_too() -> None:
    assert _geometry(processor(40, 60), "one") == ((40, 60), 1.0, "squash")
    assert _geometry(processor(40, 60, (40, 60)), "one") == ((40, 60), 1.0, "squash")
    assert _geometry(processor(40, 40, (30, 30)), "one") == ((30, 30), 0.75, "squash")


@pytest.mark.parametrize("one", [processor(40, 60, (30, 30)), processor(40, 40, (20, 30)), processor(40, 60, (20, 30))])
def test_other_crops_of_a_squashed_picture_are_not_expressed(one: SimpleNamespace) -> None:
    with pytest.raises(PreprocessingError, match="is not expressed"):
        _geometry(one, "one")


@pytest.mark.parametrize(("lost", "told"), [(3, "a, b, c$"), (4, r"a, b, c, \.\.\.$")])
def test_three_keys_are_named_and_more_are_dots(lost: int, told: str, tmp_path: Path) -> None:
    module = nn.ParameterDict({name: torch.zeros(1) for name in "abcde"})
    torch.save({name: torch.zeros(1) for name in "abcde"[lost:]}, tmp_path / "w.pt")
    with pytest.raises(WeightsMismatchError, match=rf"misses {lost} keys: {told}"):
        load_strictly(module, tmp_path / "w.pt")


def test_only_a_folder_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(UnknownBackboneError, match="is a folder: use"):
        load(str(tmp_path / "model"))
    with pytest.raises(UnknownBackboneError, match=r"^unknown backbone 'no/such/place'"):
        load("no/such/place")


def test_the_smallest_input_is_one_pixel() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    for size, sides in ((1, (1, 1)), ((1, 5), (1, 5))):
        found = load(module, preprocessing=preprocessing, image_size=size).preprocessing
        assert isinstance(found, Preprocessing) and found.size == sides
    for size in (0, (4, 0), (4,), True, 2.0):
        with pytest.raises(ParameterError, match="image_size is"):
            load(module, preprocessing=preprocessing, image_size=size)  # type: ignore[arg-type]


def test_a_connection_opens_where_somebody_listens_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert opens("127.0.0.1", port)
    assert not opens("127.0.0.1", port)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_checkpoint_in_half_precision_is_loaded_in_float32(tmp_path: Path) -> None:
    """What it runs in is chosen later; on a CPU its numbers are rounded no further."""
    hf = pytest.importorskip("transformers", reason="hf/ backbones are an extra")
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = hf.ViTModel(hf.ViTConfig(**size, image_size=16, patch_size=8)).bfloat16()
    model.save_pretrained(tmp_path)
    hf.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    loaded = load(f"hf/{tmp_path}").module.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        assert loaded[name].dtype == torch.float32 and torch.equal(loaded[name], weight.float())


def test_the_hub_is_looked_for_at_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(hub_module, "opens", lambda *address: asked.append(address) or True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for endpoint in ("https://hub.example", "http://localhost:8080"):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        assert reachable()
    assert asked == [("hub.example", 443), ("localhost", 8080)]


def test_a_fault_of_the_whole_module_is_not_one_of_a_part_without_a_name() -> None:
    inside = nn.Module()
    inside._orig_mod = nn.Linear(2, 2)
    assert str(_fault(inside)).startswith("is a module that is compiled")
    assert str(_fault(nn.Sequential(nn.ReLU(), inside))).startswith("has a part 1 that is compiled")


def test_the_classifier_of_a_timm_network_is_the_last_linear_layer_of_its_head() -> None:
    class Network(nn.Module):
        def __init__(self, head: nn.Module) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 4), head

        def get_classifier(self) -> nn.Module:
            return self.head

    assert classifier_of_timms(Network(nn.Linear(4, 2))) == "head"
    assert classifier_of_timms(Network(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2), nn.Dropout()))) == "head.1"
    assert classifier_of_timms(Network(nn.Conv2d(4, 2, 1))) == "head"
    assert classifier_of_timms(Network(nn.Identity())) is None
    assert classifier_of_timms(nn.Linear(4, 2)) is None


def test_two_channels_are_refused() -> None:
    with pytest.raises(PreprocessingError, match="use three numbers each, or one"):
        Preprocessing((8, 8), (0.5,) * 2, (0.5,) * 2)
