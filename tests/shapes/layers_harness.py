"""One layer under two judges: compare the axis rule with Keras's symbolic call and with its real one.

`check` builds a model around the layer, saves it as JSON, infers axes and compares every
output's shape and dtype with the symbolic call; sizes that Keras leaves open are evaluated and compared with a run at
two batches. Keras's symbolic shapes are not always true: a case marked ``untrue`` must disagree with them and agree
with the run. The mark fails once Keras is fixed.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rewriter.errors import BadFileError
from rewriter.formats.keras.config import _operation, read_model
from rewriter.ir.graph import Graph, Node, TensorRef, map_leaves
from rewriter.ir.size import is_unknown
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of rules
from rewriter.shapes.infer import infer
from rewriter.shapes.inference import Inference
from tests.ir.evaluate import evaluate
from tests.shapes import tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rewriter.ir.axis import Value

Shape = tuple[int | None, ...]
BATCHES = (2, 3)
# Sizes for the open axes of an input, by position: distinct, and larger than the windows of the tables.
FREE = ((13, 17, 19, 23, 29), (20, 14, 18, 16, 15))


@dataclass(frozen=True)
class Case:
    """``build()`` makes the layer, which is called on inputs of these shapes (``pack`` combines several)."""

    build: Callable[[], Any]
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...] = ("float32",)
    kwargs: dict[str, Any] = field(default_factory=dict)
    pack: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]] | None = None
    untrue: str = ""
    low: int = 0
    high: int = 2
    run: bool = True
    open: bool = False
    alone: bool = False

    def inputs(self) -> list[Any]:
        import keras

        dtypes = itertools.cycle(self.dtypes)
        return [keras.Input(batch_shape=s, dtype=d) for s, d in zip(self.shapes, dtypes, strict=False)]

    def packed(self, tensors: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.pack is not None:
            args, kwargs = self.pack(*tensors)
            return args, {**kwargs, **self.kwargs}
        return (tensors[0] if len(tensors) == 1 else list(tensors),), self.kwargs


def case(build: Callable[[], Any], *shapes: Shape, **options: Any) -> Case:
    """A case of the tables; ``dtype`` is one for all inputs or one for each."""
    dtype = options.pop("dtype", "float32")
    dtypes = (dtype,) if isinstance(dtype, str) else tuple(dtype)
    return Case(build, shapes, dtypes, **options)


@dataclass
class Symbolic:
    """Keras's symbolic call and ours, of one case."""

    layer: Any
    inputs: list[Any]
    outputs: list[Any]
    inference: Inference
    values: list[Value]


def inferred(model: Any, path: Path | None = None) -> Inference:
    """Axes of a model from the JSON that Keras saves; with ``path``, from the file itself."""
    import keras

    if path is None:
        text = json.dumps(keras.saving.serialize_keras_object(model))
    else:
        import zipfile

        model.save(path)
        text = zipfile.ZipFile(path).read("config.json").decode()
    return infer(read_model(json.loads(text)))


def symbolic(item: Case, path: Path | None = None, mask: bool = False) -> Symbolic:
    """Both symbolic calls. With ``mask`` every input goes through a Masking layer first."""
    import keras

    layer = item.build()
    inputs = item.inputs()
    tensors = [keras.layers.Masking()(x) for x in inputs] if mask else inputs
    args, kwargs = item.packed(tensors)
    if item.alone:
        inference = infer(lone_call(item, layer, inputs))
        outputs = keras.tree.flatten(layer(*args, **kwargs))
    else:
        outputs = keras.tree.flatten(layer(*args, **kwargs))
        inference = inferred(keras.Model(inputs, outputs), path)
    assert not inference.faults, f"{describe(item)}: Keras takes it, the rule says {inference.faults}"
    assert not inference.opaque, f"{describe(item)}: nothing is said of {inference.opaque}"
    return Symbolic(layer, inputs, outputs, inference, inference.values[layer.name])


def lone_call(item: Case, layer: Any, inputs: list[Any]) -> Graph:
    """A graph of the inputs and one call of the layer, which Keras need not have called."""
    import keras

    text = json.dumps(keras.saving.serialize_keras_object(keras.Model(inputs, inputs)))
    graph = read_model(json.loads(text))
    operation = _operation(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))), 0)

    def ref(leaf: Any) -> Any:
        return TensorRef(source[id(leaf)]) if id(leaf) in source else leaf

    source = {id(x): graph.input_refs()[n].node for n, x in enumerate(inputs)}
    args, kwargs = item.packed(inputs)
    graph.add(Node(operation.name, operation, 0, map_leaves(ref, args), map_leaves(ref, kwargs)))
    graph.link()
    return graph


def check(item: Case, path: Path | None = None) -> None:
    """Compare the rule with Keras, as the module docstring describes. Raises AssertionError."""
    import keras

    both = symbolic(item, path)
    name = type(both.layer).__name__
    tally.count("layer", name, cases=1, untrue=bool(item.untrue))
    ours = [(v.shape, v.dtype) for v in both.values]
    wanted = [(list(y.shape), keras.backend.standardize_dtype(y.dtype)) for y in both.outputs]
    agree = len(ours) == len(wanted) and all(
        d == e and _covers(a, b) for (a, d), (b, e) in zip(ours, wanted, strict=True)
    )
    if item.untrue:
        assert not agree, f"{describe(item)}: Keras is right by now, drop the mark {item.untrue!r}"
    else:
        assert agree, f"{describe(item)}: rule {ours}, Keras {wanted}"
    if item.run:
        # One run is enough if only the batch is open.
        free = any(size is None for shape in item.shapes for size in shape[1:])
        for trial in range(len(BATCHES) if free else 1):
            run_and_compare(item, both, trial)


def _covers(ours: list[int | None] | None, keras_shape: list[int | None]) -> bool:
    """Whether our shape is equal to Keras's, or more exact where Keras has None."""
    return (
        ours is not None
        and len(ours) == len(keras_shape)
        and all(k is None or o == k for o, k in zip(ours, keras_shape, strict=True))
    )


def concrete(item: Case, trial: int) -> list[tuple[int, ...]]:
    """The inputs' shapes with open sizes filled in."""
    free = FREE[trial]
    return [
        tuple(
            size if size is not None else BATCHES[trial] if place == 0 else free[(place - 1) % len(free)]
            for place, size in enumerate(shape)
        )
        for shape in item.shapes
    ]


def run_and_compare(item: Case, both: Symbolic, trial: int) -> None:
    """Run the layer on real tensors, and compare with our evaluated sizes."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(trial)
    shapes = concrete(item, trial)
    tensors = [
        tf.constant(_draw(rng, shape, x.dtype, item.low, item.high))
        for shape, x in zip(shapes, both.inputs, strict=True)
    ]
    args, kwargs = item.packed(tensors)
    try:
        outputs = keras.tree.flatten(both.layer(*args, **kwargs))
    except Exception as error:
        raise AssertionError(f"{describe(item)}: cannot run at {shapes}: {str(error)[:200]}") from error
    tally.count("layer", type(both.layer).__name__, runs=1)
    given = symbols(both, shapes)
    assert len(outputs) == len(both.values), (
        f"{describe(item)}: {len(both.values)} outputs, a run gives {len(outputs)}"
    )
    for value, output in zip(both.values, outputs, strict=True):
        assert value.axes is not None
        assert len(value.axes) == len(output.shape), (
            f"{describe(item)}: {value.text()}, a run gives {output.shape}"
        )
        for axis, real in zip(value.axes, output.shape, strict=True):
            if is_unknown(axis.size):
                tally.count("layer", type(both.layer).__name__, open=1)
                assert item.open, f"{describe(item)}: the rule leaves a size open, a run gives {output.shape}"
                continue
            size = evaluate(axis.size, given)
            assert real is None or size == real, (
                f"{describe(item)}: {value.text()} is {size} at {shapes}, a run gives {tuple(output.shape)}"
            )
        if item.untrue:
            dtype = output.dtype.name if hasattr(output.dtype, "name") else str(output.dtype)
            assert value.dtype == dtype, f"{describe(item)}: dtype {value.dtype}, a run gives {dtype}"


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, low: int, high: int) -> Any:
    kind = str(dtype)
    if kind == "string":
        return np.full(shape, "a")
    if "int" in kind:
        return rng.integers(low, high, shape).astype(kind)
    return (rng.random(shape) > 0.5) if kind == "bool" else rng.random(shape).astype(kind)


def symbols(both: Symbolic, shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """The symbols of the inputs' sizes and their values at these shapes."""
    given: dict[str, int] = {}
    for x, shape in zip(both.inputs, shapes, strict=True):
        value = both.inference.values[x._keras_history.operation.name][0]
        for axis, size in zip(value.axes or (), shape, strict=True):
            if not isinstance(axis.size, int):
                given[str(axis.size)] = size
    return given


def describe(item: Case) -> str:
    layer = item.build()
    config = {
        key: value
        for key, value in layer.get_config().items()
        if not key.endswith(("initializer", "regularizer", "constraint"))
        and key not in ("trainable", "dtype")
    }
    return f"{type(layer).__name__} on {item.shapes} {item.dtypes} with {config} {item.kwargs}"[:600]


def refused(item: Case) -> tuple[bool, bool]:
    """Whether Keras refuses the case, and whether the rule does; the rule sees the layer before Keras calls it."""
    try:
        layer, fresh = item.build(), item.build()
    except (ValueError, TypeError):
        return True, True
    inputs = item.inputs()
    graph = lone_call(item, fresh, inputs)
    args, kwargs = item.packed(inputs)
    try:
        layer(*args, **kwargs)
        keras_refuses = False
    except Exception:
        keras_refuses = True
    try:
        inference = infer(graph)
    except BadFileError:
        return keras_refuses, True
    return keras_refuses, bool(inference.faults)
