"""The probe over plain arrays: scikit-learn's own checks, and what a user may do wrong."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from head2toe.errors import (
    ClassTooSmallError,
    ConstantFeaturesError,
    DataFormatError,
    MissingLabelError,
    NotFiniteError,
    OneClassError,
    ParameterError,
    TooFewImagesError,
)
from head2toe.estimators import FeatureProbe, checks
from head2toe.probes import Block, Columns

QUICK = {"fractions": (0.5, 1.0), "strengths": (0.01,)}

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "cv is a number of folds, and the check wants folds of its own; moreover the relevance scores choose their "
        "ridge strength by leave-one-out, where a row weighted twice and a row given twice differ: the copies of a "
        "row predict each other."
    ),
}


@parametrize_with_checks([FeatureProbe(**QUICK)], expected_failed_checks=lambda probe: EXPECTED)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def problem(n=60, d=40, classes=3, seed=0):
    """Classes shift two of the d columns; the others are noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    X = rng.normal(size=(n, d))
    X[:, 7] += 3 * y
    X[:, 31] -= 3 * (y == 1)
    return X.astype(np.float32), np.array(["cat", "dog", "emu"])[y]


def test_the_useful_columns_are_kept_and_predict_new_rows():
    X, y = problem()
    probe = FeatureProbe(fractions=(0.1,), strengths=(0.01,)).fit(X, y)
    assert {7, 31} <= set(probe.head_.indices.tolist())
    assert len(probe.head_.indices) == 4
    fresh, truth = problem(n=300, seed=1)
    assert probe.score(fresh, truth) > 0.9
    assert probe.score(fresh, truth) > probe.linear_score(fresh, truth)


def test_probabilities_are_the_softmax_of_the_decision_function_and_agree_with_labels():
    X, y = problem()
    probe = FeatureProbe(**QUICK).fit(X, y)
    logits, proba = probe.decision_function(X), probe.predict_proba(X)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, shares, rtol=1e-9)
    assert (probe.classes_[proba.argmax(axis=1)] == probe.predict(X)).all()
    assert probe.predict(X).dtype.kind == "U"


def test_two_classes_give_one_decision():
    X, y = problem(classes=2)
    probe = FeatureProbe(**QUICK).fit(X, y)
    z, proba = probe.decision_function(X), probe.predict_proba(X)
    assert z.shape == (60,)
    np.testing.assert_allclose(np.log(proba[:, 1] / proba[:, 0]), z, atol=1e-6)


def test_float64_and_a_memmap_give_what_float32_gives(tmp_path):
    X, y = problem()
    expected = FeatureProbe(**QUICK).fit(X, y).decision_function(X)
    np.save(tmp_path / "X.npy", X)
    for same in (X.astype(np.float64), np.load(tmp_path / "X.npy", mmap_mode="r")):
        np.testing.assert_array_equal(FeatureProbe(**QUICK).fit(same, y).decision_function(same), expected)


def test_rows_of_weight_zero_count_for_nothing():
    X, y = problem()
    weight = np.ones(60)
    weight[::4] = 0
    wrong = y.copy()
    wrong[::4] = "cat"
    weighted = FeatureProbe(**QUICK).fit(X, wrong, sample_weight=weight)
    without = FeatureProbe(**QUICK).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_array_equal(weighted.decision_function(X), without.decision_function(X))


def test_balanced_class_weights_lift_the_rare_class():
    rng = np.random.default_rng(3)
    y = (np.arange(200) % 10 == 0).astype(int)
    X = rng.normal(size=(200, 5)).astype(np.float32) + 0.8 * y[:, None]
    plain = FeatureProbe(**QUICK).fit(X, y)
    balanced = FeatureProbe(**QUICK, class_weight="balanced").fit(X, y)
    by_hand = FeatureProbe(**QUICK, class_weight={0: 5 / 9, 1: 5}).fit(X, y)
    assert balanced_accuracy_score(y, balanced.predict(X)) > balanced_accuracy_score(y, plain.predict(X)) + 0.05
    assert accuracy_score(y, plain.predict(X)) > accuracy_score(y, balanced.predict(X))
    np.testing.assert_allclose(balanced.decision_function(X), by_hand.decision_function(X), rtol=1e-4, atol=1e-4)


def test_views_of_the_columns_are_the_candidates():
    X, y = problem()
    blocks = (Block("early", "mean", 0, 30), Block("late", "mean", 30, 40))
    columns = Columns(blocks, {"both": (0, 1), "linear": (1,)})
    probe = FeatureProbe(columns, fractions=(0.1, 1.0), strengths=(0.01,)).fit(X, y)
    assert probe.choice_["view"] == "both"
    (alone,) = probe.choice_["averaged"]
    assert alone == {"share": 1, **probe.search_table_[0]}
    assert alone.items() - {("share", 1)} <= probe.choice_.items()
    assert set(probe.linear_head_.indices.tolist()) <= set(range(30, 40))
    assert probe.cv_accuracy_ > probe.linear_cv_accuracy_
    with pytest.raises(DataFormatError, match="39 columns"):
        clone(probe).fit(X[:, :39], y)


def test_options_named_twice_count_once_and_one_name_needs_no_tuple():
    X, y = problem()
    once = FeatureProbe(views="all", heads="least squares", layer_weights="equal", **QUICK).fit(X, y)
    twice = {"views": ("all", "all"), "heads": ("least squares",) * 2, "layer_weights": ("equal", "equal")}
    strengths = QUICK["strengths"]
    again = FeatureProbe(**{**QUICK, **twice, "strengths": (*strengths, *strengths)}).fit(X, y)
    assert again.search_table_ == once.search_table_


def test_columns_need_a_view_for_the_linear_probe():
    X, y = problem()
    with pytest.raises(ParameterError, match="needs the view 'linear'"):
        FeatureProbe(Columns((Block("a", "mean", 0, 40),), {"all": (0,)})).fit(X, y)


@pytest.mark.parametrize("n", [2, 3])
def test_as_many_classes_as_images_end_in_a_probe(n):
    X, _ = problem()
    probe = FeatureProbe(min_class_size=1, cv=2).fit(X[:n], np.arange(n))
    assert np.isfinite(probe.predict_proba(X)).all()


def test_the_order_of_a_views_blocks_does_not_matter():
    X, y = problem()
    blocks = (Block("a", "mean", 0, 10), Block("b", "mean", 10, 30), Block("c", "mean", 30, 40))
    logits = [
        FeatureProbe(Columns(blocks, {"v": order, "linear": (2,)}), **QUICK).fit(X, y).decision_function(X)
        for order in ((0, 2), (2, 0))
    ]
    np.testing.assert_array_equal(logits[0], logits[1])


def test_rounding_is_no_variation():
    """One image in batches of two sizes."""
    X, y = problem()
    rounding = 1e-7 * np.random.default_rng(0).standard_normal(X.shape)
    columns = Columns((Block("a", "mean", 0, 20), Block("b", "mean", 20, 40)), {"v": (0, 1), "linear": (1,)})
    with pytest.raises(ConstantFeaturesError):
        FeatureProbe(columns, **QUICK).fit((np.linspace(-1, 1, 40) + rounding).astype(np.float32), y)


def test_the_linear_score_takes_labels_in_a_column_as_the_score_does():
    X, y = problem()
    probe = FeatureProbe(**QUICK).fit(X, y)
    assert probe.linear_score(X, y[:, None]) == probe.linear_score(X, y) == np.mean(probe.linear_predict(X) == y)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda X, y: (X, np.full(60, "cat")), OneClassError, "1 class"),
        (lambda X, y: (X, np.append(y[:-1], "yak")), ClassTooSmallError, "'yak'"),
        (lambda X, y: (X[[0, 1, 3, 4]], y[[0, 1, 3, 4]]), TooFewImagesError, "4 is fewer than 5 folds"),
        (lambda X, y: (np.where(X[3, 5] == X, np.nan, X), y), NotFiniteError, "row 3, column 5"),
        (lambda X, y: (np.ones_like(X), y), ConstantFeaturesError, "all 40 features"),
        (lambda X, y: (X, [None, *y[1:]]), MissingLabelError, "1 of 60 labels"),
        (lambda X, y: (X, [float("nan"), *y[1:]]), MissingLabelError, "1 of 60 labels"),
        (lambda X, y: (X, [pd.NA, *y[1:]]), MissingLabelError, "1 of 60 labels"),
        (
            lambda X, y: (X, np.array(["NaT", *["2026-01-01", "2026-01-02"] * 29, "2026-01-01"], "M8[D]")),
            MissingLabelError,
            "1 of 60 labels",
        ),
        (lambda X, y: (X, ["a", 1] * 30), DataFormatError, "several kinds"),
        (lambda X, y: (X, np.array([b"a", b"b"] * 30)), DataFormatError, "labels are bytes, such as b'a'"),
        (lambda X, y: (X, np.array([b"a", b"b"] * 30, object)), DataFormatError, "labels are bytes"),
    ],
)
def test_data_that_cannot_be_learned_from(spoil, error, message):
    with pytest.raises(error, match=message):
        FeatureProbe(**QUICK).fit(*spoil(*problem()))


def test_members_of_an_enum_of_strings_are_their_strings():
    class Kind(str, Enum):  # noqa: UP042 - a StrEnum prints as its text, this one with its class
        first, second, third = "cat", "caterpillar", "yak"

    X, y = problem()
    names = [list(Kind)[k] for k in np.unique(y, return_inverse=True)[1]]
    probe = FeatureProbe(**QUICK).fit(X, names)
    assert set(probe.classes_) <= {"cat", "caterpillar", "yak"}
    np.testing.assert_array_equal(probe.predict(X), FeatureProbe(**QUICK).fit(X, [k.value for k in names]).predict(X))


@pytest.mark.parametrize("kind", [int, bool])
def test_numbers_that_a_table_holds_as_objects_are_numbers(kind):
    X, y = problem()
    numbers = (np.unique(y, return_inverse=True)[1] % 2).astype(kind)
    probe = FeatureProbe(**QUICK).fit(X, numbers.astype(object))
    assert probe.classes_.dtype == numbers.dtype
    np.testing.assert_array_equal(probe.predict(X), FeatureProbe(**QUICK).fit(X, numbers).predict(X))
    for score in (probe.score, probe.linear_score):
        assert score(X, numbers.astype(object)) == score(X, torch.from_numpy(numbers)) == score(X, numbers)


@pytest.mark.parametrize(
    "parameters",
    [
        {"cv": 1},
        {"cv": 2.5},
        {"cv": True},
        {"fractions": ()},
        {"fractions": (0.5, 2)},
        {"strengths": (0, 1)},
        {"strengths": 1.0},
        {"strengths": (1e300,)},
        {"fractions": 0.1},
        {"most_features": 0},
        {"search_seconds": 0},
        {"search_seconds": float("inf")},
        {"heads": "distilled"},
        {"heads": ("distilled", "logistic")},
        {"class_weight": {"cat": -1}},
        {"class_weight": {"cat": "2"}},
        {"class_weight": "even"},
        {"random_state": -1},
    ],
)
def test_parameters_out_of_range(parameters):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        FeatureProbe(**parameters).fit(*problem())


def test_classes_of_one_sample_are_learned_where_they_are_allowed() -> None:
    rng = np.random.default_rng(0)
    centres = 6 * rng.normal(size=(5, 12))
    y = np.array([0] * 20 + [1] * 20 + [2] * 20 + [3, 4])
    X = (centres[y] + rng.normal(size=(len(y), 12))).astype(np.float32)
    with pytest.raises(ClassTooSmallError, match="only one sample of class"):
        FeatureProbe().fit(X, y)
    probe = FeatureProbe(min_class_size=1, **QUICK).fit(X, y)
    assert list(probe.classes_) == [0, 1, 2, 3, 4]
    assert np.isfinite(probe.predict_proba(X)).all()
    assert probe.score(X, y) > 0.9


def test_unlabelled_rows_are_candidates_and_their_mistakes_have_errors():
    X, y = problem()
    others = problem(n=90, seed=2)[0]
    probe = FeatureProbe(**QUICK).fit(X, y, unlabelled=others)
    assert {row["unlabelled"] for row in probe.search_table_} == {0, 90}
    fresh = problem(n=300, seed=1)
    assert probe.score(*fresh) > FeatureProbe(**QUICK).fit(X, y).score(*fresh) - 0.02
    with pytest.raises(ParameterError, match="discriminant"):
        FeatureProbe(heads="least squares", **QUICK).fit(X, y, unlabelled=others)
    with pytest.raises(ParameterError, match="labelled rows alone"):
        FeatureProbe(engine="reference").fit(X, y, unlabelled=others)
    with pytest.raises(ValueError, match="39 features"):
        FeatureProbe(**QUICK).fit(X, y, unlabelled=others[:, :39])
    spoilt = others.copy()
    spoilt[3, 4] = np.nan
    with pytest.raises(NotFiniteError):
        FeatureProbe(**QUICK).fit(X, y, unlabelled=spoilt)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_weights": None}, "layer_weights is None"),
        ({"heads": None}, "heads is None"),
        ({"fractions": ("a",)}, "fractions is"),
        ({"most_features": "a"}, "most_features is 'a'"),
        ({"search_seconds": "9"}, "search_seconds is '9'"),
        ({"search_seconds": 9, "engine": "reference"}, "with search_seconds"),
        ({"min_class_size": "a"}, "min_class_size is 'a'"),
        ({"random_state": np.random.default_rng(0)}, "random_state is"),
        ({"columns": 5}, "columns is a int"),
        ({"columns": Columns(())}, "needs the view 'linear'"),
        ({"columns": Columns((Block("a", "mean", 0, 3), Block("b", "mean", 2, 4)), {})}, "2:4"),
        ({"columns": Columns((Block("a", "mean", 0, 4),), {"linear": (0,), "all": (1,)})}, "view 'all'"),
        ({"columns": Columns((Block("a", "mean", 0, 4),), {"linear": (0,), "all": ()})}, "view 'all'"),
    ],
)
def test_parameters_of_another_kind_are_told_in_a_line(options, message):
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    with pytest.raises(ParameterError, match=message) as caught:
        FeatureProbe(**options).fit(X, y)
    assert "\n" not in str(caught.value)


def test_what_float32_cannot_tell_apart_is_no_feature():
    y = np.arange(20) % 2
    with pytest.raises(ConstantFeaturesError, match="large offset"):
        FeatureProbe().fit(2e6 + y[:, None], y)
    assert FeatureProbe().fit(y[:, None], y).score(y[:, None], y) == 1


def test_labels_of_several_kinds_and_of_no_weight_are_refused():
    X = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.raises(DataFormatError, match="int, str"):
        FeatureProbe().fit(X, np.array([1, "a", 1, "a"], dtype=object))
    with pytest.raises(OneClassError, match="no label is left"):
        FeatureProbe(class_weight={0: 0, 1: 0}).fit(X, [0, 1, 0, 1])


def test_no_unlabelled_rows_are_none():
    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    assert FeatureProbe().fit(X, y, unlabelled=X[:0]).choice_["unlabelled"] == 0


def test_many_rows_are_told_of(monkeypatch, caplog):
    X, y = problem()
    FeatureProbe(**QUICK).fit(X, y)
    assert not caplog.records
    monkeypatch.setattr(checks, "MANY", 40)
    FeatureProbe(**QUICK).fit(X, y)
    (told,) = caplog.messages
    assert "60 rows" in told and "some 20 of them" in told


def test_a_weight_of_a_class_that_is_not_there_is_named():
    X, y = problem()
    with pytest.raises(ParameterError, match=r"class_weight: .*; it names 'yak', which no label is"):
        FeatureProbe(class_weight={"cat": 2, "yak": 1}).fit(X, y)


def test_strings_of_numpys_newer_kind_are_strings():
    X, y = problem()
    newer = y.astype(np.dtypes.StringDType())
    np.testing.assert_array_equal(
        FeatureProbe(**QUICK).fit(X, newer).predict(X), FeatureProbe(**QUICK).fit(X, y).predict(X)
    )
