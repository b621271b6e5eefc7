"""The axis rules of TensorFlow operators against TensorFlow's own inference of shapes, with every size known and open.

Each case is traced twice; TensorFlow records the shape of every tensor in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from rewriter.formats.registry import open_model
from rewriter.ir.axis import Value, new_axis
from rewriter.ir.graph import Operation
from rewriter.ir.size import symbol
from rewriter.shapes.call import TF, Call
from rewriter.shapes.infer import infer
from rewriter.shapes.tf.naming import TRANSPOSED

Case = tuple[Callable[..., Any], Sequence[Sequence[int]]]
raw = tf.raw_ops


def _case(function: Callable[..., Any], *shapes: Sequence[int]) -> Case:
    return function, shapes


X4, X3, X2 = (2, 12, 14, 6), (2, 7, 6), (2, 6)
ODD = (2, 13, 15, 6)
CASES: dict[str, Case] = {
    "binary": _case(lambda a, b: tf.maximum(a * b, a - b) / (a + b) ** 2, X3, (6,)),
    "broadcast": _case(lambda a, b: tf.math.squared_difference(a, b), (2, 1, 6), (5, 1)),
    "floor": _case(lambda a, b: tf.math.floordiv(a, b) + tf.math.floormod(a, b) + tf.math.divide_no_nan(a, b), X3, X3),
    "compare": _case(lambda a, b: tf.logical_or(a > b, tf.equal(a, b)) & tf.math.is_finite(a), X3, (6,)),
    "where": _case(lambda a, b: tf.where(a > 0, a, b), X3, (7, 1)),
    "unary": _case(lambda a: tf.nn.softmax(tf.math.rsqrt(tf.exp(a))) + tf.nn.relu6(tf.nn.leaky_relu(-a)), X3),
    "cast": _case(lambda a: tf.cast(tf.cast(a, tf.int32), tf.float16), X3),
    "bitcast": _case(lambda a: tf.bitcast(a, tf.int32), X3),
    "bitcast-narrow": _case(lambda a: (tf.bitcast(a, tf.int8), tf.bitcast(a, tf.bfloat16)), X3),
    "bitcast-wide": _case(lambda a: tf.bitcast(a, tf.float64), (2, 7, 2)),
    "add-n": _case(lambda a, b: tf.add_n([a, b, a]), X3, X3),
    "bias": _case(lambda a, b: tf.nn.bias_add(a, b), X4, (6,)),
    "matmul": _case(lambda a, b: tf.linalg.matmul(a, b), X2, (6, 5)),
    "matmul-transposed": _case(lambda a, b: tf.linalg.matmul(a, b, transpose_a=True, transpose_b=True), X2, (5, 2)),
    "batch-matmul": _case(lambda a, b: tf.linalg.matmul(a, b), (2, 3, 7, 6), (6, 5)),
    "batch-matmul-transposed": _case(lambda a, b: tf.linalg.matmul(a, b, transpose_b=True), (2, 3, 7, 6), (2, 1, 5, 6)),
    "einsum": _case(lambda a, b: tf.einsum("bij,bkj->bik", a, b), X3, (2, 5, 6)),
    "einsum-ellipsis": _case(lambda a, b: tf.einsum("...ij,jk->...ik", a, b), (2, 3, 7, 6), (6, 5)),
    "concat": _case(lambda a, b: tf.concat([a, b], -1), X3, (2, 7, 4)),
    "stack": _case(lambda a, b: tf.stack([a, b], 1), X3, X3),
    "unstack": _case(lambda a: tf.unstack(a, axis=1), X3),
    "split": _case(lambda a: tf.split(a, 3, -1), X3),
    "split-sizes": _case(lambda a: tf.split(a, [1, 2, -1], -1), X3),
    "pad": _case(lambda a: tf.pad(a, [[0, 0], [1, 2], [0, 3]]) , X3),
    "mirror-pad": _case(lambda a: tf.pad(a, [[0, 0], [1, 2], [0, 3]], "REFLECT"), X3),
    "reshape": _case(lambda a: tf.reshape(a, [-1, 3, 14]), X3),
    "reshape-by-shape": _case(lambda a: tf.reshape(a, [tf.shape(a)[0], 42]), X3),
    "transpose": _case(lambda a: tf.transpose(a, [0, 3, 1, 2]), X4),
    "expand": _case(lambda a: tf.squeeze(tf.expand_dims(tf.expand_dims(a, 1), -1), [1]), X3),
    "tile": _case(lambda a: tf.tile(a, [1, 3, 2]), X3),
    "broadcast-to": _case(lambda a: tf.broadcast_to(a, [5, 2, 7, 6]), (2, 1, 6)),
    "slice": _case(lambda a: tf.slice(a, [0, 1, 2], [-1, 3, -1]), X3),
    "index": _case(lambda a: (a[:, 0], a[..., 2:5], a[:, ::2, None], a[:, -3:-1], a[:, 1, ..., 3]), X3),
    "gather": _case(lambda a: tf.gather(a, [[0, 2], [1, 1]], axis=1), X3),
    "gather-batch": _case(lambda a: tf.gather(a, tf.zeros((2, 3), tf.int32), axis=1, batch_dims=1), (2, 7, 6)),
    "gather-nd": _case(lambda a: tf.gather_nd(a, [[0, 1], [1, 2]]), X3),
    "top-k": _case(lambda a: tf.math.top_k(a, 3), X3),
    "one-hot": _case(lambda a: tf.one_hot(tf.cast(a, tf.int32), 9, axis=1), X3),
    "reduce": _case(lambda a: (tf.reduce_mean(a, [1, 2]), tf.reduce_max(a, -1, True), tf.reduce_prod(a)), X4),
    "arg": _case(lambda a: tf.argmax(a, 1), X3),
    "any": _case(lambda a: tf.reduce_any(a > 0, 1), X3),
    "cumulative": _case(lambda a: tf.reverse(tf.cumsum(a, 1), [1]), X3),
    "made": _case(lambda a: tf.fill([2, 3], 1.0) + tf.reduce_sum(tf.zeros_like(a)), X3),
    "range": _case(lambda a: tf.cast(tf.range(0, 12, 5), tf.float32) + tf.reduce_sum(a), X3),
    "random": _case(lambda a: tf.random.normal([2, 3]) + tf.random.uniform([3]) + tf.reduce_sum(a), X3),
    "conv-same": _case(lambda a: tf.nn.conv2d(a, tf.ones((3, 3, 6, 5)), 2, "SAME"), ODD),
    "conv-valid": _case(lambda a: tf.nn.conv2d(a, tf.ones((3, 3, 6, 5)), 1, "VALID", dilations=2), X4),
    "conv-padded": _case(lambda a: tf.nn.conv2d(a, tf.ones((3, 3, 6, 5)), 2, [[0, 0], [1, 2], [3, 0], [0, 0]]), ODD),
    "conv-groups": _case(lambda a: tf.nn.conv2d(a, tf.ones((3, 3, 2, 9)), 1, "SAME"), X4),
    "conv-first": _case(lambda a: raw.Conv2D(
        input=a, filter=tf.ones((3, 3, 12, 5)), strides=[1, 1, 2, 2], padding="VALID", data_format="NCHW"), X4),
    "conv-1d": _case(lambda a: tf.nn.conv1d(a, tf.ones((3, 6, 5)), 2, "VALID"), X3),
    "conv-3d": _case(lambda a: tf.nn.conv3d(a, tf.ones((3, 3, 3, 6, 5)), [1, 2, 2, 1, 1], "SAME"), (2, 8, 9, 7, 6)),
    "depthwise": _case(lambda a: tf.nn.depthwise_conv2d(a, tf.ones((3, 3, 6, 2)), [1, 2, 2, 1], "SAME"), ODD),
    "conv-transpose": _case(
        lambda a: tf.nn.conv2d_transpose(a, tf.ones((3, 3, 5, 6)), [2, 24, 28, 5], 2, "SAME"), X4),
    "pool": _case(lambda a: (tf.nn.max_pool2d(a, 3, 2, "VALID"), tf.nn.avg_pool2d(a, 3, 2, "SAME")), ODD),
    "pool-3d": _case(lambda a: tf.nn.max_pool3d(a, 2, 2, "VALID"), (2, 8, 9, 7, 6)),
    "batch-norm": _case(lambda a: raw.FusedBatchNormV3(
        x=a, scale=tf.ones(6), offset=tf.ones(6), mean=tf.ones(6), variance=tf.ones(6), is_training=False).y, X4),
    "resize": _case(lambda a: (tf.image.resize(a, (5, 9)), tf.image.resize(a, (24, 28), "nearest")), X4),
    "blocks": _case(lambda a: (tf.nn.depth_to_space(a, 2), tf.nn.space_to_depth(a, 2)), (2, 12, 14, 8)),
    "patches": _case(lambda a: tf.image.extract_patches(a, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"), ODD),
    "diagonal": _case(lambda a: tf.linalg.diag_part(tf.linalg.band_part(a, 1, 1)), (2, 7, 7)),
    "branches": _case(lambda a, b: tf.cond(tf.reduce_sum(a) > 0, lambda: a * b, lambda: a + b), X3, X3),
    "loop": _case(lambda a: tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, a)), X3),
}  # fmt: skip

# If only one side knows a value, that is neither right nor wrong.
Shapes = tuple[list[Any], list[Any]]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str, Shapes]]]:
    """The nodes of every case: operator, name, and the sizes from TensorFlow and from the rules."""
    path = tmp_path_factory.mktemp("rules") / "model"
    module, signatures = tf.Module(), {}
    for name, (function, shapes) in CASES.items():
        for suffix, open_ in (("", False), ("-open", True)):
            sizes = [[None, *s[1:]] if open_ and s[0] == 2 else s for s in shapes]
            specs = [tf.TensorSpec(s, tf.float32, name="abc"[n]) for n, s in enumerate(sizes)]
            made = tf.function(function, input_signature=specs)
            setattr(module, f"{name}{suffix}".replace("-", "_"), made)
            signatures[f"{name}{suffix}"] = made.get_concrete_function().name
    tf.saved_model.save(module, str(path))
    found: dict[str, list[tuple[str, str, Shapes]]] = {}
    with open_model(str(Path(path))) as model:
        inner = {n: i for subs in infer(model.graph).inner.values() for n, i in subs}
        where = model.source.objects.paths()
        for unit_name, (place, _) in where.items():
            unit = model.source.units[unit_name]
            nodes = list(_nodes(unit, inner[unit_name]))
            found.setdefault(place[0].replace("_", "-"), []).extend(nodes)
    return found


def _nodes(unit: Any, inference: Any) -> Iterator[tuple[str, str, Shapes]]:
    for name, why in {**inference.faults, **inference.opaque}.items():
        yield why, name, ([], None)
    for name, node in unit.nodes.items():
        for shape, value in zip(node.shapes, inference.values.get(name, ()), strict=False):
            if shape is not None and value.dtype not in ("resource", "variant"):
                yield (
                    node.op,
                    name,
                    (list(shape), None if value.axes is None else [a.size for a in value.axes]),
                )


@pytest.mark.parametrize("name", CASES)
def test_sizes_are_those_of_tensorflow(name: str, traced: dict[str, Any]):
    assert traced[name]
    for op, node, (theirs, ours) in traced[name]:
        assert ours == theirs, (op, node)


def test_an_open_batch_is_not_repeated_to_a_number(traced: dict[str, Any]):
    """TensorFlow takes it, and it runs at batches of 1 and of that number only."""
    assert [why for why, _, (_, ours) in traced["broadcast-to-open"] if ours is None] == [
        "cannot repeat batch=B to 2"
    ]


@pytest.mark.parametrize("name", sorted(set(CASES) - {"broadcast-to"}))
def test_with_an_open_batch_none_is_contradicted(name: str, traced: dict[str, Any]):
    for op, node, (theirs, ours) in traced[f"{name}-open"]:
        assert ours is not None and len(ours) == len(theirs), (op, node, theirs, ours)
        for a, b in zip(theirs, ours, strict=True):
            assert a is None or a == b, (op, node, theirs, ours)


def test_a_slice_up_to_a_symbolic_end_is_never_longer_than_its_axis():
    n = symbol("n")
    x = Value((new_axis(n),))
    for end, size in ((2 * n, n), (n - 1, n - 1), (0 - symbol("t"), n - symbol("t"))):
        begin, stop, step = (Value((new_axis(1),), "int64", constant=[k]) for k in (0, end, 1))
        call = Call(Operation("s", "op", "StridedSlice", {}, "tf"), (x, begin, stop, step), {})
        assert TF["StridedSlice"](call).sizes == (size,)


def test_every_rule_is_of_an_operator_of_tensorflow():
    """A rule with a name that TensorFlow lacks would never run."""
    known = set(dir(raw))
    own = {"Resource"}
    assert not {name.removesuffix(TRANSPOSED) for name in TF} - known - own - _OTHERS


# Operators of graphs that were optimised, which ``tf.raw_ops`` does not list.
_OTHERS = {"XlaEinsum", "_EagerConst", "_FusedBatchNormEx"}
