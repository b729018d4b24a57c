"""A probe on disk: what is written comes back, all or nothing is there, and what is damaged says so."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from head2toe.artifacts import SavedProbe, folder, load_probe, save_probe
from head2toe.errors import DataFormatError, DiskFullError, OutputExistsError, ParameterError, ProbeFormatError
from head2toe.features import Layer, Plan
from head2toe.probes import LinearHead


def head(indices, classes=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    k = len(indices)
    return LinearHead(
        torch.tensor(indices),
        torch.randn(k, generator=g),
        torch.rand(k, generator=g),
        torch.randn(classes, k, generator=g),
        torch.randn(classes, generator=g),
    )


def probe(classes=("ant", "bee", "fly")):
    layers = (
        Layer("stem", "stem", "output", 0, "map", (4, 6, 6)),
        Layer("fc:input", "fc", "input", 0, "vector", (5,), penultimate=True),
    )
    plan = replace(Plan.build(layers, [16]), views={})
    found = {"view": "16", "fraction": 0.1, "features": 3, "cv_accuracy": 0.9}
    return SavedProbe(
        classes=np.array(classes),
        backbone={"spec": "embedded", "weights_sha256": "ab" * 32, "preprocessing": {"size": [6, 6]}},
        plan=plan,
        head=head([0, 2, 9]),
        linear_head=head([plan.d - 2, plan.d - 1], seed=1),
        dtype="float32",
        choice=found,
        search_table=[found],
        cv_accuracy=0.9,
        linear_cv_accuracy=0.8,
        parameters={"cv": 5},
        version="0.1.0",
    )


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "deep" / "probe"


def assert_equal(a: SavedProbe, b: SavedProbe):
    assert a.description() == b.description()
    ours, theirs = a.tensors(), b.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_deviations_come_back_too(place):
    deviating = replace(head([0, 2, 9, 2, 5]), centre=torch.tensor([1.5, -0.25]))
    written = replace(probe(), head=deviating)
    save_probe(place, written)
    again = load_probe(place)
    assert_equal(again, written)
    x = torch.randn(4, 5)
    assert torch.equal(again.head.logits(x), deviating.logits(x))


@pytest.mark.parametrize("classes", [("ä", "b c", ""), (3, 5, 9), (0.5, 1.0, 2.0), (False, True)])
def test_what_is_written_comes_back(place, classes):
    written = probe()
    if len(classes) == 2:
        written = replace(written, head=head([1], 2), linear_head=head([2], 2))
    written = replace(written, classes=np.array(classes))
    save_probe(place, written)
    back = load_probe(place)
    assert_equal(back, written)
    assert back.classes.dtype == written.classes.dtype
    assert back.plan == written.plan
    assert back.head.indices.dtype == torch.int64


def test_constant_columns_keep_their_infinite_scale(place):
    written = probe()
    written.head.scale[1] = torch.inf
    save_probe(place, written)
    assert load_probe(place).head.scale[1] == torch.inf


def test_the_two_heads_may_be_one(place):
    """Where the linear probe won the search."""
    one = probe()
    same = replace(one, head=one.linear_head)
    save_probe(place, same)
    assert_equal(load_probe(place), same)


@pytest.mark.parametrize(("classes", "dtype"), [(3, torch.int8), (33, torch.uint8)])
def test_a_rounded_head_comes_back_the_same(place, classes, dtype, monkeypatch):
    monkeypatch.setattr("head2toe.probes.heads.LEAST_BYTES", 0)  # heads as small as these would not be rounded
    heads = {name: head(at, classes, seed=2).rounded() for name, at in (("head", [0, 2, 9]), ("linear_head", [1]))}
    rounded = replace(probe([f"class {i}" for i in range(classes)]), **heads)
    save_probe(place, rounded)
    assert load_file(place / "probe.safetensors")["head.coef"].dtype == dtype
    assert_equal(load_probe(place), rounded)


def test_only_two_files_and_no_pickle(place):
    save_probe(place, probe())
    assert sorted(path.name for path in place.iterdir()) == ["probe.json", "probe.safetensors"]
    assert load_file(place / "probe.safetensors")["head.indices"].dtype == torch.int32
    assert [path.name for path in place.parent.iterdir()] == ["probe"]


def test_a_path_that_is_no_text_comes_back(place):
    """As file systems may have it; it would be found only after the whole fit."""
    one = probe()
    described = replace(one, backbone={**one.backbone, "spec": os.fsdecode(b"timm/local-dir:/home/m\xfcller")})
    save_probe(place, described)
    assert load_probe(place).backbone == described.backbone


def test_labels_json_cannot_hold_are_refused_before_anything_is_written(place):
    with pytest.raises(DataFormatError):
        save_probe(place, replace(probe(), classes=np.array([b"a", b"b", b"c"])))
    assert not place.exists()


def test_a_probe_that_is_there_stays_unless_told(place):
    save_probe(place, probe())
    other = replace(probe(), cv_accuracy=0.5)
    with pytest.raises(OutputExistsError, match="already"):
        save_probe(place, other)
    assert load_probe(place).cv_accuracy == 0.9
    (place / "notes.txt").write_text("mine")
    save_probe(place, other, overwrite=True)
    assert load_probe(place).cv_accuracy == 0.5
    assert (place / "notes.txt").read_text() == "mine"
    assert [path.name for path in place.parent.iterdir()] == ["probe"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="no probe folder"):
            save_probe(tmp_path, probe(), overwrite=overwrite)
    with pytest.raises(OutputExistsError):
        save_probe(tmp_path / "thesis.tex", probe(), overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "probe").mkdir()
    place = (tmp_path / "probe").stat().st_ino
    save_probe(tmp_path / "probe", probe())
    assert_equal(load_probe(tmp_path / "probe"), probe())
    assert (tmp_path / "probe").stat().st_ino == place  # it may be a mount point, or where the user stands


def test_the_working_directory_can_hold_a_probe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_probe(".", probe())
    save_probe(".", replace(probe(), cv_accuracy=0.5), overwrite=True)
    assert load_probe(".").cv_accuracy == 0.5
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["probe.json", "probe.safetensors"]


@pytest.mark.parametrize("before", [False, True])
def test_files_that_cannot_be_moved_leave_what_was_there(tmp_path, monkeypatch, before):
    tmp_path = tmp_path / "probe"
    tmp_path.mkdir()
    if before:
        save_probe(tmp_path, probe())
    moved, held = Path.replace, sorted(tmp_path.iterdir())

    def refuses_the_last(path, target):
        if path.name == "probe.json" and path.parent != tmp_path:
            raise PermissionError(errno.EACCES, "no", str(target))
        return moved(path, target)

    monkeypatch.setattr(Path, "replace", refuses_the_last)
    with pytest.raises(PermissionError):
        save_probe(tmp_path, replace(probe(), cv_accuracy=0.1), overwrite=True)
    assert sorted(tmp_path.iterdir()) == held
    if before:
        assert_equal(load_probe(tmp_path), probe())


@pytest.mark.parametrize("call", range(1, 5))
def test_an_interruption_at_any_move_leaves_the_old_probe(place, monkeypatch, call):
    save_probe(place, probe())
    moved, calls = Path.replace, []

    def interrupted(path, target):
        calls.append(path)
        if len(calls) == call:
            raise KeyboardInterrupt
        return moved(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_probe(place, replace(probe(), cv_accuracy=0.1), overwrite=True)
    assert_equal(load_probe(place), probe())
    assert sorted(path.name for path in place.iterdir()) == ["probe.json", "probe.safetensors"]


@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_leaves_what_was_there(place, monkeypatch, before):
    if before:
        save_probe(place, probe())

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "save_file", full)
    with pytest.raises(DiskFullError):
        save_probe(place, replace(probe(), cv_accuracy=0.1), overwrite=True)
    assert place.exists() == before
    assert [path.name for path in place.parent.iterdir()] == ["probe"] * before
    if before:
        assert load_probe(place).cv_accuracy == 0.9


def edit(place, change):
    description = json.loads((place / "probe.json").read_text())
    change(description)
    (place / "probe.json").write_text(json.dumps(description))


def rewrite(place, change):
    tensors = load_file(place / "probe.safetensors")
    change(tensors)
    save_file(tensors, place / "probe.safetensors")


DAMAGE = {
    "no description": (lambda p: (p / "probe.json").unlink(), "not a probe folder"),
    "no tensors": (lambda p: (p / "probe.safetensors").unlink(), "not a probe folder"),
    "empty description": (lambda p: (p / "probe.json").write_text(""), "damaged"),
    "binary description": (lambda p: (p / "probe.json").write_bytes(b"\xff\xfe\x00"), "damaged"),
    "a list": (lambda p: (p / "probe.json").write_text("[]"), "does not describe"),
    "foreign": (lambda p: edit(p, lambda d: d.update(format="other")), "does not describe"),
    "newer": (lambda p: edit(p, lambda d: d.update(schema=99, version="9.9")), "newer head2toe .9.9"),
    "no schema": (lambda p: edit(p, lambda d: d.pop("schema")), "schema version"),
    "no backbone": (lambda p: edit(p, lambda d: d.pop("backbone")), "'backbone' is missing"),
    "backbone of another kind": (lambda p: edit(p, lambda d: d.update(backbone=None)), "its backbone is NoneType"),
    "no weights": (lambda p: edit(p, lambda d: d["backbone"].pop("weights_sha256")), "'weights_sha256' is missing"),
    "choice": (lambda p: edit(p, lambda d: d.update(choice=None)), "its choice is NoneType where dict is expected"),
    "costs": (lambda p: edit(p, lambda d: d.update(costs=None)), "its costs is NoneType"),
    "one class twice": (lambda p: edit(p, lambda d: d["classes"].update(labels=["ant"] * 3)), "classes are the same"),
    "no plan": (lambda p: edit(p, lambda d: d.update(plan=None)), "damaged"),
    "unknown pooling": (lambda p: edit(p, lambda d: d["plan"]["blocks"][0].update(operation="magic:1")), "magic"),
    "wrong columns": (lambda p: edit(p, lambda d: d["plan"]["blocks"][0].update(stop=3)), "columns of layer 'stem'"),
    "unknown layer": (lambda p: edit(p, lambda d: d["plan"]["blocks"][0].update(layer="x")), "'x' is missing"),
    "classes": (lambda p: edit(p, lambda d: d["classes"]["labels"].append("yak")), "coef has shape"),
    "truncated": (lambda p: os.truncate(p / "probe.safetensors", 99), "damaged"),
    "missing tensor": (lambda p: rewrite(p, lambda t: t.pop("head.coef")), "head.coef is missing"),
    "cut tensor": (lambda p: rewrite(p, lambda t: t.update({"head.mean": torch.ones(2)})), "head.mean has shape"),
    "column too far": (lambda p: rewrite(p, lambda t: t["head.indices"].add_(10**6)), "not ascending columns below"),
    "not ascending": (lambda p: rewrite(p, lambda t: t["head.indices"].fill_(1)), "not ascending"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_says_so_in_one_line(place, damage):
    save_probe(place, probe())
    spoil, message = DAMAGE[damage]
    spoil(place)
    with pytest.raises(ProbeFormatError, match=message) as caught:
        load_probe(place)
    assert "\n" not in str(caught.value)
    assert str(place) in str(caught.value)


ROUNDED_DAMAGE = {
    "pages gone": (lambda t: t.pop("head.pages"), "head.mean is missing"),
    "pages of fewer": (lambda t: t["head.pages"].sub_(1), "head.pages do not tell"),
    "pages below none": (lambda t: t.update({"head.pages": torch.tensor([-1, 4])}), "head.pages do not tell"),
    "cut coefficients": (lambda t: t.update({"head.coef": t["head.coef"][:-1].clone()}), "head.coef has shape"),
    "no coefficients": (lambda t: t.update({"head.coef": t["head.coef"][:0].clone()}), "head.coef has shape"),
}


@pytest.mark.parametrize("damage", ROUNDED_DAMAGE)
@pytest.mark.parametrize("classes", [3, 33])
def test_a_damaged_rounded_head_says_so(place, classes, damage, monkeypatch):
    monkeypatch.setattr("head2toe.probes.heads.LEAST_BYTES", 0)
    heads = {name: head(at, classes).rounded() for name, at in (("head", [0, 2, 9]), ("linear_head", [1]))}
    save_probe(place, replace(probe([f"class {i}" for i in range(classes)]), **heads))
    spoil, message = ROUNDED_DAMAGE[damage]
    rewrite(place, spoil)
    with pytest.raises(ProbeFormatError, match=message):
        load_probe(place)


def test_no_folder():
    with pytest.raises(ProbeFormatError, match="not a probe folder"):
        load_probe("nowhere/at/all")


def test_whoever_may_read_one_file_may_read_the_other(place):
    save_probe(place, probe())
    modes = {(place / name).stat().st_mode for name in ("probe.json", "probe.safetensors")}
    assert len(modes) == 1


def test_a_file_system_without_modes_keeps_a_probe_too(place, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "chmod", refuse)
    save_probe(place, probe())
    assert_equal(load_probe(place), probe())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user to whom a file can be closed")
def test_a_file_that_may_not_be_read_is_not_said_to_be_missing(place):
    save_probe(place, probe())
    (place / "probe.safetensors").chmod(0)
    with pytest.raises(PermissionError, match=r"probe\.safetensors"):
        load_probe(place)


@pytest.mark.parametrize(("labels", "kept"), [(["a longer name", "bee", "fly"], True), ([1, 2, 3], False)])
def test_a_class_that_was_renamed_keeps_its_whole_name(place, labels, kept):
    save_probe(place, probe())
    description = json.loads((place / "probe.json").read_text())
    description["classes"]["labels"] = labels
    (place / "probe.json").write_text(json.dumps(description))
    if kept:
        assert load_probe(place).classes.tolist() == labels
        return
    with pytest.raises(ProbeFormatError, match="its classes are not labels of the dtype <U3"):
        load_probe(place)


@pytest.mark.parametrize("below", ["", "probe"])
def test_a_link_that_leads_to_itself_holds_no_probe(tmp_path, below):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ParameterError, match="cannot be written"):
        save_probe(tmp_path / "loop" / below, probe())


def test_a_link_to_a_folder_to_be_made_is_followed(tmp_path):
    (tmp_path / "latest").symlink_to(tmp_path / "first")
    assert save_probe(tmp_path / "latest", probe()) == tmp_path / "first"
    assert_equal(load_probe(tmp_path / "latest"), probe())


def test_the_longest_name_can_hold_a_probe(tmp_path):
    assert_equal(load_probe(save_probe(tmp_path / ("\N{HIRAGANA LETTER A}" * 85), probe())), probe())


@pytest.mark.parametrize("name", ["probe.json", "probe.safetensors"])
def test_the_file_that_is_missing_is_named_and_no_other(place, name):
    save_probe(place, probe())
    (place / name).unlink()
    with pytest.raises(ProbeFormatError, match=f"it has no {name}$"):
        load_probe(place)
