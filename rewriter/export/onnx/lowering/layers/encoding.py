"""Categorical preprocessing: CategoryEncoding, Discretization, lookups; hashing is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...emitter import Emitter
from ...graph import Tensor
from ...refusal import Refused
from ...registry import layer, refuse_layers
from .._categories import ALIASES, encoded

_HASHES = "ONNX has no operator that hashes as TensorFlow does"
refuse_layers(_HASHES, "Hashing", "HashedCrossing")
_ML = "ai.onnx.ml"
_DROPPED = 2**63 - 1


def mode_of(call: Emitter, default: str) -> str:
    if call.flag("sparse"):
        raise Refused("its result is sparse")
    mode = call.text("output_mode", default)
    return ALIASES.get(mode, mode)


@layer("CategoryEncoding")
def category_encoding(call: Emitter) -> Tensor:
    """``category_encoding(x[B, N]) -> [B, num_tokens]``; ``one_hot`` gives ``[B, N, num_tokens]``."""
    mode, depth = mode_of(call, "multi_hot"), call.integer("num_tokens", 1)
    return encoded(call, call.x, mode, depth, call.dtype, call.optional(1, "count_weights"))


@layer("Discretization")
def discretization(call: Emitter) -> Tensor:
    """``discretization(x[...]) -> [...]``: the number of boundaries up to x, as an index or encoded."""
    mode, boundaries = mode_of(call, "int"), call.get("bin_boundaries")
    if boundaries is None:
        raise Refused("it has no boundaries: it was never adapted")
    # Keras 3.15 casts floats to float32 whatever the dtype (input_dtype); TensorFlow has float32 boundaries.
    x = call.cast(call.x, "float32")
    limits = call.constant(call.numbers("bin_boundaries", boundaries).astype(np.float32), x.dtype)
    below = call.op("Not", call.op("Less", call.unsqueeze(x, x.rank), limits))
    place = call.reduce("ReduceSum", call.cast(below, "int64"), [-1])
    return encoded(call, place, mode, len(boundaries) + 1, call.dtype)


# -- lookups -----------------------------
@layer("IntegerLookup", "StringLookup")
def lookup(call: Emitter) -> Tensor:
    """``lookup(x[...]) -> [...]`` indices, or encoded over the vocabulary.

    Without OOV indices Keras raises an error for an unknown entry; here it becomes -1.
    """
    return looked_up(call, call.x, call.operation.class_name == "StringLookup", mode_of(call, "int"))


def looked_up(call: Emitter, x: Tensor, strings: bool, mode: str) -> Tensor:
    words = _vocabulary(call, strings, mode)
    for name in ("mask_token", "oov_token"):
        if not isinstance(call.get(name), (str if strings else int, type(None))):
            raise call.bad(name, call.get(name), "a word" if strings else "a whole number")
    spare = call.integer("num_oov_indices", 0, 1)
    mask = call.get("mask_token", "" if call.operation.class_name == "TextVectorization" else None)
    start = (1 if mask is not None and mode == "int" else 0) + spare
    if call.flag("invert"):
        return _inverted(call, x, strings, words, start, mask)
    table: dict[Any, int] = {word: start + n for n, word in enumerate(words)}
    if mask is not None:
        # The mask token is 0 in mode int; the other modes ignore it.
        table[mask] = 0 if mode == "int" else _DROPPED
    missing = (1 if mask is not None and mode == "int" else 0) if spare == 1 else -1
    if strings and x.dtype != "string":
        raise Refused(f"it looks up text, and its operand is {x.dtype}")
    if not strings:
        x = call.cast(x, "int64")
    found = _mapped(call, x, table, missing, "int64")
    if spare > 1:
        if strings or call.text("oov_method", "floormod") != "floormod":
            raise Refused(f"entries outside its vocabulary are hashed: {_HASHES}")
        first = 1 if mask is not None and mode == "int" else 0
        other = call.op("Add", call.op("Mod", x, spare), first)
        found = call.op("Where", call.op("Equal", found, -1), other, found)
    if mode == "int":
        return found
    depth = call.integer("max_tokens", 1) if call.flag("pad_to_max_tokens") else start + len(words)
    if mode != "tf_idf":
        return encoded(call, found, mode, depth, call.dtype)
    counts = encoded(call, found, "count", depth, "float32")
    return call.op("Mul", counts, call.weight("vars/idf_weights", "idf_weights", "float32"))


def _inverted(call: Emitter, x: Tensor, strings: bool, words: list[Any], start: int, mask: Any) -> Tensor:
    table: dict[Any, Any] = {start + n: word for n, word in enumerate(words)}
    if mask is not None:
        table[0] = mask
    missing = call.get("oov_token", "[UNK]" if strings else -1)
    return _mapped(call, call.cast(x, "int64"), table, missing, "string" if strings else "int64")


def _mapped(call: Emitter, x: Tensor, table: dict[Any, Any], missing: Any, dtype: str) -> Tensor:
    """LabelEncoder of ``ai.onnx.ml``: keys and values by type."""
    kinds = {"string": "strings", "int64": "int64s"}
    keys, values = list(table), list(table.values())
    if not keys:
        raise Refused("its vocabulary is empty")
    return call.op(
        "LabelEncoder",
        x,
        domain=_ML,
        as_dtype=dtype,
        as_sizes=x.sizes,
        **{
            f"keys_{kinds[x.dtype]}": keys,
            f"values_{kinds[dtype]}": values,
            "default_string" if dtype == "string" else "default_int64": missing,
        },
    )


def _vocabulary(call: Emitter, strings: bool, mode: str) -> list[Any]:
    """The vocabulary without the mask token and the OOV tokens."""
    words = call.get("vocabulary")
    if isinstance(words, dict):
        inner = words.get("config")
        words = inner.get("value") if isinstance(inner, dict) else None
    if words is None:
        lines = call.asset("vocabulary.txt").decode().splitlines()
        while lines and lines[-1] == "":
            lines.pop()
        words = lines if strings else [int(line) for line in lines]
    if not isinstance(words, list):
        raise Refused("its vocabulary is not in the file")
    if not all(isinstance(word, str if strings else int) for word in words):
        raise call.bad("vocabulary", words, "a list of words" if strings else "a list of whole numbers")
    text = call.operation.class_name == "TextVectorization"
    mask = call.get("mask_token", "" if text else None)
    unknown = call.get("oov_token", "[UNK]" if strings else -1)
    special = [mask] * (mask is not None and mode == "int") + [unknown] * call.integer(
        "num_oov_indices", 0, 1
    )
    return words[len(special) :] if words[: len(special)] == special else words
