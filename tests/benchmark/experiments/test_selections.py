"""What each experiment selects, against what it must select."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from head2toe.benchmark.experiments import other_task, style
from head2toe.benchmark.experiments.affine import Linearised, r2
from head2toe.benchmark.experiments.affinity import rank_correlation
from head2toe.benchmark.experiments.experiment import mean_by
from head2toe.benchmark.experiments.kept_layers import by_layer
from head2toe.benchmark.experiments.laboratory import TaskRows
from head2toe.benchmark.experiments.networks import trained
from head2toe.benchmark.experiments.offset import groups, offsets
from head2toe.benchmark.experiments.one_layer import LINEAR, with_each_layer
from head2toe.benchmark.experiments.scaling import SCALINGS, unit_norm
from head2toe.benchmark.experiments.settings import Settings
from head2toe.benchmark.experiments.shots import balanced
from head2toe.benchmark.experiments.stability import mean_overlap
from head2toe.benchmark.experiments.task_study import TaskStudy
from head2toe.benchmark.experiments.whole_layers import select_between
from head2toe.data import LabelledImages, as_images
from head2toe.errors import TooFewImagesError
from head2toe.probes.columns import Block, Columns
from head2toe.probes.ranking import top

WIDTHS = (30, 50, 20, 60)
SETTINGS = Settings(target_sizes=(8,), fractions=(0.125, 0.5, 1.0), folds=3)


@pytest.fixture(scope="module")
def rows():
    """Four layers; the second one knows the class."""
    rng = np.random.default_rng(0)
    stops = np.cumsum(WIDTHS)
    blocks = tuple(
        Block(f"l{i}", "mean", int(s - w), int(s)) for i, (w, s) in enumerate(zip(WIDTHS, stops, strict=True))
    )
    y, y_test = np.arange(90) % 3, np.arange(60) % 3
    X, T = (rng.normal(size=(len(labels), stops[-1])).astype(np.float32) for labels in (y, y_test))
    for values, labels in ((X, y), (T, y_test)):
        values[:, 30:80] += 1.2 * np.eye(3)[labels] @ np.random.default_rng(1).normal(size=(3, 50))
    columns = Columns(blocks, {"8": (0, 1, 2, 3), "linear": (3,)})
    images = as_images(np.zeros((len(y), 2, 2), np.uint8))
    return TaskRows("made", "none", columns, X, T, y, y_test, images)


@pytest.fixture(scope="module")
def study(rows):
    return TaskStudy(rows, SETTINGS)


def test_the_ends_of_the_interpolation_are_features_and_whole_layers(study):
    selected = select_between(study)(study.everything)
    scores, d = study.rank(study.everything), sum(WIDTHS)
    np.testing.assert_array_equal(selected[0.0, 0.125], top(scores, 0.125))
    parts = np.split(scores, np.cumsum(WIDTHS)[:-1])
    best_first = sorted(range(4), key=lambda i: -parts[i].mean())
    in_order = np.concatenate([np.arange(*_span(i)) for i in best_first])
    np.testing.assert_array_equal(selected[1.0, 0.5], np.sort(in_order[: int(np.ceil(0.5 * d))]))
    np.testing.assert_array_equal(selected[1.0, 0.125], np.arange(30, 50))  # from the layer that knows


def _span(i):
    stop = int(np.cumsum(WIDTHS)[i])
    return stop - WIDTHS[i], stop


def test_groups_follow_the_ranking_and_do_not_overlap(study):
    starts = offsets(sum(WIDTHS), 20)
    assert starts == [0, 20, 40, 80, 140] and offsets(100, 50) == [0, 50]
    selected = groups(study, 20, starts)(study.everything)
    scores = study.rank(study.everything)
    for earlier, later in itertools.pairwise(starts):
        assert scores[selected[earlier]].min() >= scores[selected[later]].max()
    assert all(len(kept) == 20 for kept in selected.values())


def test_the_best_group_is_better_than_the_last(study):
    judged = study.judge(groups(study, 20, [0, 140]))
    assert study.test_accuracy(judged[0]) > 90 > study.test_accuracy(judged[140]) + 30
    assert judged[0].cv_accuracy > judged[140].cv_accuracy + 30


def test_selection_inside_folds_finds_nothing_in_noise(rows):
    noise = np.random.default_rng(3).normal(size=(90, 2000)).astype(np.float32)
    columns = Columns((Block("l", "mean", 0, 2000),), {"8": (0,), "linear": (0,)})
    made = TaskRows("noise", "none", columns, noise, noise[:60], rows.y, rows.y_test, rows.images)
    judged = TaskStudy(made, SETTINGS).judge(TaskStudy(made, SETTINGS).fractions())
    assert all(one.cv_accuracy < 52 for one in judged.values())  # chance is 33; scored on all rows it would be near 100


def test_heads_agree_with_ridge_regression_of_scikit_learn(study, rows):
    from sklearn.linear_model import Ridge

    judged = study.judge(study.fractions())[0.5]
    Z = ((rows.train - rows.train.mean(0)) / study.z.scale)[:, judged.kept]
    T = ((rows.test - rows.train.mean(0)) / study.z.scale)[:, judged.kept]
    unit = float((Z**2).sum(1).mean())
    model = Ridge(alpha=judged.strength * unit).fit(Z, np.eye(3)[rows.y])
    ours = study.head(judged).logits(torch.from_numpy(rows.test[:, judged.kept]))
    np.testing.assert_allclose(ours.numpy(), model.predict(T), atol=2e-3)
    assert study.test_accuracy(judged) == 100 * np.mean(model.predict(T).argmax(1) == rows.y_test)


def test_a_class_that_is_not_in_the_training_images_counts_as_wrong(rows):
    from dataclasses import replace

    unknown = np.where(rows.y_test == 0, -1, rows.y_test)
    study, other = TaskStudy(rows, SETTINGS), TaskStudy(replace(rows, y_test=unknown), SETTINGS)
    judged = study.linear()
    assert other.test_accuracy(judged) <= study.test_accuracy(judged) and other.test_accuracy(judged) <= 200 / 3


def test_extra_layers_stand_beside_the_last_one(study):
    extra = with_each_layer(study)
    assert list(extra) == [LINEAR, "l0", "l1", "l2"]  # the last layer beside itself is no extra layer
    np.testing.assert_array_equal(extra["l0"], np.r_[0:30, 100:160])


def test_kept_features_are_counted_by_layer(study):
    counts = by_layer(study, np.array([0, 29, 30, 159]))
    assert [(row["layer"], row["kept"], row["of"]) for row in counts] == [
        ("l0", 2, 30),
        ("l1", 1, 50),
        ("l2", 0, 20),
        ("l3", 1, 60),
    ]


def test_views_are_cut_out_and_joined(rows):
    columns = Columns(rows.columns.blocks, {"8": (0, 1), "9": (1, 2), "linear": (3,)})
    from dataclasses import replace

    several = replace(rows, columns=columns)
    one = several.restricted_to(["9"])
    np.testing.assert_array_equal(one.train[:, one.columns.indices("9")], rows.train[:, 30:100])
    np.testing.assert_array_equal(one.test[:, one.columns.indices("linear")], rows.test[:, 100:160])
    both = several.restricted_to(["8", "9"])
    assert both.columns.width("all") == 100
    side = one.beside(one)
    assert side.columns.width("9") == 140 and side.train.shape == (90, 260)
    np.testing.assert_array_equal(side.train[:, side.columns.indices("linear")], np.tile(rows.train[:, 100:], 2))


def test_shots_are_balanced_and_nested():
    y = np.random.default_rng(0).integers(0, 4, 200)
    few, more = balanced(y, 3, 0), balanced(y, 7, 0)
    assert np.bincount(y[few]).tolist() == [3] * 4 and np.bincount(y[more]).tolist() == [7] * 4
    assert set(few) < set(more) and set(few) != set(balanced(y, 3, 1))


def test_overlap_and_rank_correlation():
    assert mean_overlap([np.arange(4), np.arange(4)]) == 1
    assert mean_overlap([np.arange(4), np.arange(2, 6)]) == pytest.approx(2 / 6)
    assert rank_correlation([1, 2, 3], [5, 6, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_means_are_over_tasks_that_all_have_the_value():
    table = [{"task": t, "offset": o, "accuracy": a} for t, o, a in (("a", 0, 10), ("b", 0, 20), ("a", 5, 90))]
    assert mean_by(table, "offset") == {0: 15}


@pytest.mark.parametrize(
    ("name", "spread"),
    [
        ("none", lambda sd, block: sd[block]),
        ("standardised", lambda sd, block: np.ones(50)),
        ("standardised, damped", lambda sd, block: sd[block] / np.sqrt(sd[block] ** 2 + (sd[block] ** 2).mean())),
    ],
)
def test_scalings(name, spread, rows):
    X = rows.train * np.linspace(0.1, 3, rows.train.shape[1], dtype=np.float32)
    X[:, 0] = 0
    prepare, scale = SCALINGS[name]
    made = TaskRows("made", "none", rows.columns, X, rows.test, rows.y, rows.y_test, rows.images)
    z = scale(prepare(made))
    assert not z.tile(np.array([0])).any()
    np.testing.assert_allclose(z.tile(np.arange(160)).mean(dim=1), 0, atol=1e-5)
    found = z.tile(np.arange(30, 80)).std(dim=1, correction=0).numpy()
    np.testing.assert_allclose(found, spread(X.std(0), slice(30, 80)), rtol=1e-4)
    study = TaskStudy(made, SETTINGS, scale)
    judged = study.judge(study.fractions())[0.5]
    on_train = study.head(judged).logits(torch.from_numpy(X[:, judged.kept]))
    assert (on_train.argmax(1).numpy() == rows.y).mean() > 0.9  # the head reads raw columns, whatever the scaling


def test_unit_norm(rows):
    X = rows.train.copy()
    X[3, 30:80] = 0
    unit = unit_norm(X, rows.columns)
    norms = np.linalg.norm(unit[:, 30:80], axis=1)
    np.testing.assert_allclose(np.delete(norms, 3), 1, rtol=1e-5)
    assert norms[3] == 0


def test_the_first_order_network_is_exact_for_small_steps(laboratory):
    task = laboratory.tasks[0]
    network = trained(laboratory, task, pretrained=True, keep_statistics=True)
    models = Linearised(network, laboratory.specs[laboratory.backbone])
    images = task.test.images
    end, _, _ = models.logits(images)
    x = models.preprocessing.batch([models.preprocessing.image(images[i]) for i in range(len(images))])
    np.testing.assert_allclose(end, network.network_(x).detach().numpy(), rtol=1e-3, atol=1e-4)
    before, after = dict(models.start.named_buffers()), dict(models.end.named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before)  # nothing but weights has moved
    assert r2(end, end) == 1

    def gap(share):
        for name, parameter in models.end.named_parameters():
            parameter.data.copy_(models.w[name] + share * steps[name])
        models.dw = {name: share * step for name, step in steps.items()}
        moved, linear, start = models.logits(images)
        return np.abs(moved - linear).max() / np.abs(moved - start).max()

    steps = dict(models.dw)
    assert gap(1e-2) < 0.1 * max(gap(0.3), 1e-9) or gap(1e-2) < 0.05


def test_a_small_learning_rate_leaves_the_network_in_its_first_order_neighbourhood(laboratory):
    task = laboratory.tasks[0]
    network = trained(laboratory, task, pretrained=True, learning_rate=1e-4, keep_statistics=True)
    end, first, _ = Linearised(network, laboratory.specs[laboratory.backbone]).logits(task.test.images)
    assert r2(first, end) > 0.999


def test_one_style_for_all_figures():
    with style.style():
        figure, (ax,) = style.axes()
        style.grouped_bars(ax, ["a", "b"], {"x": [1, 2], "y": [2, 3]}, {"x": [0.1, 0.1]})
        assert len(ax.patches) == 4 and [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    assert figure.canvas.get_default_filename()


def two_tasks(rows, shared):
    """The study of a task, and of others: half of whose images it has too, or none; labels of noise."""
    y = np.random.default_rng(3).integers(0, 3, 90)
    pixels = np.random.default_rng(4).integers(0, 255, (180, 2, 2), np.uint8)
    target = replace(rows, task="target", images=as_images(pixels[:90]))
    part = slice(45, 135) if shared else slice(90, 180)
    X = np.concatenate([rows.train, np.random.default_rng(5).normal(size=rows.train.shape).astype(np.float32)])
    source = replace(rows, task="source", y=y, train=X[part], images=as_images(pixels[part]))
    return {one.task: TaskStudy(one, SETTINGS) for one in (target, source)}


@pytest.mark.parametrize("shared", [True, False])
def test_what_another_task_selects_has_not_seen_the_images_that_a_fold_holds_out(rows, monkeypatch, shared):
    studies, ranked = two_tasks(rows, shared), []
    rank = studies["source"].rank
    monkeypatch.setattr(studies["source"], "rank", lambda train: ranked.append(train) or rank(train))
    found = other_task._of_target("target", studies)
    held_out = [fold.held_out for fold in studies["target"].folds]
    assert len(ranked) == len(held_out) + 1
    for seen, left_out in zip(ranked, (*held_out, np.array([], int)), strict=True):
        np.testing.assert_array_equal(seen, np.setdiff1d(np.arange(90), left_out - 45 if shared else []))
    if not shared:  # as the selection on all images gives it
        kept = studies["source"].columns.indices("8")[top(rank(np.arange(90)), other_task.FRACTION)]
        judged = studies["target"].judge(lambda _: {0: kept})[0]
        assert (found[1]["selected_on"], found[1]["cv_accuracy"]) == ("source", judged.cv_accuracy)


def test_an_own_selection_sees_its_copies_as_before(rows):
    images = as_images(np.zeros((90, 2, 2), np.uint8))  # all alike
    study = TaskStudy(replace(rows, images=images), SETTINGS)
    own = study.judge(lambda train: {0: study.columns.indices("8")[top(study.rank(train), other_task.FRACTION)]})[0]
    assert other_task._of_target("made", {"made": study})[0]["cv_accuracy"] == own.cv_accuracy


def test_a_task_of_nothing_but_shared_images_is_told(rows):
    one = as_images(np.zeros((90, 2, 2), np.uint8))
    studies = {name: TaskStudy(replace(rows, task=name, images=one), SETTINGS) for name in ("a", "b")}
    with pytest.raises(TooFewImagesError, match="b: without the images that it shares with another task"):
        other_task._of_target("a", studies)


def test_rows_know_the_images_that_could_be_read(laboratory, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 8, 8, 3), np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    paths[1].write_bytes(b"no picture")
    images = LabelledImages(as_images([str(path) for path in paths]), list("abcab"), [path.name for path in paths])
    task = replace(laboratory.tasks[0], name="damaged", train=images, test=images)
    found = replace(laboratory, tasks=[task], memory={}, skipped={}).rows(task)
    assert [found.images.identity(i) for i in range(len(found.images))] == [images.identity(i) for i in (0, 2, 3, 4)]
    part = found.of_images(np.array([1, 3]))
    assert [part.images.identity(i) for i in range(2)] == [images.identity(i) for i in (2, 4)]
