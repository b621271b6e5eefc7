"""The outcomes of a sweep as a table: CSV, JSON lines or Parquet, by the suffix of the file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from ..errors import UsageError
from ..files.atomic import atomic_write
from ..swept import Outcome

_BATCH = 10_000  # rows of a part of a Parquet file
# The columns, and the types of those that are not text.
COLUMNS: dict[str, str] = {
    "url": "", "outcome": "", "errors": "int64", "warnings": "int64", "codes": "", "error": "", "format": "",
    "saved_by": "", "outdated": "", "size": "int64", "stamp": "", "status": "int64", "output": "", "page": "",
    "seconds": "double", "moved": "int64", "requests": "int64", "remembered": "bool", "new": "bool",
}  # fmt: skip


def row(each: Outcome) -> dict[str, Any]:
    """An outcome as a row; ``codes`` are those of its findings, each once."""
    severities = [finding["severity"] for finding in each.findings]
    counts = {"errors": severities.count("error"), "warnings": severities.count("warning")}
    codes = " ".join(sorted({finding["code"] for finding in each.findings}))
    return {name: (counts | {"codes": codes}).get(name, getattr(each, name, None)) for name in COLUMNS}


def _csv(file: BinaryIO, outcomes: Iterable[Outcome]) -> None:
    text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(map(row, outcomes))
    text.flush()
    text.detach()


def _json_lines(file: BinaryIO, outcomes: Iterable[Outcome]) -> None:
    for each in outcomes:
        file.write(json.dumps({**row(each), "findings": each.findings}).encode() + b"\n")


def _parquet(file: BinaryIO, outcomes: Iterable[Outcome]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError("a Parquet file needs pyarrow: pip install pyarrow") from None
    fields = [(name, kind or "string") for name, kind in COLUMNS.items()]
    schema = pyarrow.schema(
        [
            (name, getattr(pyarrow, kind.replace("double", "float64").replace("bool", "bool_"))())
            for name, kind in fields
        ]
    )
    waiting = iter(outcomes)
    with parquet.ParquetWriter(file, schema) as writer:
        while rows := [row(each) for each in islice(waiting, _BATCH)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


_WRITERS: dict[str, Callable[[BinaryIO, Iterable[Outcome]], None]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def check_name(path: str | os.PathLike[str]) -> None:
    """Raises UsageError if the name of a table has another suffix."""
    if os.path.splitext(os.fspath(path))[1].lower() not in _WRITERS:
        raise UsageError(f"the name of a table must end in {', '.join(_WRITERS)}", os.fspath(path))


def write(path: str | os.PathLike[str], outcomes: Iterator[Outcome]) -> None:
    """Write outcomes as a table, completely or not at all.

    Raises:
        UsageError: another suffix, or pyarrow is missing.
        OutputError: it cannot be written.
    """
    check_name(path)
    with atomic_write(path) as file:
        _WRITERS[os.path.splitext(os.fspath(path))[1].lower()](file, outcomes)
