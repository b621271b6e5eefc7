"""Axis rules of ops against Keras: declared shapes and dtypes, two runs at other sizes, and hostile configurations."""

from __future__ import annotations

import copy
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from rewriter.errors import BadFileError, UnsupportedError
from rewriter.formats.keras.config import read_model
from rewriter.ir.axis import Value
from rewriter.ir.graph import Operation
from rewriter.ir.size import is_unknown, symbol
from rewriter.shapes.call import OPS, Call
from rewriter.shapes.infer import infer
from rewriter.shapes.ops.opaque import OPAQUE_OPS
from tests.shapes import ops_cases_elementwise, ops_cases_math, ops_cases_nn, ops_cases_structure
from tests.shapes.ops_classes import CLASSES, make
from tests.shapes.ops_harness import LISTED, Case, check, refused, serialised, tensors

CASES = [*ops_cases_elementwise.CASES, *ops_cases_structure.CASES, *ops_cases_nn.CASES, *ops_cases_math.CASES]
COUNTS = Counter(case.name.split()[0] for case in CASES)
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 7, -(2**70), 2**63, 1.5, float("nan"), "", "x", "channels_first", [], {}, [None], ["x"], [[]],
    [1, 2, 3, 4, 5, 6, 7], [2**64, -1], [0, 0], [[0, 0], [0, 0]], [[1, "x"], 3], {"class_name": "__keras_tensor__"},
    {"class_name": "__slice__", "config": {"start": "x", "stop": [], "step": 0}},
    {"class_name": "__ellipsis__", "config": {}}, {"class_name": "__numpy__", "config": {"value": [[1], [2]]}},
)  # fmt: skip


def test_every_class_has_a_rule_or_a_reason() -> None:
    known = {f"{family}.{name}" for family, name in OPS}
    assert set(CLASSES) - known == set(), "ops of Keras without an axis rule"
    assert known - set(CLASSES) == set(), "axis rules of ops that Keras does not have"
    assert all(reason for reason in OPAQUE_OPS.values())


def test_every_rule_has_a_case() -> None:
    opaque = {f"{family}.{name}" for family, name in OPAQUE_OPS}
    # Keras cannot declare the shape of an arange of tensors, so no model holds one (see test_arange).
    assert set(CLASSES) - set(COUNTS) == opaque | {"numpy.Arange"}


@pytest.mark.parametrize(
    "numbers", [(5,), (2, 9), (2, 9, 3), (9, 2, -2), (0.0, 1.0, 0.3), (3, 3), (5, 2)], ids=lambda n: str(n)
)
def test_arange(numbers: tuple[float, ...]) -> None:
    operation = Operation("op", "op", "Arange", {"dtype": None}, "keras.src.ops.numpy")
    value = OPS["numpy", "Arange"](Call(operation, numbers, {}))
    assert value.shape == list(np.arange(*numbers).shape)


@pytest.mark.parametrize(
    ("numbers", "known"),
    [
        (("n",), True),
        (("n", "-n", -1.0), True),
        (("n + 1", "-n", -2), True),
        ((-3, "n", 3), True),
        ((3, "2*n"), False),  # 1 for two steps, none for one
        (("n", 4, -1), False),
        ((0, "n", 0.5), False),
        ((0, "n", "n"), False),
    ],
)
def test_arange_of_sizes(numbers: tuple[Any, ...], known: bool) -> None:
    n = symbol("n")
    given = [Value((), "int32", constant=eval(v, {"n": n})) if isinstance(v, str) else v for v in numbers]
    operation = Operation("op", "op", "Arange", {"dtype": None}, "keras.src.ops.numpy")
    (axis,) = OPS["numpy", "Arange"](Call(operation, given, {})).axes
    assert is_unknown(axis.size) is not known
    for size in range(1, 8) if known else ():
        values = [eval(v, {"n": size}) if isinstance(v, str) else v for v in numbers]
        assert eval(str(axis.size), {"n": size, "ceil": math.ceil}) == len(np.arange(*values))


def _listed() -> list[Any]:
    return [
        pytest.param(case, id=case.name.replace(" ", "_"), marks=[pytest.mark.slow] if case.slow else [])
        for case in CASES
    ]


@pytest.mark.parametrize("case", _listed())
def test_case(case: Case) -> None:
    outcome = check(case)
    assert case.name.split()[0] in outcome.classes


N = None
REFUSED: list[tuple[str, dict[str, Any], tuple[tuple[int | None, ...], ...]]] = [
    ("numpy.Add", {}, ((4, 3), (4,))),
    ("numpy.Multiply", {}, ((N, 5, 3), (5, 4))),
    ("numpy.Where", {}, ((4,), (4,), (3,))),
    ("numpy.Sum", {"axis": 3}, ((N, 4, 6),)),
    ("numpy.Mean", {"axis": (0, -4)}, ((N, 4, 6),)),
    ("numpy.Average", {"axis": 1}, ((N, 4, 6), (6,))),
    ("numpy.Reshape", {"newshape": (5, -1)}, ((4, 6),)),
    ("numpy.Transpose", {"axes": (0, 1)}, ((N, 4, 6),)),
    ("numpy.Transpose", {"axes": (0, 1, 1)}, ((N, 4, 6),)),
    ("numpy.Moveaxis", {"source": 3, "destination": 0}, ((N, 4, 6),)),
    ("numpy.Squeeze", {"axis": 1}, ((N, 4, 1),)),
    ("numpy.Squeeze", {"axis": 0}, ((N, 4, 1),)),
    ("numpy.BroadcastTo", {"shape": (3, 5)}, ((3, 4),)),
    ("numpy.Concatenate", {"axis": 1}, ((N, 4, 6), (N, 4, 5))),
    ("numpy.Stack", {"axis": 1}, ((N, 4), (N, 5))),
    ("numpy.Split", {"indices_or_sections": 3, "axis": 1}, ((N, 4),)),
    ("numpy.Matmul", {}, ((N, 4, 6), (N, 5, 3))),
    ("numpy.Matmul", {}, ((2, 4, 6), (3, 6, 3))),
    ("numpy.Dot", {}, ((4, 6), (5, 3))),
    ("numpy.Inner", {}, ((4, 6), (3, 5))),
    ("numpy.Tensordot", {"axes": ((1,), (0,))}, ((4, 6), (5, 3))),
    ("numpy.Einsum", {"subscripts": "bij,bij->bij"}, ((N, 4, 6), (N, 5, 6))),
    ("numpy.Einsum", {"subscripts": "ij,jk->ik"}, ((N, 4, 6), (6, 3))),
    ("numpy.Cross", {}, ((4, 4), (4, 4))),
    ("numpy.Pad", {"pad_width": [(1, 1), (0, 0)]}, ((N, 4, 6),)),
    ("numpy.Repeat", {"repeats": [1, 2], "axis": 1}, ((N, 4),)),
    ("numpy.TakeAlongAxis", {"axis": 1}, ((4, 6), (4,))),
    ("nn.Conv", {"strides": 1}, ((N, 8, 8, 3), (3, 3, 4, 5))),
    ("nn.Conv", {"strides": 1}, ((N, 2, 2, 3), (3, 3, 3, 5))),
    ("nn.Conv", {"strides": 1}, ((N, 8, 8, 3), (3, 3, 5))),
    ("nn.DepthwiseConv", {}, ((N, 8, 8, 3), (3, 3, 4, 1))),
    ("nn.MaxPool", {"pool_size": 5}, ((N, 4, 3),)),
    ("nn.Glu", {}, ((N, 5),)),
    ("nn.BatchNorm", {"axis": -1}, ((N, 4), (5,), (5,))),
    ("nn.BinaryCrossentropy", {}, ((4, 6), (4, 5))),
    ("nn.DepthToSpace", {"block_size": 2}, ((N, 4, 4, 6),)),
    ("nn.SpaceToDepth", {"block_size": 2}, ((N, 5, 4, 6),)),
    ("image.RGBToHSV", {}, ((N, 4, 4, 6),)),
    ("image.Resize", {"size": (4, 4)}, ((4, 4),)),
    ("linalg.Inv", {}, ((4, 5),)),
    ("linalg.Solve", {}, ((4, 4), (5, 2))),
    ("linalg.Lstsq", {}, ((4, 3), (5,))),
    ("math.CDist", {}, ((4, 3), (4, 5))),
]


@pytest.mark.parametrize(("name", "config", "takes"), REFUSED, ids=lambda v: str(v).replace(" ", ""))
def test_what_keras_refuses_is_refused(name: str, config: dict[str, Any], takes: Any) -> None:
    operands = [keras.KerasTensor(shape) for shape in takes]
    if name == "nn.BatchNorm":
        operands += [None, None]
    with pytest.raises((ValueError, IndexError)):
        make(name, **config).compute_output_spec(*([operands] if name in LISTED else operands))
    assert refused(name, takes, **config)


def test_a_contraction_that_keras_declares_and_cannot_run_is_refused() -> None:
    assert refused("numpy.Einsum", ((N, 4, 6), (N, 5, 3)), subscripts="bij,bjk->bik")
    assert refused("numpy.Dot", ((4,), (5,)))
    assert refused("numpy.Vdot", ((4,), (5,)))


# -- hostile configurations -----------------------------
def _configs() -> Iterator[tuple[str, Any]]:
    """The saved form of the first and the last case of every class."""
    chosen: dict[str, list[Case]] = {}
    for case in CASES:
        chosen.setdefault(case.name.split()[0], []).append(case)
    for name, cases in chosen.items():
        for case in {id(c): c for c in (cases[0], cases[-1])}.values():
            inputs = tensors(case)
            yield name, serialised(inputs, case.build(*inputs))[1]


def _mutants(config: Any) -> Iterator[Any]:
    """The config with one value, argument or operand of an op replaced or removed."""
    for place, entry in enumerate(config["config"]["layers"]):
        if entry["class_name"] == "InputLayer":
            for shape in ([], [None], [None] * 6, [0], [2**62, 2**62], [None, 1, 1], [1, 1, 1, 1]):
                mutant = copy.deepcopy(config)
                mutant["config"]["layers"][place]["config"]["batch_shape"] = shape
                yield mutant
            continue
        for key, value in itertools.product(entry["config"], HOSTILE):
            if key == "name":
                continue
            mutant = copy.deepcopy(config)
            mutant["config"]["layers"][place]["config"][key] = value
            yield mutant
        mutant = copy.deepcopy(config)
        mutant["config"]["layers"][place]["config"] = {}
        yield mutant
        node = entry["inbound_nodes"][0]
        for number, value in itertools.product(range(len(node["args"])), HOSTILE):
            mutant = copy.deepcopy(config)
            mutant["config"]["layers"][place]["inbound_nodes"][0]["args"][number] = value
            yield mutant
            if isinstance(node["args"][number], list):
                mutant = copy.deepcopy(mutant)
                mutant["config"]["layers"][place]["inbound_nodes"][0]["args"][number] = [value, value]
                yield mutant
        for key, value in itertools.product(node["kwargs"], HOSTILE):
            mutant = copy.deepcopy(config)
            mutant["config"]["layers"][place]["inbound_nodes"][0]["kwargs"][key] = value
            yield mutant
        mutant = copy.deepcopy(config)
        mutant["config"]["layers"][place]["inbound_nodes"][0]["args"] = []
        yield mutant


def hostile(every: int) -> int:
    """Read and infer each ``every``-th mutant. Returns their number."""
    tried = 0
    for name, config in _configs():
        for number, mutant in enumerate(_mutants(config)):
            if number % every:
                continue
            tried += 1
            try:
                infer(read_model(mutant)).outputs()
            except (BadFileError, UnsupportedError):
                pass
            except Exception as error:
                raise AssertionError(f"{name}: {type(error).__name__} {error} on {mutant}") from error
    return tried


def test_hostile_configurations_are_errors_of_the_file() -> None:
    assert hostile(every=23) > 1_500


@pytest.mark.slow
def test_every_hostile_configuration_is_an_error_of_the_file() -> None:
    assert hostile(every=1) > 40_000
