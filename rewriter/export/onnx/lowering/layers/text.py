"""TextVectorization: texts are standardised, split into words and joined to n-grams, and these looked up.

As TensorFlow does, ONNX Runtime folds the case of ASCII alone (``StringNormalizer``, locale C) and joins words. It
has no operator that replaces parts of a text: that takes ``StringECMARegexReplace`` of onnxruntime-extensions. Not used
are the operators of version 0.15 with RE2, whose patterns match nothing after ``import tensorflow``; ``StringLower``,
which folds more than ASCII; and ``StringRaggedTensorToDense``, which loses rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .....formats.onnx.names import CONTRIB
from .....ir.size import Size, unknown
from ...emitter import Emitter
from ...graph import Tensor
from ...refusal import Refused
from ...registry import layer
from .encoding import looked_up, mode_of

_LOWER = ("lower", "lower_and_strip_punctuation")
_STRIP = ("strip_punctuation", "lower_and_strip_punctuation")
_SPLITS = ("whitespace", "character")
_PUNCTUATION = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']"""
# ONNX Runtime 1.32 splits at blanks alone.
_OTHER_SPACES = r"[\t\n\v\f\r]"
# In UTF-8: the first byte of a character, and those that follow.
_CHARACTER = r"[\x01-\x7f\xc0-\xff][\x80-\xbf]*"
# After every character: no character and the first half of it look like it.
_BETWEEN = "\x1e\x1f"
_SPLITTING_OPSET = 20
_WIDEST = 50


@layer("TextVectorization")
def text_vectorization(call: Emitter) -> Tensor:
    """``text_vectorization(x[B]) -> [B, tokens]`` or ``[B, vocabulary]``; ``x[B, 1]`` likewise.

    Without ``split`` each entry of ``x[B, N]`` is one token. A text that is split or loses its punctuation ends before
    its first NUL character.
    """
    mode, split, widths = mode_of(call, "int"), call.get("split", "whitespace"), _widths(call)
    standardize = call.get("standardize", "lower_and_strip_punctuation")
    _check(call, mode, standardize, split, widths)
    x = call.x
    if standardize in _LOWER:
        x = _lower(call, x)
    if standardize in _STRIP:
        x = _replaced(call, x, _PUNCTUATION, "")
    if split is not None:
        x = _words(call, x, split)
        if widths or mode != "int":  # so that no axis is empty
            x = _filled(call, x, max(widths, default=1), "")
    if widths:
        x = call.concat([_grams(call, x, width, split is not None) for width in widths], 1)
    found = looked_up(call, x, True, mode)
    if mode != "int":
        return found
    if widths and split is not None:
        found = _moved_left(call, found)
    length = call.get("output_sequence_length")
    if length is None:
        return found
    count = call.whole("output_sequence_length", length, 0)
    return call.slice(_filled(call, found, count, 0), -1, 0, count)


def _check(call: Emitter, mode: str, standardize: Any, split: Any, widths: list[int]) -> None:
    """Raises Refused for what has no ONNX form, BadFileError for an invalid configuration."""
    for name, value, choices in (("standardize", standardize, {*_LOWER, *_STRIP}), ("split", split, _SPLITS)):
        if value is not None and (not isinstance(value, str) or value not in choices):
            raise call.bad(name, value, " or ".join(sorted(choices)))
    for name, value in (("standardize", standardize), ("split", split)):
        if value not in (None, "lower") and not call.builder.extensions:
            raise Refused(
                f"ONNX has no operator that does {name}={value!r} as TensorFlow does; "
                "--extensions exports it with operators of onnxruntime-extensions"
            )
    if call.x.dtype != "string":
        raise Refused(f"it looks up text, and its operand is {call.x.dtype}")
    if (split is not None or widths) and call.opset < _SPLITTING_OPSET:
        raise Refused(f"split and ngrams need opset {_SPLITTING_OPSET}")
    if split is not None:
        if call.flag("ragged") or mode == "one_hot":
            raise Refused("its result is ragged")
        if call.x.rank not in (1, 2) or call.x.sizes[1:] not in ((), (1,)):
            raise Refused("it splits one text of each sample, and its operand holds more")
    elif widths:
        count = call.x.sizes[1] if call.x.rank == 2 else None
        if not isinstance(count, int) or count < max(widths):
            raise Refused(f"n-grams need at least {max(widths)} words along axis 1")


def _widths(call: Emitter) -> list[int]:
    """How many words the n-grams have: 2 stands for 1 and 2."""
    given = call.get("ngrams")
    if given is None:
        return []
    several = isinstance(given, (list, tuple))
    widths = [call.whole("ngrams", width, 1) for width in (given if several else [given])]
    if not widths:
        raise call.bad("ngrams", given, "a whole number, or several")
    if max(widths) > _WIDEST or len(widths) > _WIDEST:
        raise Refused(f"it has n-grams of more than {_WIDEST} words, or of so many lengths")
    return widths if several else [*range(1, widths[0] + 1)]


# -- texts -----------------------------
def _lower(call: Emitter, x: Tensor) -> Tensor:
    """``lower(x[...]) -> [...]``. StringNormalizer takes a text for each sample, along one axis."""
    flat = x if x.rank == 1 else call.op("Reshape", x, [-1], as_sizes=[unknown()])
    lower = call.op(
        "StringNormalizer",
        flat,
        case_change_action="LOWER",
        locale="C",
        as_dtype="string",
        as_sizes=flat.sizes,
    )
    return lower if x.rank == 1 else call.reshape(lower, x.sizes)


def _replaced(call: Emitter, x: Tensor, pattern: str, by: str) -> Tensor:
    """``replaced(x[...]) -> [...]``: all matches of a pattern of ECMAScript, on bytes of UTF-8."""
    return call.op(
        "StringECMARegexReplace", x, call.constant([pattern]), call.constant([by]),
        domain=CONTRIB, as_dtype="string", as_sizes=x.sizes,
    )  # fmt: skip


def _words(call: Emitter, x: Tensor, split: str) -> Tensor:
    """``words(x[B]) -> [B, W]``: the tokens of each text, ``""`` after the last. ``x[B, 1]`` likewise."""
    if x.rank == 2:
        x = call.squeeze(x, 1)
    characters = split == "character"
    x = _replaced(call, x, *((_CHARACTER, f"$&{_BETWEEN}") if characters else (_OTHER_SPACES, " ")))
    results: list[tuple[str, Sequence[Size]]] = [("string", [x.sizes[0], unknown()]), ("int64", x.sizes)]
    words, _ = call.several("StringSplit", results, x, delimiter=_BETWEEN if characters else None)
    if not characters:
        return words
    # What is after the last character.
    return call.op("Slice", words, [0], [-1], [1], as_sizes=[x.sizes[0], unknown()])


def _grams(call: Emitter, words: Tensor, width: int, filled: bool) -> Tensor:
    """``grams(words[B, W]) -> [B, W - width + 1]``: each word with those after it.

    Args:
        filled: there is ``""`` after the last word of a text; the result is ``""`` too where a word is missing.
    """
    if width == 1:
        return words
    count = words.sizes[1]
    sizes = [words.sizes[0], count - width + 1 if isinstance(count, int) else unknown()]
    runs = [
        call.op("Slice", words, [n], [n - width + 1 or 2**63 - 1], [1], as_sizes=sizes) for n in range(width)
    ]
    joined = runs[0]
    for run in runs[1:]:
        for part in (call.constant(" "), run):
            joined = call.op("StringConcat", joined, part, as_sizes=sizes)
    if not filled:
        return joined
    none = call.constant("")
    return call.op("Where", call.op("Equal", runs[-1], none), none, joined, as_sizes=sizes)


def _filled(call: Emitter, x: Tensor, count: int, value: Any) -> Tensor:
    """``filled(x[..., N]) -> [..., N + count]``, with ``value`` after the last entry."""
    sizes = [*x.sizes[:-1], count]
    filler = call.op("Expand", call.constant(value, x.dtype), call.shape(sizes, x), as_sizes=sizes)
    return call.concat([x, filler], -1)


def _moved_left(call: Emitter, found: Tensor) -> Tensor:
    """``moved_left(found[B, T]) -> [B, longest]``: the zeros of a row, which are no tokens, after its other numbers."""
    empty, size = call.op("Equal", found, 0), call.count(found, 1, "int64")
    place = call.positions(size, found.sizes[1])
    key = call.op("Where", empty, call.op("Add", place, size), place, as_sizes=found.sizes)
    results = [("int64", found.sizes), ("int64", found.sizes)]
    _, order = call.several("TopK", results, key, call.op("Unsqueeze", size, [0]), largest=0)
    moved = call.op("GatherElements", found, order, axis=1, as_sizes=found.sizes)
    counts = call.reduce("ReduceSum", call.cast(call.op("Not", empty), "int64"), [1])
    longest = call.reduce("ReduceMax", counts, [0], keepdims=True)
    return call.op("Slice", moved, [0], longest, [1], as_sizes=[found.sizes[0], unknown()])
