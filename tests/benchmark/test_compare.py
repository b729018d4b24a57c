"""The comparison on a small network with random weights: what every method must do."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from benchmarks.tables import accuracy_rows, cost_rows

from estimators.tiny import PREPROCESSING, pictures, tiny_network
from head2toe import FeatureProbe, backbones
from head2toe.baselines import FineTuned, HeadOnBackbone, Pixels
from head2toe.baselines.training import Schedule, train
from head2toe.benchmark import Task, compare
from head2toe.benchmark.costs import counted
from head2toe.benchmark.methods import METHODS, methods
from head2toe.benchmark.outcome import Outcome
from head2toe.benchmark.rows import LAST_BLOCKS, extracted, last_blocks
from head2toe.benchmark.trial import Trial
from head2toe.data import LabelledImages, as_images
from head2toe.errors import ClassTooSmallError, ParameterError
from head2toe.features import Layer, Plan, layers
from head2toe.probes import DEVIATIONS, LinearHead
from head2toe.probes.columns import Block, Columns

N = 210  # from 200 on, the search makes one round of folds instead of three
FROZEN = ("linear", "knn", "last4", "all-l2", "all-l1", "all-gl", "head2toe-equal", "head2toe", "head2toe-reference")
TRAINED = ("head2toe-ft", "head2toe-ft+", "finetune", "scratch", "finetune-cost")


def labelled(n, seed):
    images, labels = pictures(n, seed)
    return LabelledImages(as_images(images), [str(label) for label in labels], [str(i) for i in range(n)])


@pytest.fixture(scope="module")
def task():
    return Task("squares", "structured", labelled(N, 0), labelled(60, 1))


def run(task, names, **options):
    options = {"steps": 30, "target_sizes": (16, 32), "dtype": "float32", "preprocessing": PREPROCESSING, **options}
    return {one.method: one for one in compare(task, tiny_network(5), names, **options)}


@pytest.fixture
def classified(monkeypatch):
    """timm's test network has its classifier `fc`; a module of one's own names none."""
    _name_classifiers(monkeypatch)


def _name_classifiers(monkeypatch):
    load = backbones.load
    monkeypatch.setattr(backbones, "load", lambda *a, **k: replace(load(*a, **k), classifier="fc"))


@pytest.fixture(scope="module")
def found(task):
    """All methods, run once."""
    with pytest.MonkeyPatch.context() as patch:
        _name_classifiers(patch)
        return run(task, (*FROZEN, *TRAINED))


@pytest.mark.parametrize("name", FROZEN)
def test_methods_on_rows_beat_chance(found, name):
    one = found[name]
    assert one.accuracy > 0.5 and one.balanced_accuracy > 0.5 and 0.5 < one.cv_accuracy <= 1
    assert one.train_seconds > 0 and one.extract_seconds == found["linear"].extract_seconds > 0
    assert one.train_flops > N * 1e5 and one.stored_bytes > 100
    assert one.n_train == N and one.n_test == 60 and one.classes == 3 and not one.estimated
    assert "validation" in one.choice


def test_a_search_of_few_images_tells_its_repeats(found):
    few = run(Task("squares", "structured", labelled(60, 0), labelled(60, 1)), ("linear", "head2toe-equal"))
    assert few["head2toe-equal"].choice["validation"] == "3 x 5 folds"
    ones = few["linear"], found["head2toe-equal"], found["head2toe"]
    assert {one.choice["validation"] for one in ones} == {"5 folds"}


def test_the_official_grid_is_extrapolated_in_proportion_to_the_features(found):
    """Two rates, two lambdas, five folds, 500 and 5000 steps; at 512, 8192 and 24576 numbers a layer."""
    choice = found["head2toe-reference"].choice
    backbone = backbones.load(tiny_network(5), preprocessing=PREPROCESSING)
    sizes = (16, 512, 8192, 24576)
    plan = Plan.build(layers(backbone), sizes)
    measured, *official = (len(plan.columns(str(size))) for size in sizes)
    a_feature = 2 * 2 * 5 * 5500 * choice["step_seconds"] / measured
    assert choice["official_smallest_size_seconds_estimated"] == pytest.approx(a_feature * official[0])
    assert choice["official_grid_seconds_estimated"] == pytest.approx(a_feature * sum(official))


def test_outcomes_survive_json(found):
    for one in found.values():
        assert Outcome.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False))) == one


def test_stored_bytes_follow_what_is_kept(found):
    for name in ("linear", "all-l2", "head2toe-equal"):
        kept = found[name].choice["features"]
        numbers = kept * 3 + 3 + 3 * kept  # coefficients, intercepts; column number, mean and scale
        assert 0 < found[name].stored_bytes - 4 * numbers < 1000  # the file's own description
    assert found["all-gl"].stored_bytes < found["all-l2"].stored_bytes


def test_networks_are_trained(found):
    assert list(found) == [name for name in METHODS if name in {*FROZEN, *TRAINED}]
    for name in ("head2toe-ft", "head2toe-ft+", "finetune"):
        assert found[name].accuracy > 0.45, name
    assert found["scratch"].accuracy is not None and found["scratch"].train_flops == found["finetune"].train_flops
    assert found["finetune"].extract_seconds == 0 < found["head2toe-ft"].extract_seconds
    assert found["head2toe-ft"].train_seconds > found["head2toe"].train_seconds
    assert found["head2toe-ft"].stored_bytes > found["finetune"].stored_bytes / 2 > found["linear"].stored_bytes
    assert len({found[name].choice["validation"] for name in ("head2toe-ft", "finetune", "scratch")}) == 1
    cost = found["finetune-cost"]
    assert cost.estimated and cost.accuracy is None and cost.stored_bytes == found["finetune"].stored_bytes
    assert cost.train_flops > 10 * found["finetune"].train_flops
    assert found["head2toe-ft"].accuracy > found["head2toe"].accuracy - 0.1  # training must not tear the head apart
    plus = found["head2toe-ft+"]
    assert plus.accuracy == found[plus.choice["method"]].accuracy
    assert plus.choice[plus.choice["method"]] == max(plus.choice["head2toe"], plus.choice["head2toe-ft"])


def test_weights_that_a_head_does_not_read_are_not_kept_of_its_network(task):
    """Below the last layer that it reads all are trained; what lies above is the frozen backbone's."""
    from head2toe.benchmark.methods import networks

    backbone = backbones.load(tiny_network(5), preprocessing=PREPROCESSING)
    plan = Plan.build([one for one in layers(backbone) if one.name.startswith("layer1")], (16,))
    ones, count = torch.ones(6), plan.d // 6
    head = LinearHead(torch.arange(6) * count, ones - 1, ones, torch.randn(3, 6), torch.zeros(3))
    network = HeadOnBackbone(backbone.module, plan, head)
    given, y = Pixels.of(task.train.images, PREPROCESSING), torch.arange(N) % 3
    train(network, given.x, y, given.batch, Schedule(2, 0.1, 8, 0), lambda step: None)
    kept = networks._changed(network, backbone.module)
    assert {"coef", "intercept", "mean", "scale", "places", "backbone.conv1.0.weight"} <= kept.keys()
    assert not [name for name in kept if name.startswith(("backbone.fc", "backbone.layer3"))]


def test_the_cost_of_fine_tuning_is_that_of_its_steps_alone(found, classified):
    """500 steps of 128 images, each as many FLOPs as one of two images takes by itself."""
    network = FineTuned(tiny_network(5), preprocessing=PREPROCESSING).untrained(3).train()
    with counted() as spent:
        network(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert found["finetune-cost"].train_flops == spent.total // 2 * 500 * 128


@pytest.mark.usefixtures("classified")
def test_the_official_schedule_has_steps_and_batches_of_its_own(task, monkeypatch):
    from head2toe.benchmark.methods import networks

    monkeypatch.setattr(networks, "FINETUNING_STEPS", 6)
    found = run(task, ("finetune", "finetune-official"), steps=12)
    official, short = found["finetune-official"], found["finetune"]
    assert official.choice["steps"] == 6 and official.choice["batch_size"] == 128
    seen = 6 * 128 / (12 * 32)  # times the images; those held out are counted in both
    assert official.train_flops == pytest.approx(seen * short.train_flops, rel=0.05)
    assert official.device == short.device and (official.device == "cpu" or torch.cuda.is_available())


def test_a_search_among_what_was_chosen_has_the_views_in_their_own_order(task, monkeypatch):
    """A set of names is in another order in every process, and ties go to the first view."""
    from head2toe.benchmark.methods import networks

    names = [str(size) for size in range(9)]
    columns = Columns((Block("a", "mean", 0, 4),), {**dict.fromkeys(names, (0,)), "linear": (0,)}, commensurable=False)
    row = {"head": "discriminant", "fraction": 1.0, "layer_weights": "equal"}
    probe = SimpleNamespace(
        columns_=columns, most_features=None, choice_={"averaged": [{**row, "view": name} for name in names[:0:-1]]}
    )
    searched = []
    monkeypatch.setattr(networks, "FeatureProbe", lambda own, **options: searched.append(own) or MagicMock())
    networks._refitted(MagicMock(), probe)
    assert list(searched[0].views) == [*names[1:], "linear"] and not searched[0].commensurable


def test_the_linear_view_alone_may_be_what_was_chosen(task):
    """Of few images the last layer is often the best: there is still something to fine-tune."""
    from head2toe.benchmark.methods import networks

    columns = Columns((Block("a", "mean", 0, 4), Block("fc", "mean", 4, 8)), {"512": (0, 1), "linear": (1,)})
    row = {"head": "least squares", "fraction": 1.0, "layer_weights": "equal", "view": "linear"}
    probe = SimpleNamespace(columns_=columns, most_features=None, choice_={"averaged": [row]})
    X = np.random.default_rng(0).normal(size=(len(task.train), 8)).astype(np.float32)
    found = networks._refitted(Trial(task, "embedded", backbone=None, made=SimpleNamespace(X=X)), probe)
    assert set(found.head_.indices.tolist()) == {4, 5, 6, 7}


@pytest.mark.parametrize("deviations", [True, False])
def test_a_view_with_deviations_is_searched_again_with_them(monkeypatch, deviations):
    from head2toe.benchmark.methods import networks

    columns = Columns((Block("a", "mean", 0, 4),), {"512": (0,), "1024": (0,), "linear": (0,)})
    row = {"head": "discriminant", "fraction": 1.0, "layer_weights": "learned", "view": "512"}
    averaged = [row, {**row, "view": "512" + DEVIATIONS}] if deviations else [row]
    monkeypatch.setattr(networks, "FeatureProbe", again := MagicMock())
    probe = SimpleNamespace(columns_=columns, most_features=None, choice_={"averaged": averaged})
    networks._refitted(MagicMock(), probe)
    assert again.call_args.kwargs["deviations"] == deviations
    assert list(again.call_args.args[0].views) == ["512", "linear"]


def test_a_head_with_deviations_is_tuned_in_the_units_of_its_rows(task):
    from head2toe.benchmark.methods import networks

    X, rng = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32), np.random.default_rng(1)
    y = (np.abs(X[:, 2]) > 0.7).astype(np.int64)
    probe = FeatureProbe(Columns((Block("a", "mean", 0, 8),), {"512": (0,), "linear": (0,)})).fit(X, y)
    assert len(probe.head_.centre)
    cell = Trial(task, "embedded", backbone=None, made=SimpleNamespace(X=X, columns=lambda: probe.columns_))
    tuned, fresh = networks._standardised(cell, probe, X), torch.from_numpy(rng.normal(size=(20, 8)).astype(np.float32))
    kept = fresh[:, tuned.indices]
    torch.testing.assert_close(tuned.logits(kept), probe.head_.logits(kept), rtol=1e-3, atol=1e-3)
    deviations = (torch.from_numpy(X)[:, tuned.indices][:, tuned.plain_count :] - tuned.centre).abs()
    torch.testing.assert_close(tuned.mean[tuned.plain_count :], deviations.mean(dim=0), rtol=1e-2, atol=1e-3)


@pytest.mark.usefixtures("classified")
def test_lora_trains_few_weights(task):
    pytest.importorskip("peft")
    lora, cost = run(task, ("lora", "finetune-cost"), steps=60, augment=True).values()
    assert lora.choice["augmented"]
    assert lora.accuracy > 0.45
    assert lora.stored_bytes < cost.stored_bytes


def test_several_seeds_share_one_extraction_and_differ_in_their_folds(task):
    outcomes = compare(
        task,
        tiny_network(),
        ["linear", "knn"],
        seed=[0, 1],
        dtype="float32",
        preprocessing=PREPROCESSING,
        target_sizes=(16, 32),
    )
    assert [(one.method, one.seed) for one in outcomes] == [("linear", 0), ("knn", 0), ("linear", 1), ("knn", 1)]
    assert len({one.extract_seconds for one in outcomes}) == 1
    assert outcomes[1].accuracy != outcomes[3].accuracy or outcomes[0].cv_accuracy != outcomes[2].cv_accuracy


def test_unknown_methods_are_refused(task):
    with pytest.raises(ParameterError, match="unknown method 'svm': use some of linear"):
        run(task, ("linear", "svm"))
    with pytest.raises(ParameterError, match="no method"):
        methods([])


def test_what_a_method_starts_from_comes_before_it():
    assert [one.name for one in methods(["head2toe-ft+", "linear"])] == [
        "linear", "head2toe", "head2toe-ft", "head2toe-ft+"
    ]  # fmt: skip


def test_test_labels_play_no_part_in_the_classes(task):
    other = LabelledImages(task.test.images, ["up", *task.test.labels[1:]], task.test.names)
    first, second = (run(Task("t", "", task.train, test), ("linear",))["linear"] for test in (task.test, other))
    assert second.classes == 3
    assert second.accuracy in (first.accuracy, first.accuracy - 1 / 60)  # an image of a class never seen: an error
    assert second.balanced_accuracy < first.balanced_accuracy


def test_the_split_is_the_last_images_unless_they_hold_a_class_of_their_own(task):
    y = np.arange(N) % 3
    cell = Trial(task, "embedded", backbone=None)
    assert cell.split.held_out.tolist() == list(range(N - N // 5, N))  # a fifth: 200 is more than half of N
    order = np.argsort(y, kind="stable").tolist()
    train = LabelledImages(task.train.images, [task.train.labels[i] for i in order], task.train.names)
    by_class = Trial(Task("t", "", train, task.test), "embedded", backbone=None)
    assert by_class.split.held_out.tolist() == by_class.folds[0].held_out.tolist()
    assert "stratified" in by_class.split_name


@pytest.mark.parametrize("counts", [(60, 60), (90, 30), (40, 40, 40), (100, 10, 10)])
def test_of_images_sorted_by_class_the_last_are_no_sample(task, counts):
    labels = [f"class {i}" for i, count in enumerate(counts) for _ in range(count)]
    images = as_images(np.zeros((sum(counts), 8, 8, 3), np.uint8))
    train = LabelledImages(images, labels, [str(i) for i in range(len(labels))])
    cell = Trial(Task("t", "", train, task.test), "embedded", backbone=None)
    assert len(np.unique(cell.y[cell.split.held_out])) == len(counts)


def test_a_split_needs_a_class_of_two_images(task):
    train = LabelledImages(as_images(np.zeros((6, 8, 8, 3), np.uint8)), list("abcdef"), list("abcdef"))
    with pytest.raises(ClassTooSmallError, match="two images"):
        _ = Trial(Task("t", "", train, task.test), "embedded", backbone=None).split


def test_every_class_is_in_the_training_part_of_the_split(task):
    labels = [f"alone {i}" if i < 6 or i >= N - 6 else label for i, label in enumerate(task.train.labels)]
    cell = Trial(
        Task("t", "", LabelledImages(task.train.images, labels, task.train.names), task.test), "embedded", None
    )
    assert len(np.unique(cell.y[cell.split.train])) == cell.classes == 15
    assert len(cell.split.held_out) and sorted([*cell.split.train, *cell.split.held_out]) == list(range(N))


def test_rows_hold_the_last_blocks_and_standardised_views(task):
    backbone = backbones.load(tiny_network(), preprocessing=PREPROCESSING)
    with extracted(backbone, task.train.images, progress=False, dtype="float32") as rows:
        assert rows.X.shape == (N, rows.plan.d)
        assert set(rows.paper_views) <= set(rows.plan.views)
        assert LAST_BLOCKS not in rows.own and LAST_BLOCKS not in rows.columns().views
        indices, held = rows.standardised(LAST_BLOCKS)
        z = held.tile(np.arange(len(indices)))
        varying = torch.from_numpy(np.asarray(rows.X[:, indices]).std(0) > 1e-4)
        torch.testing.assert_close(z.std(1, correction=0)[varying], torch.ones(int(varying.sum())), atol=1e-3, rtol=0)


def test_target_sizes_may_be_an_array_and_the_papers_views_ascend(task):
    backbone = backbones.load(tiny_network(), preprocessing=PREPROCESSING)
    for sizes in (np.array([32, 16]), (32, 16, 32)):
        with extracted(backbone, task.train.images, sizes, progress=False, dtype="float32") as rows:
            assert rows.paper_views == ("16", "32") and set(rows.own) >= {"16", "32"}


def layer(name, kind="map", prefix=0):
    shape = {"map": (4, 2, 2), "tokens": (5, 4), "vector": (4,)}[kind]
    return Layer(name, name, "output", 0, kind, shape, prefix=prefix)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            [f"layer{i}.{j}.act{k}" for i in (3, 4) for j in range(3) for k in (1, 2)],
            ["layer3.2.act2", "layer4.0.act2", "layer4.1.act2", "layer4.2.act2"],
        ),
        (
            ["stem", *(f"stages.3.blocks.{i}{end}" for i in range(5) for end in (".mlp.act", "")), "head.norm"],
            [f"stages.3.blocks.{i}" for i in (1, 2, 3, 4)],
        ),
        (["a", "b", "c", "d", "e"], ["b", "c", "d", "e"]),
    ],
)
def test_last_blocks_are_named_by_numbers(names, expected):
    assert last_blocks([layer(name) for name in names]) == [(name, "mean") for name in expected]


def test_last_blocks_of_a_transformer_give_their_class_tokens():
    blocks = [layer(f"blocks.{i}", "tokens", prefix=1) for i in range(6)]
    assert last_blocks(blocks) == [(f"blocks.{i}", "cls") for i in (2, 3, 4, 5)]
    registers = [replace(block, class_token=False) for block in blocks]
    assert last_blocks(registers) == [(f"blocks.{i}", "mean") for i in (2, 3, 4, 5)]


def outcome(task, group, method, accuracy, seed=0, **costs):
    known = {"extract_seconds": 1.0, "train_seconds": 1.0, "train_flops": 10, "stored_bytes": 10, **costs}
    return Outcome(task, group, "b", method, accuracy, accuracy, None, choice={}, seed=seed, n_train=1, n_test=1,
                   classes=2, **known)  # fmt: skip


def test_tables_have_both_means_and_medians_over_seeds():
    found = [
        outcome("a", "structured", "m", 0.1),
        outcome("b", "natural", "m", 0.5),
        *(outcome("c", "natural", "m", value, seed) for seed, value in enumerate((0.2, 0.7, 0.9))),
        outcome("a", "structured", "half", 0.4),
    ]
    rows = dict(accuracy_rows(found, ["m", "half"]))
    assert list(rows) == ["b", "c", "a", "mean natural", "mean structured", "mean of 3 tasks", "mean of 2 groups"]
    assert rows["c"] == [pytest.approx(70), None]
    assert rows["mean natural"] == [pytest.approx(60), None]
    assert rows["mean of 3 tasks"] == [pytest.approx((10 + 50 + 70) / 3), None]
    assert rows["mean of 2 groups"][0] == pytest.approx(35)


def test_costs_are_compared_with_the_reference():
    found = [
        outcome("a", "", "ours", 0.5),
        outcome("a", "", "finetune-cost", None, extract_seconds=0.0, train_seconds=300.0, train_flops=2000,
                stored_bytes=50),
    ]  # fmt: skip
    ours, theirs = cost_rows(found)
    assert (ours["train_flops_times"], ours["seconds_times"], ours["stored_bytes_times"]) == (200, 150, 5)
    assert theirs["train_flops_times"] == 1
    assert cost_rows(found[:1])[0]["seconds_times"] is None


@pytest.mark.usefixtures("classified")
def test_progress_of_a_training_is_told_ten_times(task):
    told = []
    run(task, ("finetune",), steps=20, progress=lambda done, total, text: told.append((done, total, text)))
    steps = [(done, total) for done, total, text in told if text.startswith("steps of")]
    assert steps == [(6 * i, 60) for i in range(1, 11)]
