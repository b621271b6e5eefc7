"""The large families of ops on random operands and arguments, against Keras: declarations, runs and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case, Refused, check, refused

ANYWHERE = range(64)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MANY = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

size = st.one_of(st.none(), st.integers(1, 4))
shape = st.lists(size, max_size=4).map(tuple)
fixed = st.lists(st.integers(1, 4), max_size=4).map(tuple)
axis = st.integers(-5, 4)


def hold(case: Case, name: str, takes: Any, **config: Any) -> None:
    """We agree with Keras where it accepts, and refuse where it refuses operands of known sizes."""
    try:
        check(case)
    except Refused:
        if all(n is not None for take in takes for n in take):
            assert refused(name, takes, **config), "Keras refuses it"


def op_case(name: str, *takes: Any, **config: Any) -> Case:
    return Case(name, make(name, **config), takes, runs=None, unknown_at=ANYWHERE, dtype=True)


def agree(name: str, *takes: Any, **config: Any) -> None:
    try:
        case = op_case(name, *takes, **config)
    except (ValueError, TypeError):
        return
    hold(case, name, takes, **config)


# -- the properties, each a function of drawn values, run few times by default and many times on demand -----------
def broadcasting(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Subtract", "Multiply", "Maximum", "Greater", "Divide", "LogicalAnd"]))
    a = data.draw(shape)
    b = tuple(data.draw(st.sampled_from([n, n, 1, None, 3])) for n in a[data.draw(st.integers(0, len(a))) :])
    agree(f"numpy.{name}", *((a, b) if data.draw(st.booleans()) else (b, a)))


def reductions(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Sum", "Max", "Mean", "All", "Prod", "Std", "Amin", "CountNonzero"]))
    config: dict[str, Any] = {
        "axis": data.draw(st.one_of(st.none(), axis, st.lists(axis, max_size=3, unique=True)))
    }
    if name != "CountNonzero":
        config["keepdims"] = data.draw(st.booleans())
    takes = data.draw(shape)
    given_axes = config["axis"] if isinstance(config["axis"], list) else []
    assume(len({a % max(len(takes), 1) for a in given_axes}) == len(given_axes))
    agree(f"numpy.{name}", takes, **config)


def reshape(data: st.DataObject) -> None:
    takes = data.draw(shape)
    total = math.prod(n for n in takes if n is not None)
    target: list[int] = []
    while total > 1:
        step = data.draw(st.sampled_from([d for d in range(2, total + 1) if total % d == 0]))
        target.append(step)
        total //= step
    target += [1] * data.draw(st.integers(0, 2))
    target = data.draw(st.permutations(target))
    if data.draw(st.booleans()) or None in takes:
        target.insert(data.draw(st.integers(0, len(target))), -1)
    if data.draw(st.integers(0, 9)) == 0:
        target.append(data.draw(st.integers(2, 5)))
    agree("numpy.Reshape", takes, newshape=list(target))


def moving(data: st.DataObject) -> None:
    takes = data.draw(shape)
    order = data.draw(st.permutations(range(len(takes))))
    name = data.draw(st.sampled_from(["Transpose", "Moveaxis", "Swapaxes", "ExpandDims", "Squeeze", "Rot90"]))
    if name == "Transpose":
        agree(
            "numpy.Transpose", takes, axes=[n - len(takes) if data.draw(st.booleans()) else n for n in order]
        )
    elif name == "Moveaxis":
        count = data.draw(st.integers(0, len(takes)))
        target = data.draw(st.permutations(range(len(takes))))
        agree("numpy.Moveaxis", takes, source=list(order[:count]), destination=list(target[:count]))
    elif name == "Swapaxes":
        agree("numpy.Swapaxes", takes, axis1=data.draw(axis), axis2=data.draw(axis))
    elif name == "Rot90":
        agree(
            "numpy.Rot90",
            takes,
            k=data.draw(st.sampled_from([1, 3, -1])),
            axes=[data.draw(axis), data.draw(axis)],
        )
    elif name == "Squeeze":
        agree("numpy.Squeeze", takes, axis=data.draw(st.one_of(axis, st.just([0, -1]))))
    else:
        agree(
            "numpy.ExpandDims",
            takes,
            axis=data.draw(st.one_of(axis, st.lists(axis, min_size=1, max_size=2, unique=True))),
        )


def einsum(data: st.DataObject) -> None:
    sizes = {c: data.draw(size) for c in "abcd"}
    terms = [
        data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)) for _ in range(2)
    ]
    used = sorted({c for t in terms for c in t})
    result = data.draw(st.lists(st.sampled_from(used), unique=True, max_size=4))
    dots = data.draw(st.sampled_from(["", "..."]))
    extra = data.draw(shape) if dots else ()
    text = ",".join(dots + "".join(t) for t in terms) + "->" + dots + "".join(result)
    takes = [(*extra, *(sizes[c] for c in t)) for t in terms]
    assume(all(len(t) < 6 for t in takes))
    agree("numpy.Einsum", *takes, subscripts=text)


def contraction(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Matmul", "Dot", "Inner", "Tensordot", "Outer"]))
    a, b = list(data.draw(shape)), list(data.draw(shape))
    if a and b and data.draw(st.integers(0, 4)):
        place = -1 if name == "Inner" or len(b) == 1 or name == "Tensordot" else -2
        b[place] = a[-1]
    config: dict[str, Any] = {}
    if name == "Tensordot":
        assume(a and b)
        config["axes"] = data.draw(st.sampled_from([0, [[len(a) - 1], [len(b) - 1]], [[-1], [-1]]]))
    assume(name != "Matmul" or (a and b))
    agree(f"numpy.{name}", tuple(a), tuple(b), **config)


def joining(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Concatenate", "Stack"]))
    first = data.draw(shape)
    place = data.draw(axis)
    takes = [first]
    for _ in range(data.draw(st.integers(0, 2))):
        other = [n if data.draw(st.integers(0, 9)) else 2 for n in first]
        if name == "Concatenate" and -len(first) <= place < len(first):
            other[place] = data.draw(size)
        takes.append(tuple(other))
    case = Case(
        name,
        lambda *x: make(f"numpy.{name}", axis=place)(list(x)),
        tuple(takes),
        runs=None,
        unknown_at=ANYWHERE,
    )
    hold(case, f"numpy.{name}", takes, axis=place)


def splitting(data: st.DataObject) -> None:
    takes = data.draw(st.lists(st.one_of(st.none(), st.integers(1, 6)), min_size=1, max_size=3).map(tuple))
    cuts = data.draw(
        st.one_of(st.integers(1, 4), st.lists(st.integers(0, 6), min_size=1, max_size=3).map(sorted))
    )
    place = data.draw(st.integers(-3, 2))
    length = takes[place] if -len(takes) <= place < len(takes) else None
    assume(not isinstance(cuts, list) or length is None or cuts[-1] <= length)
    agree("numpy.Split", takes, indices_or_sections=cuts, axis=place)


def indexing(data: st.DataObject) -> None:
    takes = data.draw(st.lists(st.one_of(st.none(), st.integers(1, 6)), min_size=1, max_size=4).map(tuple))
    bound = st.one_of(st.none(), st.integers(-7, 7))
    part = st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, -1, -2, 3]))
    keys = data.draw(st.lists(st.one_of(st.integers(-3, 3), part, part, st.none()), max_size=4))
    if data.draw(st.booleans()):
        keys.insert(data.draw(st.integers(0, len(keys))), ...)
    case = Case(
        "GetItem",
        lambda x: x[tuple(keys)],
        (takes,),
        declared=None not in takes,
        runs=None,
        unknown_at=ANYWHERE,
    )
    try:
        check(case)
    except Refused:
        return


def growing(data: st.DataObject) -> None:
    takes = data.draw(shape)
    name = data.draw(st.sampled_from(["Pad", "Tile", "Repeat"]))
    few = st.integers(0, 3)
    if name == "Pad":
        agree("numpy.Pad", takes, pad_width=[[data.draw(few), data.draw(few)] for _ in takes] or 0)
    elif name == "Tile":
        agree("numpy.Tile", takes, repeats=data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5)))
    else:
        place = data.draw(st.one_of(st.none(), st.integers(-len(takes), len(takes) - 1))) if takes else None
        agree("numpy.Repeat", takes, repeats=data.draw(st.integers(1, 3)), axis=place)


def sliding(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 2))
    spatial = [data.draw(st.one_of(st.none(), st.integers(1, 12))) for _ in range(n)]
    kernel = [data.draw(st.integers(1, 4)) for _ in range(n)]
    strides = [data.draw(st.integers(1, 3)) for _ in range(n)]
    padding = data.draw(st.sampled_from(["valid", "same"]))
    takes = (None, *spatial, 3)
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        agree(
            f"nn.{name}",
            takes,
            pool_size=kernel,
            strides=strides,
            padding=padding,
            data_format="channels_last",
        )
        return
    dilation = [data.draw(st.integers(1, 3)) if max(strides) == 1 else 1 for _ in range(n)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    # An open axis runs at size 5: for a longer window TensorFlow gives another shape than Keras declares.
    assume(padding == "same" or all(s is not None or r <= 5 for s, r in zip(spatial, reach, strict=True)))
    weights = np.ones((*kernel, 3, 5), "float32")
    op = make(
        "nn.Conv", strides=strides, padding=padding, data_format="channels_last", dilation_rate=dilation
    )
    try:
        check(Case("Conv", lambda x: op(x, weights), (takes,), runs=None, unknown_at=ANYWHERE))
    except Refused:
        assert not all(
            padding == "same" or s is None or s >= d * (k - 1) + 1
            for s, k, d in zip(spatial, kernel, dilation, strict=True)
        )


PROPERTIES: list[Callable[[st.DataObject], None]] = [
    broadcasting, reductions, reshape, moving, einsum, contraction, joining, splitting, indexing, growing, sliding,
]  # fmt: skip


@pytest.mark.parametrize("family", PROPERTIES, ids=lambda f: f.__name__)
def test_agrees_with_keras(family: Callable[[st.DataObject], None]) -> None:
    FEW(given(st.data())(family))()
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("family", PROPERTIES, ids=lambda f: f.__name__)
def test_agrees_with_keras_at_length(family: Callable[[st.DataObject], None]) -> None:
    MANY(given(st.data())(family))()
