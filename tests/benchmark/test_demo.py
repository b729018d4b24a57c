from __future__ import annotations

import json

import pytest

from head2toe.benchmark.demo import METHODS, run_demo
from head2toe.cli.demo import table_text
from head2toe.errors import ParameterError
from head2toe.probes import DEVIATIONS


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    told = []
    out = tmp_path_factory.mktemp("demo")
    found = run_demo(
        out,
        lambda *report: told.append(report),
        tasks=("digits",),
        n_train=200,  # fewer would be searched with repeated cross-validation
        n_test=60,
        image_size=32,
        steps=2,
    )
    return found, told, out


def test_every_method_is_measured(small):
    found, _, _ = small
    assert [row["method"] for row in found["table"]] == list(METHODS)
    for row in found["table"]:
        assert 0 <= row["accuracy"] <= 1
        assert row["seconds"] > 0
    for row in found["table"][:2]:  # two steps are too few for the networks
        assert row["accuracy"] > 2 / 10, row["method"]
    json.dumps(found)


def test_a_probe_stores_a_fraction_of_the_network(small):
    linear, head2toe, finetuned, scratch = (row["stored_bytes"] for row in small[0]["table"])
    assert linear == 1280 * (2 + 2 + 10) + 4 * 10 + 4  # and how many columns there are in the only page
    assert finetuned == scratch > 13e6
    assert head2toe < finetuned / 5


def test_training_a_network_costs_more_passes_than_a_frozen_one(small):
    linear, head2toe, finetuned, scratch = (row["flops"] for row in small[0]["table"])
    assert linear == head2toe  # each of 200 images once
    assert finetuned == scratch
    # 2 steps of 32 images, forward and backward; the new head of 10 classes instead of 1000 is cheaper.
    assert finetuned == pytest.approx(192 * (linear / 200 - 2 * 1280 * 990), rel=1e-6)


def test_progress_ends_at_its_total(small):
    done, total, _ = zip(*small[1], strict=True)
    assert list(done) == list(range(len(METHODS) + 1))
    assert set(total) == {len(METHODS)}


def test_report_and_table_tell_the_same(small):
    found, _, out = small
    text = (out / "report.html").read_text(encoding="utf-8")
    table = table_text(found["table"])
    for row in found["table"]:
        assert f"{100 * row['accuracy']:.1f}" in text
        assert f"{100 * row['accuracy']:.1f} ±" in table
        assert row["method"] in table


def test_unknown_task(tmp_path):
    with pytest.raises(ParameterError, match="digits"):
        run_demo(tmp_path, tasks=("cifar",))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_head2toe_is_above_the_linear_probe_on_every_task(tmp_path):
    accuracy = {(row["task"], row["method"]): row["accuracy"] for row in run_demo(tmp_path, steps=1)["table"]}
    for task in {task for task, _ in accuracy}:
        assert accuracy[task, "Head2Toe"] > accuracy[task, "Linear probe"] + 0.05


def test_kept_features_are_counted_whatever_view_was_chosen() -> None:
    from head2toe import Head2ToeClassifier, backbones
    from head2toe.benchmark.demo import kept_features
    from head2toe.benchmark.embedded_tasks import embedded_task

    preprocessing = backbones.load("embedded").preprocessing.with_size(32)
    task = embedded_task("digits")
    for parameters in ({"target_sizes": ()}, {"statistics": ()}):
        probe = Head2ToeClassifier(
            "embedded",
            preprocessing=preprocessing,
            layers="blocks.[01]*",
            cache=False,
            cv=2,
            fractions=(0.1,),
            strengths=(0.01,),
            **parameters,
        ).fit(task.train_images[:60], task.train_labels[:60])
        kept = kept_features(probe, preprocessing)
        assert sum(row["kept"] for row in kept) == len(probe.probe_.head_.indices)

        probe.choice_ = {"averaged": [{**row, "view": row["view"] + DEVIATIONS} for row in probe.choice_["averaged"]]}
        assert [row["total"] for row in kept_features(probe, preprocessing)] == [2 * row["total"] for row in kept]
