"""Vision models of `transformers`: what is tapped is what the models themselves call their hidden states."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers", reason="hf/ backbones are an extra")
from benchmarks.zoo.hf_images import CLASSES, MODELS, SQUARE, TOKENS, VIT, hf, save

from head2toe import Head2ToeClassifier
from head2toe.backbones import Preprocessing, huggingface, load, pinned
from head2toe.backbones.running import run
from head2toe.data import as_images
from head2toe.errors import (
    HubUnreachableError,
    MissingDependencyError,
    PreprocessingError,
    UnknownBackboneError,
    WeightsMismatchError,
)
from head2toe.features import Plan, extract, layers
from head2toe.features.dtype import prepare
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch
from head2toe.features.outputs import first_tensor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Write a model once a session."""
    folder, specs = tmp_path_factory.mktemp("hf"), {}

    def specification(name):
        if name not in specs:
            specs[name] = save(name, folder / name)
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


def seen(backbone, batch):
    """Every tapped tensor by its layer's name, and the network's output."""
    wanted, found = {layer.key: layer for layer in layers(backbone)}, {}

    def see(module, where, call, value):
        if (module, where, call) in wanted:
            found[wanted[module, where, call].name] = first_tensor(value).clone()

    with watch(backbone.module, {key[:2] for key in wanted}, see):
        output = run(backbone.module, batch)
    return found, output


@pytest.mark.parametrize("name", MODELS)
def test_block_outputs_are_the_hidden_states(loaded, name):
    backbone = loaded(name)
    batch = noise_batch(backbone, 2)
    found, output = seen(backbone, batch)
    with torch.inference_mode():
        plain = backbone.module(batch)
        states = backbone.module(batch, output_hidden_states=True).hidden_states
    assert torch.equal(first_tensor(output), first_tensor(plain))
    assert set(output) == set(plain)
    assert len(states) >= 3
    for state in states[1:]:  # the first is the embeddings, which some models change before the first block
        assert any(tensor.shape == state.shape and torch.equal(tensor, state) for tensor in found.values())


@pytest.mark.parametrize("name", MODELS)
def test_the_linear_probe_reads_what_the_model_gives_to_a_classifier(loaded, name):
    backbone = loaded(name)
    (penultimate,) = (layer for layer in layers(backbone) if layer.penultimate)
    batch = noise_batch(backbone, 2)
    features = seen(backbone, batch)[0][penultimate.name]
    with torch.inference_mode():
        output = backbone.module(batch)
        if name.endswith("classifier"):
            made = backbone.module.classifier(features)
            assert penultimate.kind == "vector" and torch.equal(made, output.logits)
        elif name == "deit_distilled":  # two classifiers, whose average is the output
            assert torch.equal(backbone.module.cls_classifier(features), output.cls_logits)
        elif name == "vit_without_pooler":
            assert torch.equal(features, output.last_hidden_state)
        elif name == "vit":  # the class token after the last norm, not the pretraining head's view of it
            assert torch.equal(features, output.last_hidden_state[:, 0])
        else:
            assert penultimate.kind == "vector" and torch.equal(features, output.pooler_output)


@pytest.mark.parametrize("name", ["vit", "dinov2", "beit", "clip", "siglip", "convnext"])  # one of each processor
@pytest.mark.parametrize("resize", ["whole", "crop"])
def test_preprocessing_is_the_processors(saved, name, resize):
    backbone = load(saved(name), resize=resize)
    processor = hf.AutoImageProcessor.from_pretrained(saved(name).removeprefix("hf/"))
    side = 32 if resize == "whole" else 57  # a picture of the network's size needs no resizing; another is cropped
    pixels = np.random.default_rng(0).integers(0, 256, (side, 80 if resize == "crop" else side, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((300, 200) if resize == "crop" else (32, 32), Image.Resampling.BICUBIC)
    ours = backbone.preprocessing.batch([backbone.preprocessing.image(picture)])
    if resize == "whole":
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (processor.image_mean, processor.image_std))
        theirs = (torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255 - mean) / std
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    else:
        theirs = processor(images=picture, return_tensors="pt")["pixel_values"]
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().mean()) < 0.03


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_finite_and_tell_images_apart(loaded, name):
    backbone = loaded(name)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), dtype=np.uint8)
    plan = Plan.build(layers(backbone), (64, 512))
    rows = extract(backbone, as_images(pixels), plan, dtype="float32", progress=False, batch_size=3).rows
    assert rows.shape == (5, plan.d) and np.isfinite(rows).all()
    for block in plan.blocks:
        assert np.ptp(rows[:, block.start : block.stop], axis=0).max() > 0, block


@pytest.mark.parametrize(
    ("name", "prefix"), [("dinov2", 1), ("dinov2_larger", 1), ("dinov2_registers", 5), ("clip", 1), ("siglip", 0)]
)
def test_class_and_register_tokens_are_counted(loaded, name, prefix):
    tokens = [layer for layer in layers(loaded(name)) if layer.kind == "tokens" and layer.shape[0] >= 16]
    assert tokens
    assert all(layer.prefix == layer.shape[0] - 16 for layer in tokens)
    assert max(layer.prefix for layer in tokens) == prefix


def test_a_probe_is_saved_and_finds_its_backbone_again(saved, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    images = rng.integers(0, 100, (30, 32, 32, 3), dtype=np.uint8) + (80 * labels[:, None, None, None]).astype(np.uint8)
    probe = Head2ToeClassifier(saved("vit_classifier"), target_sizes=(64,), cv=2, cache=False, dtype="float32")
    probe.fit(images, labels).save(tmp_path / "probe")
    again = Head2ToeClassifier.load(tmp_path / "probe", cache=False)
    np.testing.assert_array_equal(again.predict_proba(images), probe.predict_proba(images))
    assert probe.score(images, labels) == 1.0


def test_the_commit_is_pinned(saved, tmp_path, monkeypatch):
    """A snapshot in the hub's cache, read without the hub: its folder's name is the commit."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--some--vit"
    shutil.copytree(saved("vit").removeprefix("hf/"), repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("head2toe.backbones.hub.reachable", lambda: False)
    backbone = load("hf/some/vit")
    assert (backbone.spec, backbone.revision) == ("hf/some/vit", commit)
    assert pinned(backbone.to_dict()) == f"hf/some/vit@{commit}"
    assert load(f"hf/some/vit@{commit}").weights_sha256 == backbone.weights_sha256
    with pytest.raises(HubUnreachableError, match="there are some/vit"):
        load("hf/some/vitt")
    with pytest.raises(HubUnreachableError):
        load("hf/some/vit@other")


def test_wrong_names_and_kinds(tmp_path, saved):
    with pytest.raises(UnknownBackboneError, match="no config"):
        load(f"hf/{tmp_path}")
    with pytest.raises(UnknownBackboneError, match="no name of a hub repository"):
        load("hf/a b")
    text = tmp_path / "text"
    hf.BertModel(hf.BertConfig(**TOKENS, vocab_size=99)).save_pretrained(text)
    with pytest.raises(UnknownBackboneError, match="bert model, which takes no images"):
        load(f"hf/{text}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(UnknownBackboneError, match="no model that transformers knows"):
        load(f"hf/{tmp_path}")


@pytest.mark.parametrize("prefix", ["hf/", "hf-text/", "hf-audio/"])
def test_what_is_not_here_is_not_cured_by_weights(tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("head2toe.backbones.hub.reachable", lambda: False)
    with pytest.raises(HubUnreachableError, match="a local folder that save_pretrained wrote") as caught:
        load(f"{prefix}nothere")
    assert "--weights" not in str(caught.value) and "config.json" not in str(caught.value)
    assert ("embedded" in str(caught.value)) == (prefix == "hf/")  # which is a network of images
    (tmp_path / "nothere").mkdir()
    with pytest.raises(HubUnreachableError, match=r"the folder nothere has no config\.json") as caught:
        load(f"{prefix}nothere")
    assert "--weights" not in str(caught.value)
    (tmp_path / "not here").mkdir()
    with pytest.raises(UnknownBackboneError, match=r"the folder not here has no config\.json"):
        load(f"{prefix}not here")


def copied(saved, name, folder, **settings):
    """A saved model with other settings of its image processor."""
    shutil.copytree(saved(name).removeprefix("hf/"), folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return f"hf/{folder}"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vit", {"do_resize": False}, "does not resize"),
        ("vit", {"size": {"shortest_edge": 32}}, "not expressed"),
        ("vit", {"do_rescale": True, "rescale_factor": 0.0}, "scales"),
        ("vit", {"do_pad": True, "pad_size": {"height": 40, "width": 40}}, "makes .* not"),
    ],
)
def test_processors_that_are_not_expressed_are_refused(saved, tmp_path, name, settings, message):
    spec = copied(saved, name, tmp_path / "copy", **settings)
    with pytest.raises(PreprocessingError, match=message):
        load(spec)
    own = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)
    assert load(spec, preprocessing=own).preprocessing == own


def test_a_processor_that_does_more_than_it_says_is_refused(saved, tmp_path):
    """MobileViT's swaps red and blue."""
    spec = copied(saved, "vit", tmp_path / "copy")
    hf.MobileViTImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE).save_pretrained(tmp_path / "copy")
    with pytest.raises(PreprocessingError, match="does more than resize"):
        load(spec)


def test_damaged_and_incomplete_checkpoints(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    spec = copied(saved, "vit", tmp_path / "copy")
    path = tmp_path / "copy" / "model.safetensors"
    state = load_file(path)
    del state["layernorm.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(WeightsMismatchError, match="misses 1 weights"):
        load(spec)
    path.write_bytes(b"junk")
    with pytest.raises(WeightsMismatchError, match="cannot be loaded"):
        load(spec)
    (tmp_path / "copy" / "preprocessor_config.json").unlink()
    save_file({**state, "layernorm.weight": torch.ones(32)}, path, metadata={"format": "pt"})
    with pytest.raises(PreprocessingError, match="no image processor"):
        load(spec)


@pytest.mark.parametrize(
    ("setting", "shapes"),
    [
        (
            {"hidden_size": 24},
            r"embeddings\.cls_token has \(1, 1, 32\) in the weights and \(1, 1, 24\) by config\.json",
        ),
        ({"patch_size": 4}, r"projection\.weight has \(32, 3, 8, 8\) in the weights and \(32, 3, 4, 4\)"),
    ],
)
def test_weights_of_other_shapes_than_the_description_says(saved, tmp_path, setting, shapes):
    spec = copied(saved, "vit", tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    with pytest.raises(WeightsMismatchError, match=rf"config\.json and the weights do not fit each other.*{shapes}"):
        load(spec)


def test_weights_of_torch_save_that_cannot_be_read(saved, tmp_path):
    spec = copied(saved, "vit", tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").unlink()
    path = tmp_path / "copy" / "pytorch_model.bin"
    torch.save(MODELS["vit"](), path)
    with pytest.raises(WeightsMismatchError, match=r"whole pickled object \(.*\.ViTModel\).*model\.state_dict\(\)"):
        load(spec)
    path.write_bytes(b"junk")
    with pytest.raises(WeightsMismatchError, match="the file is damaged"):
        load(spec)


@pytest.mark.parametrize("data", [b"{", b"", b"[]", b'"x"', b"\xff", b'{"image_processor_type": "Unknown"}'])
def test_an_image_processor_that_is_there_and_cannot_be_read(saved, tmp_path, data):
    spec = copied(saved, "vit", tmp_path / "copy")
    (tmp_path / "copy" / "preprocessor_config.json").write_bytes(data)
    with pytest.raises(PreprocessingError, match=r"has preprocessor_config\.json, from which no .*: mend it") as caught:
        load(spec)
    assert "\n" not in str(caught.value)


def test_without_transformers_the_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        huggingface.load_huggingface("some/vit")


def _saved(model, folder):
    model.eval().save_pretrained(folder)
    hf.ViTImageProcessor(size=SQUARE).save_pretrained(folder)
    return load(f"hf/{folder}")


def test_a_masked_autoencoder_sees_all_patches_and_none_by_chance(tmp_path):
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    config = hf.ViTMAEConfig(**VIT, **decoder, decoder_intermediate_size=32)
    backbone = _saved(hf.ViTMAEForPreTraining(config), tmp_path)
    batch = noise_batch(backbone, 2)
    (first, _), (again, _) = seen(backbone, batch), seen(backbone, batch)
    assert all(torch.equal(first[name], again[name]) for name in first)
    tokens = [layer for layer in layers(backbone) if layer.kind == "tokens"]
    assert tokens and all(layer.shape[0] in (16, 17) for layer in tokens)


def test_the_classifier_of_a_tower_stays_where_the_checkpoint_has_one(tmp_path):
    config = hf.CLIPConfig(vision_config=VIT, text_config={**TOKENS, "vocab_size": 99}, **CLASSES)
    backbone = _saved(hf.CLIPForImageClassification(config), tmp_path)
    assert backbone.classifier == "classifier"
    assert {layer.name: layer.shape for layer in layers(backbone)}["classifier"] == (5,)


def test_a_list_of_layers_is_no_classifier():
    module = torch.nn.Module()
    module.classifier = torch.nn.ModuleList([torch.nn.Flatten(), torch.nn.Linear(2, 2)])
    module.fc = torch.nn.Linear(4, 3)
    assert huggingface._classifier(module) is None
    module.__class__ = type("SomeForImageClassification", (torch.nn.Module,), {})
    assert huggingface._classifier(module) == "fc"


def test_tensors_kept_from_an_earlier_run_do_not_keep_bfloat16_away(tmp_path):
    config = hf.LevitConfig(image_size=32, hidden_sizes=[16, 24, 32], num_attention_heads=[1, 2, 2], depths=[1, 1, 1],
                            key_dim=[8, 8, 8], patch_size=16)  # fmt: skip
    backbone = _saved(hf.LevitModel(config), tmp_path)
    layers(backbone)
    prepared = prepare(backbone, "cpu", "bfloat16")
    made = first_tensor(run(prepared.module, prepared.batch(noise_batch(backbone, 2))))
    assert made.dtype == torch.bfloat16 and bool(made.isfinite().all())
