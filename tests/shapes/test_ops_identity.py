"""Which axis of a result is which axis of an operand, and the roles that ops give to the axes of operands."""

from __future__ import annotations

from typing import Any

import pytest

from rewriter.ir.axis import Axis, Role, Value, new_axis, scope, unit_axis
from rewriter.ir.graph import Operation, flatten_outputs
from rewriter.ir.identities import Identities
from rewriter.ir.size import symbol
from rewriter.shapes import ops  # noqa: F401 - fills the table
from rewriter.shapes.call import OPS, Call

PRIMES = {"a": 5, "b": symbol("B"), "c": 7, "d": 11, "h": 13, "w": 17, "k": 19, "m": 23, "n": 29, "t": 31}
SIZES = {**PRIMES, "A": 5, "C": 7, "D": 11, "K": 19, "T": 31, "2": 2, "3": 3, "4": 4, "6": 6, "1": 1}
"""Sizes by letter; a capital is an axis of its own of the small letter's size."""


class Axes:
    """Axes by letter, one for each; a digit is a fresh axis every time."""

    def __init__(self) -> None:
        self.named: dict[str, Axis] = {}
        self.known = Identities()

    def __getitem__(self, letter: str) -> Axis:
        if letter.isdigit():
            return unit_axis("Reshape") if letter == "1" else new_axis(SIZES[letter])
        return self.named.setdefault(letter, new_axis(SIZES[letter]))

    def value(self, text: str, dtype: str = "float32") -> Value:
        return Value(tuple(self[c] for c in text.split()), dtype)

    def spelled(self, value: Value) -> str:
        return " ".join(self._letter(axis) for axis in value.axes or ())

    def _letter(self, axis: Axis) -> str:
        if axis.factors:
            return "(" + "*".join(self._letter(leaf) for leaf in axis.flat()) + ")"
        if axis.size == 1:
            return "1"
        found = sorted(n for n, a in self.named.items() if self.known.axis(axis).is_same(self.known.axis(a)))
        return "=".join(found) or f"[{axis.size}]"


def call(axes: Axes, name: str, config: dict[str, Any], *args: Any) -> str:
    family, class_name = name.split(".")
    operation = Operation("op", "op", class_name, config, f"keras.src.ops.{family}")
    with scope("op") as opened:
        given = tuple(_value(axes, a) for a in args)
        outcome = OPS[family, class_name](Call(operation, given, {}))
    axes.known.play("op", opened.effects)
    return ", ".join(axes.spelled(v) for v in flatten_outputs(outcome))


def _value(axes: Axes, given: Any) -> Any:
    if isinstance(given, str):
        return given if "->" in given else axes.value(given)
    return (
        [_value(axes, g) for g in given] if isinstance(given, list) and isinstance(given[0], str) else given
    )


CASES: list[tuple[str, dict[str, Any], tuple[Any, ...], str]] = [
    # elementwise: axes stay, those of both sides are unified, a multiply does not change its operands
    ("numpy.Exp", {}, ("b h w c",), "b h w c"),
    ("nn.Relu", {}, ("b c",), "b c"),
    ("core.Cast", {"dtype": "int32"}, ("b c",), "b c"),
    ("numpy.Add", {}, ("b h w c", "C"), "b h w c"),
    ("numpy.Subtract", {}, ("b 1 c", "a 1"), "b a c"),
    ("numpy.Multiply", {}, ("b h w c", "C"), "b h w c"),
    ("numpy.Multiply", {}, ("1 C", "b 1"), "b C"),
    ("numpy.Where", {}, ("b 1", "c", 0.0), "b c"),
    # no sum unifies two axes of one tensor
    ("numpy.Add", {}, ("b a A", "b a A"), "b a A"),
    ("numpy.Add", {}, ("b a A", "b A a"), "b [5] [5]"),
    ("numpy.Maximum", {}, ("b a A", "b 1 a"), "b a [5]"),
    # reductions
    ("numpy.Mean", {"axis": [1, 2]}, ("b h w c",), "b c"),
    ("numpy.Mean", {"axis": [1, 2], "keepdims": True}, ("b h w c",), "b 1 1 c"),
    ("numpy.Max", {"axis": -1, "keepdims": True}, ("b h w c",), "b h w 1"),
    ("numpy.Sum", {"axis": None}, ("b c",), ""),
    ("nn.Moments", {"axes": [0]}, ("b c",), "c, c"),
    ("linalg.Norm", {"axis": -1}, ("b t c",), "b t"),
    # reshaping
    ("numpy.Reshape", {"newshape": [-1, 1, 1, 7]}, ("b c",), "b 1 1 c"),
    ("numpy.Reshape", {"newshape": [-1, 221, 7]}, ("b h w c",), "b (h*w) c"),
    ("numpy.Reshape", {"newshape": [-1, 2, 3]}, ("b 6",), "b [2] [3]"),
    ("numpy.Ravel", {}, ("b c",), "(b*c)"),
    ("numpy.ExpandDims", {"axis": [1, 2]}, ("b c",), "b 1 1 c"),
    ("numpy.Squeeze", {"axis": None}, ("b 1 1 c",), "b c"),
    ("numpy.BroadcastTo", {"shape": [5, 7]}, ("1 c",), "[5] c"),
    # moving
    ("numpy.Transpose", {"axes": [0, 3, 1, 2]}, ("b h w c",), "b c h w"),
    ("numpy.Moveaxis", {"source": -1, "destination": 1}, ("b h w c",), "b c h w"),
    ("numpy.Swapaxes", {"axis1": 1, "axis2": 2}, ("b t c",), "b c t"),
    ("numpy.Rot90", {"k": 1, "axes": [1, 2]}, ("b h w c",), "b w h c"),
    ("numpy.Flip", {"axis": 1}, ("b t c",), "b t c"),
    ("einops.Rearrange", {}, ("b h w c", "b h w c -> b (h w) c"), "b (h*w) c"),
    # joining and cutting
    ("numpy.Concatenate", {"axis": -1}, (["b h c", "b h d"],), "b h [18]"),
    ("numpy.Concatenate", {"axis": 0}, (["a c", "d C"],), "[16] C=c"),
    ("numpy.Stack", {"axis": 1}, (["b c", "b C"],), "b [2] C=c"),
    ("numpy.Split", {"indices_or_sections": 2, "axis": -1}, ("b 6",), "b [3], b [3]"),
    ("numpy.Split", {"indices_or_sections": 1, "axis": -1}, ("b c",), "b c"),
    ("core.Unstack", {"axis": 1}, ("b 2 c",), "b c, b c"),
    # growing
    ("numpy.Pad", {"pad_width": [[0, 0], [1, 1], [0, 0]]}, ("b h c",), "b [15] c"),
    ("numpy.Tile", {"repeats": [1, 2, 1]}, ("b t c",), "b [62] c"),
    ("numpy.Tile", {"repeats": [3, 1, 1]}, ("b c",), "[3] b c"),
    ("numpy.Repeat", {"repeats": 4, "axis": 1}, ("b 1 c",), "b [4] c"),
    # contracting
    ("numpy.Matmul", {}, ("b h k", "b K n"), "b h n"),
    ("numpy.Matmul", {}, ("b t c", "c n"), "b t n"),
    ("numpy.Einsum", {"subscripts": "bij,bjk->bki"}, ("b h k", "b k n"), "b n h"),
    ("numpy.Einsum", {"subscripts": "...i,i->..."}, ("b h w c", "C"), "b h w"),
    ("numpy.Tensordot", {"axes": [[1], [0]]}, ("b k t", "k n"), "b t n"),
    ("numpy.Dot", {}, ("b k", "a k n"), "b a n"),
    ("numpy.Outer", {}, ("a", "c"), "a c"),
    ("math.CDist", {}, ("b m d", "b n d"), "b m n"),
    ("nn.DotProductAttention", {}, ("b t h k", "b m h k", "b m h k"), "b t h k"),
    # picking
    ("numpy.GetItem", {}, ("b t c", (slice(None), -1)), "b c"),
    ("numpy.GetItem", {}, ("b t c", (Ellipsis, None, slice(None))), "b t 1 c"),
    ("numpy.GetItem", {}, ("b t c", (slice(None), slice(1, None))), "b [30] c"),
    ("numpy.Take", {"axis": 1}, ("b t c", "m n"), "b m n c"),
    ("numpy.TakeAlongAxis", {"axis": 1}, ("b t c", "b 3 c"), "b [3] c"),
    ("math.TopK", {"k": 3}, ("b c",), "b [3], b [3]"),
    ("numpy.Diff", {"n": 1, "axis": 1}, ("b t c",), "b [30] c"),
    ("numpy.Cumsum", {"axis": 1}, ("b t c",), "b t c"),
    ("nn.OneHot", {"num_classes": 3}, ("b t",), "b t [3]"),
    # windows
    ("nn.MaxPool", {"pool_size": 2, "padding": "valid"}, ("b h w c",), "b [6] [8] c"),
    ("nn.MaxPool", {"pool_size": 3, "strides": 1, "padding": "same"}, ("b h w c",), "b h w c"),
    ("nn.Conv", {"padding": "same"}, ("b h w c", "3 3 C n"), "b h w [29]"),
    ("nn.DepthwiseConv", {"padding": "same"}, ("b h w c", "3 3 C 1"), "b h w c"),
    ("image.Resize", {"size": [4, 6]}, ("b h w 3",), "b [4] [6] [3]"),
    ("nn.Softmax", {"axis": -1}, ("b t c",), "b t c"),
    ("math.RFFT", {"fft_length": None}, ("b t",), "b [16], b [16]"),
    ("linalg.SVD", {"full_matrices": True, "compute_uv": True}, ("b m n",), "b m m, b [23], b n n"),
    ("linalg.Solve", {}, ("b a A", "b a n"), "b A=a n"),
]


@pytest.mark.parametrize(("name", "config", "args", "result"), CASES, ids=lambda v: str(v).replace(" ", "_"))
def test_identity(name: str, config: dict[str, Any], args: tuple[Any, ...], result: str) -> None:
    assert call(Axes(), name, config, *args) == result


ROLES: list[tuple[str, dict[str, Any], tuple[Any, ...], dict[str, Role]]] = [
    (
        "nn.Conv",
        {},
        ("b h w c", "3 3 c n"),
        {"h": Role.HEIGHT, "w": Role.WIDTH, "c": Role.CHANNEL, "b": Role.UNKNOWN},
    ),
    (
        "nn.Conv",
        {"data_format": "channels_first"},
        ("b c h w", "3 3 c n"),
        {"h": Role.HEIGHT, "c": Role.CHANNEL},
    ),
    ("nn.MaxPool", {"pool_size": 2}, ("b t c",), {"t": Role.TIME, "c": Role.CHANNEL}),
    ("nn.BatchNorm", {"axis": 1}, ("b c h", "c", "c"), {"c": Role.CHANNEL, "h": Role.UNKNOWN}),
    ("nn.DotProductAttention", {}, ("b t h k", "b m h k", "b m h k"), {"t": Role.TIME, "m": Role.TIME}),
    ("image.Resize", {"size": [4, 6]}, ("h w c",), {"h": Role.HEIGHT, "w": Role.WIDTH, "c": Role.CHANNEL}),
    (
        "image.ExtractPatches",
        {"size": [2, 2, 2]},
        ("b d h w c",),
        {"d": Role.DEPTH, "h": Role.HEIGHT, "c": Role.CHANNEL},
    ),
    ("numpy.Matmul", {}, ("b t c", "c n"), {"t": Role.UNKNOWN, "c": Role.UNKNOWN, "n": Role.UNKNOWN}),
]


@pytest.mark.parametrize(
    ("name", "config", "args", "roles"), ROLES, ids=lambda v: str(v)[:40].replace(" ", "_")
)
def test_what_an_op_tells_of_its_operands(name: str, config: Any, args: Any, roles: dict[str, Role]) -> None:
    axes = Axes()
    call(axes, name, config, *args)
    assert {letter: axes.known.role(axes[letter].origin) for letter in roles} == roles


def test_a_resized_axis_keeps_its_role_and_its_source() -> None:
    height = new_axis(symbol("H"), Role.HEIGHT)
    x = Value((new_axis(symbol("B")), height, new_axis(3)))
    for name, config in (
        ("Pad", {"pad_width": [[0, 0], [1, 1], [0, 0]]}), ("Tile", {"repeats": [1, 2, 1]}),
        ("Diff", {"n": 1, "axis": 1}),
        ("Repeat", {"repeats": 2, "axis": 1}), ("Split", {"indices_or_sections": 2, "axis": 1}),
    ):  # fmt: skip
        result = OPS["numpy", name](
            Call(Operation("op", "op", name, config, "keras.src.ops.numpy"), (x,), {})
        )
        value = result[0] if isinstance(result, list) else result
        assert value.axes is not None
        assert value.axes[1].role is Role.HEIGHT, name
        assert value.axes[1].origin.derived is height.origin, name
        assert not value.axes[1].is_same(height), name
