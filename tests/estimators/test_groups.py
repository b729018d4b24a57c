"""Groups: near-copies of one object are never on both sides of a fold, so that the estimate is that of new objects."""

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_network

from head2toe import Head2ToeClassifier
from head2toe.data import read_data
from head2toe.errors import ClassTooSmallError, DataFormatError, ParameterError, TooFewImagesError
from head2toe.estimators import FeatureProbe

QUICK = {"fractions": (0.5, 1.0), "strengths": (0.01,)}


def copies(objects=60, each=5, d=40, seed=0):
    """Near-copies of objects whose class says nothing about them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(objects), each)
    X = rng.normal(size=(objects, d))[groups] + 0.05 * rng.normal(size=(objects * each, d))
    return X.astype(np.float32), (np.arange(objects) % 2)[groups], groups


@pytest.mark.parametrize("engine", ["exact", "reference"])
def test_near_copies_no_longer_raise_the_estimate(engine):
    X, y, groups = copies()
    deceived = FeatureProbe(**QUICK, engine=engine).fit(X, y)
    honest = FeatureProbe(**QUICK, engine=engine).fit(X, y, groups=groups)
    assert deceived.estimated_accuracy_ > 0.8  # of noise
    assert honest.estimated_accuracy_ < 0.7  # three standard errors of 60 objects above a half


def test_groups_of_one_row_each_leave_as_good_an_estimate():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = (rng.normal(size=(120, 20)) + 2 * np.eye(20)[y]).astype(np.float32)
    alone = FeatureProbe(**QUICK).fit(X, y)
    grouped = FeatureProbe(**QUICK).fit(X, y, groups=[f"object {i}" for i in range(120)])
    assert grouped.estimated_accuracy_ == pytest.approx(alone.estimated_accuracy_, abs=0.1)


def test_rows_of_weight_zero_leave_with_their_groups():
    X, y, groups = copies()
    counts = groups < 40
    weighted = FeatureProbe(**QUICK).fit(X, y, sample_weight=counts.astype(float), groups=groups)
    alone = FeatureProbe(**QUICK).fit(X[counts], y[counts], groups=groups[counts])
    assert weighted.search_table_ == alone.search_table_


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([1, 2, 3], ParameterError, r"groups have shape \(3,\): 300 rows"),
        ([None] * 300, ParameterError, "none missing"),
        (np.zeros((300, 2)), ParameterError, "one name or number each"),
        (np.arange(300) % 4, TooFewImagesError, r"fewer groups \(4\) than folds \(5\)"),
    ],
)
def test_other_groups_are_refused(groups, error, message):
    X, y, _ = copies()
    with pytest.raises(error, match=message):
        FeatureProbe(**QUICK).fit(X, y, groups=groups)


def test_a_class_in_one_group_is_refused_but_where_small_classes_are_allowed():
    X, y, groups = copies()
    y = np.where(groups == 7, 2, y)
    with pytest.raises(ClassTooSmallError, match="all of class 2 is in one group"):
        FeatureProbe(**QUICK).fit(X, y, groups=groups)
    assert FeatureProbe(**QUICK, min_class_size=1).fit(X, y, groups=groups).classes_.tolist() == [0, 1, 2]


def test_labels_may_be_objects_and_groups_a_column_of_a_table():
    X, y, groups = copies()
    names = np.array(["a", "b", "c"], object)[np.where(groups == 7, 2, y)]
    with pytest.raises(ClassTooSmallError, match="all of class 'c' is in one group"):
        FeatureProbe(**QUICK).fit(X, names, groups=groups)
    column, flat = (FeatureProbe(**QUICK).fit(X, y, groups=one) for one in (groups[:, None], groups))
    assert column.search_table_ == flat.search_table_


def test_many_rows_in_few_groups_are_no_small_class():
    X, y, groups = copies()
    assert FeatureProbe(**QUICK, min_class_size=50).fit(X, y, groups=groups % 6).classes_.tolist() == [0, 1]


def copied_pictures(folder):
    """Six noisy copies of each of 12 random pictures, and a CSV that tells them; classes are drawn."""
    rng = np.random.default_rng(0)
    lines = ["path,label,object"]
    for i in range(12):
        picture = rng.integers(0, 256, (16, 16, 3))
        for j in range(6):
            pixels = np.clip(picture + rng.integers(-8, 9, picture.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}-{j}.png")
            lines.append(f"{i}-{j}.png,{'ab'[i % 2]},thing {i}")
    table = folder / "list.csv"
    table.write_text("\n".join(lines))
    return table


def test_a_column_of_groups_reaches_the_folds(tmp_path):
    table = copied_pictures(tmp_path)
    images = read_data(table, groups="object")
    assert images.groups == [f"thing {i}" for i in range(12) for _ in range(6)]
    classifier = Head2ToeClassifier(tiny_network(), target_sizes=(16,), dtype="float32", **QUICK)
    classifier.fit(images)
    by_hand = Head2ToeClassifier(tiny_network(), target_sizes=(16,), dtype="float32", **QUICK)
    by_hand.fit(read_data(table), groups=images.groups)
    assert classifier.search_table_ == by_hand.search_table_
    assert classifier.estimated_accuracy_ < by_hand.fit(read_data(table)).estimated_accuracy_ - 0.1


def test_unreadable_images_leave_with_their_groups(tmp_path):
    table = copied_pictures(tmp_path)
    (tmp_path / "3-2.png").write_bytes(b"no picture")
    classifier = Head2ToeClassifier(tiny_network(), target_sizes=(16,), dtype="float32", **QUICK)
    classifier.fit(read_data(table, groups="object"))
    assert len(classifier.skipped_) == 1


def test_groups_are_a_column(tmp_path):
    table = copied_pictures(tmp_path)
    with pytest.raises(DataFormatError, match="no column patient of groups: its columns are path, label, object"):
        read_data(table, groups="patient")
    table.unlink()
    with pytest.raises(DataFormatError, match=r"groups .* are a column of a CSV"):
        read_data(tmp_path, groups="object")
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), labels=np.arange(4))
    with pytest.raises(DataFormatError, match=r"groups .* are a column of a CSV"):
        read_data(tmp_path / "a.npz", groups="object")


def test_groups_may_be_an_array_of_an_npz(tmp_path):
    images, labels, patients = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4), np.array([7, 7, 8, 9])
    whole = {"images": images, "labels": labels, "patient": patients, "short": patients[:2]}
    np.savez(tmp_path / "a.npz", **whole, spoilt=[1.0, np.nan, 2, 3], train_images=images[:2], train_patient=[1, 1])
    assert read_data(tmp_path / "a.npz", groups="patient").groups == ["7", "7", "8", "9"]
    assert read_data(tmp_path / "a.npz", split="train", groups="patient").groups == ["1", "1"]
    assert read_data(tmp_path / "a.npz").groups is None
    for name, message in (("short", "4 images but 2 short"), ("spoilt", "1 groups are empty or NaN, the first at 1")):
        with pytest.raises(DataFormatError, match=message):
            read_data(tmp_path / "a.npz", groups=name)


def test_a_row_without_a_group_is_named(tmp_path):
    table = copied_pictures(tmp_path)
    table.write_text(table.read_text().replace("3-2.png,b,thing 3", "3-2.png,b,"))
    with pytest.raises(DataFormatError, match=r"line 22: no object"):
        read_data(table, groups="object")
