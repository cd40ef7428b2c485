"""Rows of binary tables: XLSX, Parquet and Arrow, each with its row number."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from levertune.data.text_files import NumberedRow, check_header, decode_json_cells
from levertune.errors import DataError


def parse_xlsx(data: bytes, path: str) -> Iterator[NumberedRow]:
    """The rows of a workbook's first sheet; empty cells are None, empty rows passed over.

    Unnamed columns at the right edge are passed over where all their cells are blank.

    Args:
        data: The file's bytes.
        path: The file's name for error messages.

    Yields:
        Row number as the spreadsheet shows it, and row.

    Raises:
        DataError: If this is no workbook, a column name repeats, or a cell has no column name.
    """
    import zipfile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        # Programs may write a size that the sheet does not have; rows beyond it would be left out.
        sheet.reset_dimensions()
        header: list[str] | None = None
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if all(cell is None for cell in cells):
                continue
            if header is None:
                while cells and cells[-1] is None:
                    cells = cells[:-1]
                header = check_header(["" if c is None else str(c) for c in cells], path)
                continue
            _refuse_unnamed(cells, len(header), f"{path}, row {number}")
            row = dict(zip_longest(header, cells[: len(header)]))  # a row ends at its last cell
            yield number, decode_json_cells(row, path, number)
    except DataError:
        raise
    # Broken workbooks fail in openpyxl, zipfile or the XML parser, each with its own classes.
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        LookupError,
        OSError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{path}: is no readable xlsx workbook; found {_first_line(error)!r}. "
            "Save it again as .xlsx or as .csv."
        ) from error


def _refuse_unnamed(cells: Sequence[Any], num_named: int, where: str) -> None:
    for number, cell in enumerate(cells[num_named:], start=num_named + 1):
        if cell is not None and str(cell).strip():
            raise DataError(
                f"{where}: column {number} has no name in the header; found {str(cell)[:40]!r} in "
                "it. Name the column or empty it."
            )


def parse_parquet(data: bytes, path: str) -> Iterator[NumberedRow]:
    """The rows of a Parquet file.

    Args:
        data: The file's bytes.
        path: The file's name for error messages.

    Yields:
        Row number, counted from 1, and row.

    Raises:
        DataError: If this is no Parquet file.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        batches = parquet.ParquetFile(pyarrow.BufferReader(data)).iter_batches(batch_size=2048)
        yield from _number_batches(batches)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: is no readable parquet file; found {_first_line(error)!r}. Write it again."
        ) from error


def parse_arrow(data: bytes, path: str) -> Iterator[NumberedRow]:
    """The rows of an Arrow IPC file or stream (the datasets library saves streams).

    Args:
        data: The file's bytes.
        path: The file's name for error messages.

    Yields:
        Row number, counted from 1, and row.

    Raises:
        DataError: If this is neither.
    """
    import pyarrow

    source = pyarrow.BufferReader(data)
    try:
        if data.startswith(b"ARROW1"):
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            batches = iter(pyarrow.ipc.open_stream(source))
        yield from _number_batches(batches)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: is no readable arrow file or stream; found {_first_line(error)!r}. "
            "Write it again."
        ) from error


def _number_batches(batches: Iterator[Any]) -> Iterator[NumberedRow]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
