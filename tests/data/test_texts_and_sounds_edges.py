"""Texts that look like files, and samples that look like rates."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from head2toe.data.recordings import as_recordings
from head2toe.data.texts import as_texts
from head2toe.errors import DataFormatError, UnreadableImageError


def test_one_text_that_ends_like_a_file_is_a_text_among_others():
    assert len(as_texts(["look at a.png", "a cat"])) == 2


@pytest.mark.parametrize("text", ["word " * 100 + "a.png", "first line\nsee a.png"])
def test_long_texts_and_those_of_several_lines_are_no_files(text):
    assert as_texts([text])[0] == text
    with pytest.raises(DataFormatError, match="a file"):
        as_texts(["a.png"])


def test_a_text_of_half_a_character_has_an_identity():
    """As JSON may hold it."""
    texts = as_texts(["\ud800", "\udfff"])
    assert texts.identity(0) != texts.identity(1)


def test_an_array_of_pictures_is_no_array_of_recordings():
    with pytest.raises(DataFormatError, match=r"an array of shape \(2, 3, 4\)"):
        as_recordings(np.zeros((2, 3, 4), np.float32))


@pytest.mark.parametrize("rate", [16000.5, 0, -1, "16000", float("nan")])
def test_a_rate_is_a_whole_number_of_samples_a_second(rate):
    with pytest.raises(DataFormatError, match="sampling rate"):
        as_recordings([(np.zeros(3), rate)])


def test_the_lowest_rate():
    assert as_recordings([(np.zeros(3), 1)])[0].rate == 1


def test_two_samples_are_no_pair():
    assert as_recordings([[0.5, 0.25]])[0].samples.tolist() == [0.5, 0.25]
    assert as_recordings([[np.array([0.5, 0.25]), 8000]])[0].rate == 8000


def test_unsigned_samples_have_their_zero_in_the_middle():
    found = as_recordings([np.array([0, 128, 192], np.uint8)])[0]
    assert found.samples.tolist() == [-1.0, 0.0, 0.5]


def test_the_same_samples_at_another_rate_are_another_recording():
    one = as_recordings([(np.ones(3), 8000), (np.ones(3), 16000)])
    assert one.identity(0) != one.identity(1)


@pytest.mark.parametrize(("samples", "what"), [([0.0, np.nan], "NaN"), ([np.inf], "infinity"), ([], "no sample")])
def test_samples_that_are_none(samples, what):
    with pytest.raises(UnreadableImageError, match=f"recording 0: .*{what}"):
        as_recordings([np.array(samples, np.float32)])[0]


def test_remarks_in_a_recording_are_passed_over_in_silence(tmp_path):
    held = io.BytesIO()
    wavfile.write(held, 8000, np.array([0, 16384], np.int16))
    data = held.getvalue() + b"note" + (4).to_bytes(4, "little") + b"mine"
    (tmp_path / "a.wav").write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    assert as_recordings([tmp_path / "a.wav"])[0].samples.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("rate", [0, 2**31 - 1])
def test_a_header_with_an_impossible_rate_is_damaged(tmp_path, rate):
    """Of 0 the network's own rate was taken; the filter for the other takes more memory than there is."""
    wavfile.write(tmp_path / "a.wav", rate, np.ones(9, np.int16))
    with pytest.raises(UnreadableImageError, match=rf"a\.wav: a damaged header, with a rate of {rate} Hz"):
        as_recordings([tmp_path / "a.wav"])[0]
    with pytest.raises(DataFormatError, match="sampling rate"):
        as_recordings([(np.ones(9), rate)])


@pytest.mark.parametrize("samples", [[0, 16384, -16384], np.array([0, 16384], np.uint64), torch.tensor([0, 16384])])
def test_whole_numbers_of_unknown_range_are_refused(samples):
    """As lists of whole numbers become 64 bits, and by their range all would be silence."""
    with pytest.raises(DataFormatError, match=r"recording 0 is of u?int64, .*: pass floats in \[-1, 1\], or int16"):
        as_recordings([(samples, 8000)])
    assert as_recordings([np.array([0, 2**30], np.int32)])[0].samples.tolist() == [0.0, 0.5]


def test_a_recording_knows_its_name(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.ones(9, np.int16))
    found = as_recordings([np.ones(3), tmp_path / "a.wav"])
    assert [found[0].name, found[1].name] == ["recording 0", str(tmp_path / "a.wav")]


@pytest.mark.parametrize("cut", [1, 2, 4000, 4001])
def test_a_recording_that_was_cut_off_is_damaged(tmp_path, cut):
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, np.arange(3200, dtype=np.int16))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UnreadableImageError, match=r"a\.wav"):
        as_recordings([path])[0]


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_recording_from_a_pipe_does_not_know_its_size(tmp_path, size):
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, np.arange(3200, dtype=np.int16))
    held = bytearray(path.read_bytes())
    at = held.index(b"data")
    held[at + 4 : at + 8] = size.to_bytes(4, "little")
    path.write_bytes(held)
    assert len(as_recordings([path])[0].samples) == 3200
