"""What is supported as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from ..shapes.supported import Entry, Support
from .layout import filled, indented, line, words
from .words import count

_NAME, _RULE = 34, 8


def text(item: Support) -> Iterator[RenderableType]:
    """One line for each class, and its remarks below."""
    for title, entries in sections(item):
        yield line((title, "bold"), f": {_share(entries)}")
        yield ""
        for entry in entries:
            head = filled(entry.name, _NAME) + "  " + filled(_answer(entry), _RULE) + _proof(entry)
            yield line(("  " + head.rstrip(), "dim" if entry.supported else "yellow"))
            also = f"also {', '.join(entry.aliases)}" if entry.aliases else ""
            onnx = "" if not entry.no_onnx else _exported(entry).replace("no", "no ONNX form", 1)
            remark = "; ".join(part for part in (also, entry.remark, onnx) if part)
            if remark:
                yield indented(words(remark), 6)
        yield ""
    yield words(_summary(item))


def markdown(item: Support) -> str:
    """A table of layers and one of ops, under their headings."""
    lines = [_summary(item)]
    for title, entries in sections(item):
        lines += ["", f"## {title.capitalize()}", "", f"{_share(entries)}.", ""]
        lines += ["| name | supported | proven by | ONNX | remark |", "|---|---|---|---|---|"]
        for entry in entries:
            names = ", ".join(f"`{name}`" for name in (entry.name, *entry.aliases))
            cells = (names, _answer(entry), _proof(entry), _exported(entry), entry.remark)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sections(item: Support) -> tuple[tuple[str, Sequence[Entry]], ...]:
    return ("layers", item.layers), ("ops", item.ops)


def _answer(entry: Entry) -> str:
    return "yes" if entry.supported else "opaque"


def _exported(entry: Entry) -> str:
    """``yes``, or ``no`` with the reason, unless the remark has the same reason."""
    if not entry.no_onnx:
        return "yes"
    return "no" if entry.no_onnx == entry.reason else f"no: {entry.no_onnx}"


def _proof(entry: Entry) -> str:
    if not entry.proven:
        return ""
    return f"{count(entry.cases, 'argument set')}, {count(entry.runs, 'run')}"


def _share(entries: Sequence[Entry]) -> str:
    supported = sum(entry.supported for entry in entries)
    onnx = sum(not entry.no_onnx for entry in entries)
    return (
        f"{supported} of {len(entries)} supported, {len(entries) - supported} opaque with a reason; "
        f"{onnx} have an ONNX form"
    )


def _summary(item: Support) -> str:
    entries = [*item.layers, *item.ops]
    cases, runs = sum(e.cases for e in entries), sum(e.runs for e in entries)
    return (
        f"Compared with Keras {item.keras}: the shapes and dtypes of {count(cases, 'argument set')} with those "
        f"that Keras declares, and of {count(runs, 'run')} with the results. Opaque means that the shape "
        "stated in the file is taken as claimed. ONNX says what `rewriter export` writes; some argument sets of "
        "a class that it writes are refused all the same, each with its reason."
    )
