"""The text of a file: its encoding checked, what is no text named for what it looks like."""

from __future__ import annotations

from pathlib import PurePath

from levertune.data.embedded.catalog import is_embedded
from levertune.data.reading_keys import TASK_KEYS, ReadingKeys
from levertune.data.url_names import is_url, url_path
from levertune.errors import DataError

_ENDING = "Give the file the ending of its format"
# First bytes -> what the file looks like, and what to do.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip or xlsx file", f"{_ENDING}, or unpack it."),
    (b"PAR1", "a parquet file", f"{_ENDING}."),
    (b"ARROW1", "an arrow file", f"{_ENDING}."),
    (b"\x1f\x8b", "a gzip file", "Unpack it."),
    (b"BZh", "a bzip2 file", "Unpack it."),
    (b"\xfd7zXZ\0", "an xz file", "Unpack it."),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Unpack it."),
    (b"%PDF", "a PDF file", "Copy the rows into a table or a text file."),
)
_TABLE_ENDINGS = {".xlsx": "an XLSX", ".parquet": "a Parquet", ".arrow": "an Arrow"}
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Tried in turn on bytes that are no UTF-8. The last one takes any bytes.
_OLD_ENCODINGS = ("cp1252", "latin-1")
# Plain text in UTF-16 has a zero in every second byte, save for what lies beyond Latin letters.
_UTF_16_ZEROS = 0.6


def why_no_text(path: str) -> str | None:
    """Why data with this name has no text encoding to be set; None if it may have one.

    Args:
        path: A file, a pattern, a URL of one, `hub:...`, or the name of shipped rows.
    """
    if is_embedded(path):
        return "the rows that come along are UTF-8"
    if path.startswith("hub:"):
        return "a Hub data set is no text file"
    place = url_path(path) if is_url(path) else PurePath(path)
    kind = _TABLE_ENDINGS.get(place.suffix.lower())
    return None if kind is None else f"{kind} file says itself how its text is written"


def decode_text(data: bytes, path: str, encoding: str | None, keys: ReadingKeys = TASK_KEYS) -> str:
    """Decode a text file, by default as UTF-8 with or without a byte order mark.

    Args:
        data: The file's bytes.
        path: The file's name for error messages.
        encoding: A codec's name, or None for UTF-8.
        keys: What the user calls the encoding.

    Returns:
        The text.

    Raises:
        DataError: If the bytes are binary or not in this encoding, or the encoding is unknown.
    """
    for signature, name, advice in _SIGNATURES:
        if data.startswith(signature):
            raise DataError(f"{path}: is no text file; it looks like {name}. {advice}")
    if encoding is None and data.startswith(_UTF_16_MARKS):
        raise DataError(
            f"{path}: is not UTF-8; it opens like UTF-16. {keys.suggest_encoding('utf-16')}"
        )
    if encoding is None and (position := data.find(b"\0")) >= 0:
        likely = _unmarked_utf_16(data)
        advice = keys.suggest_encoding(likely) if likely else "Name a text file."
        raise DataError(
            f"{path}, line {_line_at(data, position)}: holds a NUL byte, so this is "
            f"{'UTF-16' if likely else 'a binary file'}; found it at byte {position}. {advice}"
        )
    try:
        text = data.decode(encoding or "utf-8-sig")
    except LookupError:
        raise DataError(
            f"{path}: no text encoding has the name {encoding!r}. "
            f"{keys.suggest_encoding(_likely_encoding(data, encoding))}"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {_line_at(data, error.start)}: is not {encoding or 'UTF-8'} text; found "
            f"byte 0x{data[error.start]:02x} at byte {error.start}. "
            f"{keys.suggest_encoding(_likely_encoding(data, encoding))}"
        ) from None
    except UnicodeError as error:  # codecs that are no character map raise the base class
        raise DataError(
            f"{path}: cannot be read as {encoding}; found {str(error)!r}. "
            f"{keys.suggest_encoding(_likely_encoding(data, encoding))}"
        ) from None
    if encoding is not None and (position := text.find("\0")) >= 0:
        raise DataError(
            f"{path}, line {text.count(chr(10), 0, position) + 1}: holds a NUL character when "
            f"read as {encoding}. {keys.suggest_encoding(_unmarked_utf_16(data))}"
        )
    return text.removeprefix("\ufeff")


def _likely_encoding(data: bytes, tried: str | None) -> str | None:
    """An encoding that reads these bytes; None if nothing but the one tried does."""
    if tried is not None and _decodes(data, "utf-8-sig"):
        return "utf-8"
    return next((name for name in _OLD_ENCODINGS if name != tried and _decodes(data, name)), None)


def _unmarked_utf_16(data: bytes) -> str | None:
    """UTF-16 without its mark, in either byte order, or None if it is none."""
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        half = data[first::2]
        if half and half.count(0) > _UTF_16_ZEROS * len(half) and _decodes(data, name):
            return None if "\0" in data.decode(name) else name
    return None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
