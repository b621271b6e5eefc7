"""Random configurations of the families with the most arithmetic, against Keras.

The rule must accept the configurations that Keras accepts, with equal sizes, and refuse the others. Open sizes are
evaluated and compared with Keras's shape at those sizes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewriter.errors import BadFileError
from rewriter.ir.axis import Role, Value, new_axis
from rewriter.ir.graph import Operation
from rewriter.ir.size import Size, symbol
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of rules
from rewriter.shapes.call import LAYERS, Call, OpaqueError, ShapeError
from tests.ir.evaluate import evaluate
from tests.shapes import tally

keras = pytest.importorskip("keras")

PROPERTIES: dict[str, tuple[tuple[Any, ...], Callable[..., None]]] = {}


def prop(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a property, with few examples by default and many in the slow run."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        PROPERTIES[function.__name__] = (strategies, function)
        return function

    return register


ASSIGNMENTS = ((7, 11, 13, 17, 19), (8, 12, 9, 16, 10))


def ours(class_name: str, config: dict[str, Any], shape: tuple[int | None, ...]) -> Value | None:
    """The rule's result on the config after JSON, None if it refuses."""
    sizes: list[Size] = [symbol(f"N{n}") if s is None else s for n, s in enumerate(shape)]
    axes = tuple(new_axis(s, Role.BATCH if n == 0 else Role.UNKNOWN) for n, s in enumerate(sizes))
    text = json.loads(json.dumps({"dtype": "float32", **config}))
    try:
        return LAYERS[class_name](Call(Operation("x", "layer", class_name, text), (Value(axes),), {}))
    except (BadFileError, ShapeError):
        return None


def agree(class_name: str, config: dict[str, Any], shape: tuple[int | None, ...]) -> None:
    """Both refuse, or both give the same sizes."""
    value = ours(class_name, config, shape)
    try:
        layer = getattr(keras.layers, class_name)(**config)
        wanted = tuple(layer(keras.Input(batch_shape=shape)).shape)
    except (ValueError, TypeError, ZeroDivisionError, IndexError, AttributeError):
        assert value is None, f"Keras refuses {class_name}({config}) on {shape}, the rule gives {value}"
        return
    if 0 in wanted:  # an empty tensor, which the rules refuse
        assert value is None or 0 in [axis.size for axis in value.axes or ()]
        return
    assert value is not None, f"Keras gives {wanted} for {class_name}({config}) on {shape}, the rule refuses"
    assert value.axes is not None and len(value.axes) == len(wanted)
    tally.count("layer", class_name, cases=1)
    for axis, size in zip(value.axes, wanted, strict=True):
        assert size is None or axis.size == size, (
            f"{class_name}({config}) on {shape}: {value.text()}, Keras {wanted}"
        )
    for numbers in ASSIGNMENTS:
        concrete = tuple(n if s is None else s for s, n in zip(shape, numbers, strict=False))
        try:
            stated = layer.compute_output_shape(concrete)
        except ValueError:
            continue
        given = {f"N{n}": size for n, size in enumerate(concrete)}
        found = tuple(evaluate(axis.size, given) for axis in value.axes)
        assert found == tuple(stated), (
            f"{class_name}({config}) on {shape} at {concrete}: {value.text()}, Keras {stated}"
        )


def sizes(least: int = 1, most: int = 12) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.integers(least, most))


@st.composite
def image_shapes(draw: st.DrawFn, n: int, data_format: str, channels: tuple[int, ...] = (1, 4, 6)) -> Any:
    spatial = [draw(sizes()) for _ in range(n)]
    channel = draw(st.sampled_from(channels))
    inner = [channel, *spatial] if data_format == "channels_first" else [*spatial, channel]
    return (draw(st.sampled_from([None, 2])), *inner)


def scalar_or_tuple(n: int, least: int, most: int) -> st.SearchStrategy[Any]:
    one = st.integers(least, most)
    return st.one_of(one, st.tuples(*[one] * n))


def data_formats() -> st.SearchStrategy[str]:
    return st.sampled_from(["channels_last", "channels_first"])


@st.composite
def windows(draw: st.DrawFn, paddings: list[str], name: str = "kernel_size") -> Any:
    n = draw(st.integers(1, 3))
    data_format = draw(data_formats())
    config = {
        name: draw(scalar_or_tuple(n, 1, 5)),
        "strides": draw(scalar_or_tuple(n, 1, 4)),
        "padding": draw(st.sampled_from(paddings)),
        "data_format": data_format,
    }
    return n, config, draw(image_shapes(n, data_format))


@prop(windows(["valid", "same", "VALID", "causal"]), st.data())
def convolution(drawn: Any, data: st.DataObject):
    n, config, shape = drawn
    config |= {
        "filters": data.draw(st.integers(0, 6)),
        "dilation_rate": data.draw(st.one_of(st.just(1), scalar_or_tuple(n, 1, 3))),
        "groups": data.draw(st.sampled_from([1, 1, 1, 2, 3])),
    }
    agree(f"Conv{n}D", config, shape)


@prop(windows(["valid", "same"]), st.data())
def depthwise_and_separable_convolution(drawn: Any, data: st.DataObject):
    n, config, shape = drawn
    n = min(n, 2)
    if len(shape) != n + 2:
        return
    config |= {"depth_multiplier": data.draw(st.integers(0, 3))}
    agree(f"DepthwiseConv{n}D", config, shape)
    agree(f"SeparableConv{n}D", {"filters": data.draw(st.integers(1, 4)), **config}, shape)


@prop(windows(["valid", "same"]), st.data())
def transposed_convolution(drawn: Any, data: st.DataObject):
    n, config, shape = drawn
    config |= {
        "filters": data.draw(st.integers(1, 4)),
        "dilation_rate": data.draw(st.one_of(st.just(1), scalar_or_tuple(n, 1, 3))),
        "output_padding": data.draw(st.one_of(st.none(), scalar_or_tuple(n, 0, 3))),
    }
    agree(f"Conv{n}DTranspose", config, shape)


@prop(windows(["valid", "same"], "pool_size"), st.sampled_from(["Max", "Average"]), st.booleans())
def pooling(drawn: Any, kind: str, default: bool):
    n, config, shape = drawn
    if default:
        config["strides"] = None
    agree(f"{kind}Pooling{n}D", config, shape)


def ends(n: int) -> st.SearchStrategy[Any]:
    one = st.integers(-1, 3)
    pair = st.tuples(one, one)
    if n == 1:
        return st.one_of(one, pair)
    return st.one_of(
        one, st.tuples(*[one] * n), st.tuples(*[pair] * n), st.tuples(*[st.one_of(one, pair)] * n)
    )


@prop(st.integers(1, 3), st.data())
def padding_and_cropping(n: int, data: st.DataObject):
    data_format = data.draw(data_formats()) if n > 1 else "channels_last"
    shape = data.draw(image_shapes(n, data_format))
    more = {"data_format": data_format} if n > 1 else {}
    padding = data.draw(ends(n))
    if (
        n == 1 or padding != -1
    ):  # with one number for all sides, Keras 3.15 accepts a negative one until a run
        agree(f"ZeroPadding{n}D", {"padding": padding, **more}, shape)
    agree(f"Cropping{n}D", {"cropping": data.draw(ends(n)), **more}, shape)


@prop(st.integers(1, 3), st.data())
def up_sampling(n: int, data: st.DataObject):
    data_format = data.draw(data_formats()) if n > 1 else "channels_last"
    shape = data.draw(image_shapes(n, data_format))
    more = {"data_format": data_format} if n > 1 else {}
    size = st.integers(0, 4) if n == 1 else scalar_or_tuple(n, 0, 4)
    agree(f"UpSampling{n}D", {"size": data.draw(size), **more}, shape)


@prop(st.data())
def reshape(data: st.DataObject):
    parts = data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 5]), max_size=4))
    rest = tuple(parts)
    target: list[int] = []
    pool = list(rest)
    while pool:
        take = data.draw(st.integers(1, len(pool)))
        product = 1
        for part in pool[:take]:
            product *= part
        target.append(product)
        pool = pool[take:]
    if data.draw(st.booleans()):
        target.insert(data.draw(st.integers(0, len(target))), 1)
    if target and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.sampled_from([-1, -1, 6, 0]))
    agree("Reshape", {"target_shape": tuple(target)}, (None, *rest))


@prop(st.lists(sizes(), min_size=1, max_size=4), st.data())
def reshape_of_open_sizes(rest: list[int | None], data: st.DataObject):
    target = data.draw(st.lists(st.sampled_from([-1, 1, 2, 3, 4]), min_size=1, max_size=3))
    shape = (None, *rest)
    config = {"target_shape": tuple(target)}
    value = ours("Reshape", config, shape)
    try:
        wanted = keras.layers.Reshape(**config)(keras.Input(batch_shape=shape)).shape
    except (ValueError, TypeError):
        assert value is None
        return
    if value is None:
        # The rule proves the split impossible from symbols: Keras must refuse it at all sizes of the open axes.
        for numbers in ASSIGNMENTS:
            concrete = tuple(n if s is None else s for s, n in zip(shape, numbers, strict=False))
            with pytest.raises(ValueError):
                keras.layers.Reshape(**config).compute_output_shape(concrete)
        return
    assert all(size is None or axis.size == size for axis, size in zip(value.axes or (), wanted, strict=True))


@prop(st.permutations([1, 2, 3]), st.lists(sizes(), min_size=2, max_size=4))
def permute(dims: list[int], rest: list[int | None]):
    agree("Permute", {"dims": tuple(dims)}, (None, *rest))


@prop(
    st.sampled_from(["LSTM", "GRU", "SimpleRNN"]),
    st.integers(0, 4),
    st.booleans(),
    st.booleans(),
    st.tuples(st.sampled_from([None, 2]), sizes(), st.integers(1, 5)),
)
def recurrent(name: str, units: int, sequences: bool, backwards: bool, shape: Any):
    agree(name, {"units": units, "return_sequences": sequences, "go_backwards": backwards}, shape)


@prop(st.integers(1, 3), st.data())
def conv_lstm(n: int, data: st.DataObject):
    data_format = data.draw(data_formats())
    batch, *rest = data.draw(image_shapes(n, data_format))
    if any(size is None for size in rest):
        return  # Keras 3.15 builds no convolutional LSTM on open spatial sizes
    config = {
        "filters": data.draw(st.integers(1, 4)),
        "kernel_size": data.draw(scalar_or_tuple(n, 1, 4)),
        "strides": data.draw(scalar_or_tuple(n, 1, 3)),
        "padding": data.draw(st.sampled_from(["valid", "same"])),
        "dilation_rate": data.draw(st.sampled_from([1, 1, 2])),
        "data_format": data_format,
        "return_sequences": data.draw(st.booleans()),
    }
    agree(f"ConvLSTM{n}D", config, (batch, data.draw(sizes()), *rest))


@prop(st.lists(sizes(), min_size=0, max_size=4), data_formats())
def flatten(rest: list[int | None], data_format: str):
    agree("Flatten", {"data_format": data_format}, (None, *rest))


@prop(
    st.sampled_from(["BatchNormalization", "LayerNormalization", "GroupNormalization"]),
    st.integers(-5, 5),
    st.data(),
)
def normalization(name: str, axis: int, data: st.DataObject):
    rest = data.draw(st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3))
    config: dict[str, Any] = {"axis": axis}
    if name == "GroupNormalization":
        config["groups"] = data.draw(st.sampled_from([-1, 0, 1, 2, 3, 4]))
    agree(name, config, (2, *rest))


@prop(
    st.sampled_from(["one_hot", "multi_hot", "count", "int"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def discretization(mode: str, rest: list[int]):
    try:
        agree("Discretization", {"bin_boundaries": [0.0, 1.0], "output_mode": mode}, (None, *rest))
    except OpaqueError:
        pytest.fail("every size is known")


def tried(name: str, examples: int, derandomize: bool) -> None:
    strategies, function = PROPERTIES[name]
    wanted = settings(
        max_examples=examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    wanted(given(*strategies)(function))()


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_agrees_with_keras(name: str):
    tried(name, 80, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_agrees_with_keras_at_length(name: str):
    tried(name, 3000, derandomize=False)
