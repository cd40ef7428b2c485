import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from levertune.results.full_disk import FullDiskError, find_full_disk

# What safetensors 0.8 says where there is no room; tests/runs/test_full_disk.py has it say so.
NO_ROOM = "Error while serializing: I/O error: No space left on device (os error 28)"


def raised(make):
    """The error that comes of it, with all that hangs on it."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        make()
    return caught.value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x", "a.bin"), "the disk is full"),
        (OSError(errno.EDQUOT, "x", "a.bin"), "the disk is full (your quota is used up)"),
    ],
)
def test_a_system_error_tells_by_its_number_and_names_the_file(error, words):
    full = find_full_disk(error)
    assert isinstance(full, FullDiskError)
    assert (full.errno, full.strerror, full.filename) == (error.errno, words, "a.bin")
    assert find_full_disk(full) is full


def test_the_error_of_safetensors_tells_by_its_text():
    def save():
        raise SafetensorError(NO_ROOM)

    error = raised(save)
    assert not isinstance(error, OSError)
    full = find_full_disk(error)
    assert (full.strerror, full.filename) == ("the disk is full", None)


@pytest.mark.parametrize(
    "text",
    [
        os.strerror(errno.ENOSPC),
        os.strerror(errno.EDQUOT).upper(),
        f"I/O error (os error {errno.EDQUOT})",
        "There is not enough space on the disk. (os error 112)",
    ],
)
def test_the_systems_words_tell_in_any_error(text):
    assert find_full_disk(RuntimeError(f"writing a.bin: {text}")) is not None


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
@pytest.mark.parametrize("opened", [False, True], ids=["by path", "open file"])
def test_what_torch_raises_for_a_full_disk_is_told(opened):
    import torch

    def save():
        weights = {"a": torch.zeros(200_000)}
        if not opened:
            torch.save(weights, "/dev/full")
            return
        with open("/dev/full", "wb") as file:
            torch.save(weights, file)

    words = find_full_disk(raised(save)).strerror
    if opened:  # Python's file says why
        assert words == "the disk is full"
    else:
        assert words == "a file could not be written whole, most likely because the disk is full"


def test_what_hangs_on_an_error_counts_as_a_traceback_would_show_it():
    def chained(*, hidden=False, caused=False):
        try:
            raise OSError(errno.ENOSPC, "x", "a.bin")
        except OSError as error:
            if caused:
                raise ValueError("b") from error
            if hidden:
                raise ValueError("b") from None
            raise ValueError("b")  # noqa: B904

    assert find_full_disk(raised(chained)).filename == "a.bin"
    assert find_full_disk(raised(lambda: chained(caused=True))).filename == "a.bin"
    assert find_full_disk(raised(lambda: chained(hidden=True))) is None


def test_a_ring_of_errors_ends():
    one, other = ValueError("a"), ValueError("b")
    one.__context__, other.__context__ = other, one
    assert find_full_disk(one) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        OSError(errno.EIO, "Input/output error"),
        OSError("no number"),
        SafetensorError("Error while deserializing header: header too large"),
        SafetensorError("I/O error: File name too long (os error 280)"),
        RuntimeError("[enforce fail at inline_container.cc:323] . PytorchStreamReader failed"),
    ],
    ids=repr,
)
def test_other_errors_are_none(error):
    assert find_full_disk(error) is None


@pytest.mark.parametrize(
    "text",
    [
        "basic_ios::clear: iostream error",
        "ios_base::clear: unspecified iostream_category error",
        "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534",
        "[enforce fail at inline_container.cc:778] . PytorchStreamWriter failed writing file "
        "data/0: file write failed",
    ],
)
def test_a_file_torch_could_not_write_counts_as_most_likely_a_full_disk(text):
    assert "most likely" in find_full_disk(RuntimeError(text)).strerror
