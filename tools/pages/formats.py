"""Tables from the code: the formats that are read and written, and the replacements of old constructs."""

from __future__ import annotations

from collections.abc import Iterator

from rewriter.formats.keras.upgrade.table import table
from rewriter.formats.registry import FORMATS, Format, written_from
from tools.pages.markdown import row


def formats() -> Iterator[str]:
    """A table with one row for each format that can be opened, in the order of the registry."""
    yield "| format | name ends in | written from it too | run for the proof by |"
    yield "|---|---|---|---|"
    for each in FORMATS:
        if not each.name:
            continue
        others = [*dict.fromkeys(_words(other) for other in written_from(each)), *_onnx(each)]
        runtime = f"{each.runtime}, as Keras 3 has it" if each.translated else each.runtime
        cells = (
            f"{each.words.split(' ', 1)[1]} (`{each.name}`)",
            ", ".join(f"`{suffix}`" for suffix in each.suffixes) or "a folder",
            ", ".join(others) or "",
            runtime.replace("_", " "),
        )
        yield row(*cells)


def _words(each: Format) -> str:
    return f"`{each.suffixes[0]}`" if each.suffixes else "a folder of Keras 3"


def _onnx(each: Format) -> list[str]:
    return ["`.onnx`"] if each.family == "keras" else []


def constructs() -> Iterator[str]:
    """A table with one row for each construct of an older Keras, by topic, with its comparison test."""
    yield "| construct | becomes | case |"
    yield "|---|---|---|"
    for topic, rows in table():
        yield f"| **{topic}** | | |"
        for each in rows:
            yield row(_cell(each.name), _cell(each.becomes), f"`{each.test}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
