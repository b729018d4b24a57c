"""Every form of data is read with its labels, and what is wrong with it is said in a line."""

from __future__ import annotations

import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from head2toe.data import Images, as_images, read_data
from head2toe.errors import DataFormatError, EmptyDataError, Head2ToeError, MissingLabelError, UnreadableImageError


def put(path, value):
    """An image whose colour says which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, 0, 0)).save(path)


def value(images, i):
    return images[i].getpixel((0, 0))[0]


@pytest.fixture
def classes(tmp_path):
    """Two classes, a nested folder, and what must be ignored."""
    folder = tmp_path / "pets"
    put(folder / "dog" / "b.png", 1)
    put(folder / "cat" / "a.png", 2)
    put(folder / "cat" / "more" / "deep" / "c.PNG", 3)
    put(folder / ".hidden" / "x.png", 9)
    put(folder / "dog" / ".x.png", 9)
    (folder / "dog" / "notes.txt").write_text("none")
    return folder


def zipped(folder, inside=""):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, inside + file.relative_to(folder).as_posix())
    return path


@pytest.fixture(params=["folder", "zip", "zip of the folder"])
def form(request):
    """A way to hand over a folder."""
    if request.param == "folder":
        return lambda folder: folder
    return lambda folder: zipped(folder, "" if request.param == "zip" else f"{folder.name}/")


def test_a_folder_a_class(classes, form):
    data = read_data(form(classes))
    assert data.labels == ["cat", "cat", "dog"]
    assert [value(data, i) for i in range(3)] == [2, 3, 1]
    assert [name.replace("\\", "/").split("/")[-2:] for name in data.names] == [
        ["cat", "a.png"],
        ["deep", "c.PNG"],
        ["dog", "b.png"],
    ]
    assert isinstance(data, Images) and as_images(data) is data
    assert len({data.identity(i) for i in range(3)}) == 3


def test_splits_may_be_capitalised(tmp_path):
    for i, name in enumerate(("Training/left/a.png", "Training/right/b.png", "Testing/left/c.png")):
        put(tmp_path / "d" / name, i)
    assert read_data(tmp_path / "d", split="Training").labels == ["left", "right"]
    with pytest.raises(DataFormatError, match="has splits Testing, Training: choose one"):
        read_data(tmp_path / "d")


def test_splits_beside_another_folder_are_no_classes(tmp_path):
    for i, name in enumerate(("train/left/a.png", "test/left/b.png", "more/left/c.png")):
        put(tmp_path / "d" / name, i)
    with pytest.raises(DataFormatError, match="more, test, train: choose one"):
        read_data(tmp_path / "d")
    assert read_data(tmp_path / "d", split="train").labels == ["left"]
    put(tmp_path / "d" / "loose.png", 3)  # no classes then, and nothing to choose
    assert len(read_data(tmp_path / "d")) == 4 and read_data(tmp_path / "d").labels is None


def test_linked_folders_are_read_and_a_loop_ends(classes):
    before = read_data(classes).labels or []
    (classes / "wolf").symlink_to(classes / "dog", target_is_directory=True)
    (classes / "cat" / "again").symlink_to(classes, target_is_directory=True)
    assert read_data(classes).labels == [*before, *["wolf"] * before.count("dog")]


def test_a_folder_a_split(tmp_path, form):
    folder = tmp_path / "pets"
    for i, name in enumerate(["train/dog/0.png", "train/cat/1.png", "test/cat/2.png"]):
        put(folder / name, i)
    data = form(folder)
    train, test = read_data(data, split="train"), read_data(data, split="test")
    assert train.labels == ["cat", "dog"] and [value(train, i) for i in range(2)] == [1, 0]
    assert test.labels == ["cat"] and value(test, 0) == 2
    with pytest.raises(DataFormatError, match="has no split val: it has test, train"):
        read_data(data, split="val")
    with pytest.raises(DataFormatError, match="has splits test, train: choose one"):
        read_data(data)


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_images_without_labels(tmp_path, pack):
    folder = tmp_path / "unknown"
    put(folder / "b.png", 1)
    put(folder / "a.png", 2)
    data = read_data(pack(folder))
    assert data.labels is None and [value(data, i) for i in range(2)] == [2, 1]
    with pytest.raises(MissingLabelError, match=r"unknown.* has no labels: give each class a folder"):
        data.with_labels()


def test_images_beside_the_classes_belong_to_none(classes):
    put(classes / "overview.png", 5)
    data = read_data(classes)
    assert data.labels is None and len(data) == 4


def test_one_image(tmp_path):
    put(tmp_path / "a.png", 7)
    data = read_data(tmp_path / "a.png")
    assert data.labels is None and value(data, 0) == 7


TABLES = {
    "path and label": ("path,label\n{0},0\n{1},1\n", ["0", "1"]),
    "file and class_name": ("file,class_name\n{0},cat\n{1},dog\n", ["cat", "dog"]),
    "names of numbers": ("label,class_name,file\n0,cat,{0}\n1,dog,{1}\n", ["cat", "dog"]),
    "names that hide a difference": ("label,class_name,file\n0,pet,{0}\n1,pet,{1}\n", ["0", "1"]),
    "numbers that hide a difference": ("label,class_name,file\n0,cat,{0}\n0,dog,{1}\n", ["0", "0"]),
    "names with gaps": ("label,class_name,file\n0,cat,{0}\n1,,{1}\n", ["0", "1"]),
    "no labels": ("path\n{0}\n{1}\n", None),
    "byte order mark": ("\ufeffpath,label\n{0},0\n{1},1\n", ["0", "1"]),
    "semicolons": ("path;label\r\n{0};0\r\n{1};1\r\n", ["0", "1"]),
    "blank lines and spaces": ("path, label\n\n{0}, 0\n\n{1}, 1\n,\n", ["0", "1"]),
    "quoted": ('"path","label"\n"{0}","big, brown"\n"{1}","1"\n', ["big, brown", "1"]),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables(tmp_path, table, form):
    folder = tmp_path / "data"
    put(folder / "pictures" / "one, two.png", 1)
    put(folder / "pictures" / "b.png", 2)
    text, labels = TABLES[table]
    first = "pictures/one, two.png" if '"' in text else "pictures/b.png"
    (folder / "images.csv").write_text(text.format(first, "pictures/b.png"), encoding="utf-8", newline="")
    for data in (read_data(folder / "images.csv"), read_data(form(folder))):
        assert data.labels == labels
        assert data.names == [first, "pictures/b.png"]
        assert [value(data, i) for i in range(2)] == [1 if '"' in text else 2, 2]


def test_the_column_of_files_may_be_capitalised(tmp_path):
    put(tmp_path / "a.png", 1)
    (tmp_path / "list.csv").write_text("Path,label\na.png,up\n")
    assert read_data(tmp_path / "list.csv").labels == ["up"]


def test_a_table_with_splits_and_columns_of_its_own(tmp_path):
    put(tmp_path / "a.png", 1)
    put(tmp_path / "b.png", 2)
    path = tmp_path / "t.csv"
    path.write_text(f"path,colour,split\na.png,red,train\n{tmp_path / 'b.png'},,test\n")
    train = read_data(path, split="train", label="colour")
    assert train.labels == ["red"] and value(train, 0) == 1
    with pytest.raises(MissingLabelError, match=r"t\.csv, line 3: no label"):
        read_data(path, split="test", label="colour")
    test = read_data(path, split="test")
    assert test.labels is None and value(test, 0) == 2
    with pytest.raises(DataFormatError, match="has splits test, train: choose one"):
        read_data(path)
    with pytest.raises(DataFormatError, match="has no split val: it has test, train"):
        read_data(path, split="val")
    with pytest.raises(MissingLabelError, match="has no column size: its columns are path, colour, split"):
        read_data(path, split="train", label="size")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("path,label\na.png,0\nz.png,1\n", DataFormatError, r"line 3: there is no z\.png; paths are relative"),
        ("path,label\n,0\n", DataFormatError, "line 2: no path"),
        ("path,label\na.png,0\na.png,0,1\n", DataFormatError, "line 3: more cells than columns"),
        ("picture,label\na.png,0\n", DataFormatError, "columns picture, label: one must be called path or file"),
        ("path,label\n", EmptyDataError, "has no rows"),
        ("", EmptyDataError, "has no rows"),
        ("path,label\na.png,\udcff\n", DataFormatError, "UTF-8"),
    ],
)
def test_bad_tables(tmp_path, text, kind, message):
    put(tmp_path / "a.png", 1)
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(kind, match=message) as caught:
        read_data(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_of_which_some_rows_have_no_label_yet(tmp_path):
    put(tmp_path / "a.png", 1)
    path = tmp_path / "t.csv"
    path.write_text("path,label\na.png,0\na.png,\na.png,\n")
    data = read_data(path)
    assert len(data) == 3 and data.labels is None
    with pytest.raises(MissingLabelError, match=r"t\.csv, line 3 \(and 1 more\): no label; fill it in"):
        data.with_labels()


def test_arrays(tmp_path):
    images = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
    np.savez(tmp_path / "a.npz", images=images, labels=[3, 1, 3, 1])
    data = read_data(tmp_path / "a.npz")
    assert data.labels == ["3", "1", "3", "1"] and value(data, 1) == 6
    np.savez_compressed(tmp_path / "b.npz", images=images, labels=np.array(["x", "y", "x", "y"]))
    assert read_data(tmp_path / "b.npz").labels == ["x", "y", "x", "y"]
    np.savez(tmp_path / "c.npz", images=images)
    assert read_data(tmp_path / "c.npz").labels is None


@pytest.mark.parametrize("labels", [[0.0, np.nan, 1.0], ["x", "", "y"]])
def test_arrays_of_which_some_have_no_label(tmp_path, labels):
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 5), np.uint8), labels=labels)
    data = read_data(tmp_path / "a.npz")
    assert len(data) == 3 and data.labels is None
    with pytest.raises(MissingLabelError, match="1 labels are empty or NaN, the first at 1"):
        data.with_labels()
    with pytest.raises(MissingLabelError, match="has no label x: it has labels"):
        read_data(tmp_path / "a.npz", label="x")


def test_an_image_beside_the_folders_of_the_classes_is_named(tmp_path):
    for i, name in enumerate(("cat/a.png", "dog/b.png", "cover.png")):
        put(tmp_path / "d" / name, i)
    with pytest.raises(MissingLabelError, match=r"cover\.png lies beside the folders of the classes"):
        read_data(tmp_path / "d").with_labels()


def test_a_name_too_long_for_a_file_is_one_that_is_not_there(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\n" + 3000 * "x" + ",cat\n")
    with pytest.raises(DataFormatError, match=r"line 2: there is no x+\.\.\.;"):
        read_data(tmp_path / "t.csv")
    with pytest.raises(DataFormatError, match="there is no such file or folder"):
        read_data(3000 * "x")


def test_arrays_with_splits_and_several_labels(tmp_path):
    path = tmp_path / "a.npz"
    train, test = np.full((2, 3, 3, 3), 1, np.uint8), np.full((1, 3, 3, 3), 2, np.uint8)
    arrays = {"train_images": train, "test_images": test, "test_label_size": [7]}
    np.savez(path, **arrays, train_label_size=[7, 8], train_label_hue=[b"red", b"blue"])
    assert read_data(path, split="train", label="size").labels == ["7", "8"]
    assert read_data(path, split="train", label="hue").labels == ["red", "blue"]
    only = read_data(path, split="test")
    assert only.labels == ["7"] and value(only, 0) == 2
    undecided = read_data(path, split="train")
    assert undecided.labels is None and value(undecided, 0) == 1  # enough to predict
    with pytest.raises(MissingLabelError, match="has labels hue, size: choose one"):
        undecided.with_labels()
    with pytest.raises(MissingLabelError, match="has no label shape: it has hue, size"):
        read_data(path, split="train", label="shape")
    with pytest.raises(DataFormatError, match="has splits test, train"):
        read_data(path)
    with pytest.raises(DataFormatError, match="no split val: it has test, train"):
        read_data(path, split="val")


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({"images": np.zeros((2, 3, 5), np.uint8), "labels": np.zeros(3)}, DataFormatError, "2 images but 3 labels"),
        ({"images": np.zeros((2, 3, 3), np.float32)}, DataFormatError, "float32"),
        ({"pictures": np.zeros((2, 3, 5), np.uint8)}, DataFormatError, "has pictures: the array of images is called"),
        ({"images": np.zeros((0, 3, 5), np.uint8)}, EmptyDataError, "no image"),
        ({"images": np.array([None, 1])}, DataFormatError, "allow_pickle"),
        ({"images": np.zeros((2, 3, 5), np.uint8), "labels": np.zeros((2, 2))}, DataFormatError, "labels have shape"),
    ],
)
def test_bad_arrays(tmp_path, arrays, kind, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(kind, match=message):
        read_data(tmp_path / "a.npz")


def test_what_is_no_data(tmp_path):
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.zip").write_text("x")
    (tmp_path / "bad.npz").write_text("x")
    for name, kind, message in [
        ("empty", EmptyDataError, "empty: no image found"),
        ("nowhere", DataFormatError, "nowhere: there is no such file or folder"),
        ("notes.txt", DataFormatError, r"data are a folder, \.csv, \.zip or \.npz"),
        ("bad.zip", DataFormatError, "no zip file"),
        ("bad.npz", DataFormatError, r"no \.npz"),
    ]:
        with pytest.raises(kind, match=message):
            read_data(tmp_path / name)


def test_options_that_do_not_fit_a_folder(classes):
    with pytest.raises(DataFormatError, match="labels from the folders"):
        read_data(classes, label="colour")
    with pytest.raises(DataFormatError, match="no split train: it has no splits"):
        read_data(classes, split="train")


def test_a_zip_with_hidden_members_of_macos(classes):
    path = zipped(classes, "pets/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/pets/cat/._a.png", b"not an image")
    assert read_data(path).labels == ["cat", "cat", "dog"]


def test_a_zip_with_a_damaged_member(classes):
    path = zipped(classes)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("cat/a.png").header_offset + 60
    data[start] ^= 255
    path.write_bytes(data)
    images = read_data(path)
    with pytest.raises(UnreadableImageError, match=r"cat/a\.png"):
        images[0]
    assert value(images, 2) == 1


def test_a_zip_is_recognised_by_its_content(classes, tmp_path):
    first = read_data(zipped(classes))
    moved = shutil.copy(zipped(classes), tmp_path / "other.zip")
    second = read_data(moved)
    assert [first.identity(i) for i in range(3)] == [second.identity(i) for i in range(3)]
    put(classes / "cat" / "a.png", 77)
    changed = read_data(zipped(classes))
    assert [first.identity(i) == changed.identity(i) for i in range(3)] == [False, True, True]


def test_a_zip_read_by_many_threads(tmp_path):
    for i in range(30):
        put(tmp_path / "many" / "c" / f"{i:02d}.png", i)
    images = read_data(zipped(tmp_path / "many"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: value(images, i % 30), range(300))) == [i % 30 for i in range(300)]


@pytest.mark.parametrize(
    ("name", "n_train", "n_test", "c"),
    [("caltech101", 1000, 1000, 102), ("nuclei_count", 1000, 1446, 8), ("mnist", 1000, 2000, 10)],
)
def test_shared_zips(shared, name, n_train, n_test, c):
    path = shared / "data" / f"{name}.zip"
    train, test = read_data(path, split="train"), read_data(path, split="test")
    assert (len(train), len(test)) == (n_train, n_test)
    assert set(test.labels or []) <= set(train.labels or []) and len(set(train.labels or [])) == c
    assert train[999].mode == test[0].mode == "RGB"


def test_shared_arrays(shared):
    path = shared / "data" / "dsprites.npz"
    train = read_data(path, split="train", label="orientation")
    assert len(train) == 1000 and set(train.labels or []) == {str(i) for i in range(16)}
    with pytest.raises(Head2ToeError, match="location, orientation"):
        read_data(path, split="train").with_labels()


def test_a_class_folder_without_a_readable_file_is_told(tmp_path, caplog):
    for name in ("cats/1.png", "dogs/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "3.heic").write_bytes(b"x")
    (tmp_path / "cats" / "notes.txt").write_text("x")
    assert read_data(tmp_path).labels == ["cats", "dogs"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: no file in the folder birds can be read as image (birds/3.heic cannot): it is no class"
    ]
    with pytest.raises(EmptyDataError, match=r"no image found; files that end in \.heic are not read as such"):
        read_data(tmp_path / "birds")
