"""Images, texts and recordings that are given as data of another kind."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe.data import as_inputs
from head2toe.errors import DataFormatError


@pytest.mark.parametrize(
    ("obj", "kind", "message"),
    [
        ([3, "x"], "texts", "text 0 is a int"),
        (["x", None], "texts", "text 1 is a NoneType"),
        ("a sentence", "texts", "is one text"),
        (["a/cat.jpg", "b/dog.PNG"], "texts", "sentences, not paths"),
        (np.zeros((2, 8, 8, 3), np.uint8), "texts", "texts are a ndarray"),
        (["a cat", "a dog"], "recordings", r"only \.wav is read"),
        ([np.zeros((8, 8, 3), np.uint8)], "recordings", "ndarray of shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), "recordings", "array of shape"),
        ("a.wav", "recordings", "is one path"),
        ([(np.zeros(9), 0)], "recordings", "sampling rate of 0"),
        ([(np.zeros(9), "fast")], "recordings", "sampling rate of 'fast'"),
        (["a.wav", "b.wav"], "images", "a recording: those go with a backbone of hf-audio"),
        (as_inputs(["a cat"], "texts"), "images", "the data are texts and the backbone takes images"),
        (as_inputs([np.zeros(9)], "recordings"), "texts", "are recordings and the backbone takes texts"),
    ],
)
def test_data_of_another_kind_are_refused(obj, kind, message):
    with pytest.raises(DataFormatError, match=message):
        as_inputs(obj, kind)
