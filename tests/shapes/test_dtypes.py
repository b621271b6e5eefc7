"""Dtype promotion against Keras, over every pair of dtypes and every triple with a Python scalar."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import pytest

from rewriter.shapes.dtypes import result_type

DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
SCALARS: dict[str, Any] = {"int": int, "float": float}


@pytest.mark.parametrize("first", [*DTYPES, *SCALARS])
def test_promotion(first: str) -> None:
    others = [*((d,) for d in (*DTYPES, *SCALARS)), *itertools.product(DTYPES, SCALARS)]
    for kinds in ((first, *rest) for rest in others):
        assert result_type(*kinds) == keras.backend.result_type(*(SCALARS.get(k, k) for k in kinds)), kinds


def test_dtypes_without_a_promotion_are_no_trap() -> None:
    assert result_type() == "float32"
    assert result_type("string", "float32") == "string"
    assert result_type("banana", "int") == "banana"
    assert result_type("int", "float") == "float32"
