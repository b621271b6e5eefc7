"""One op against Keras: the result inferred from a saved config, Keras's declared result, and that of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from rewriter.errors import BadFileError
from rewriter.formats.keras.config import read_model
from rewriter.ir.axis import Value, new_axis
from rewriter.ir.graph import Graph, Operation
from rewriter.ir.size import is_unknown, symbol
from rewriter.shapes import layers, ops  # noqa: F401 - fills the tables of rules
from rewriter.shapes.call import OPS, Call, ShapeError
from rewriter.shapes.infer import infer
from rewriter.shapes.inference import Inference
from tests.ir.evaluate import evaluate
from tests.shapes import tally
from tests.shapes.ops_classes import make

FREE = ({0: 2, 1: 5, 2: 7, 3: 6, 4: 3}, {0: 3, 1: 11, 2: 8, 3: 9, 4: 4})
"""Sizes of the free axes by position, for two runs."""


@dataclass(frozen=True)
class Case:
    """A function of Keras tensors and its operands.

    ``takes`` are shapes, or (shape, dtype); axis 0 may be None like any other. ``values`` overrides the value of an
    operand in a run. ``declared`` is False if Keras's declared shape is wrong (the run decides), ``runs`` False if
    TensorFlow cannot run it here and None if it may refuse, ``dtype`` False if the declared dtype is not that of the
    run. Our size must be unknown at the places ``unknown_at`` of an output; for a range, it may be.
    """

    name: str
    build: Callable[..., Any]
    takes: tuple[Any, ...]
    values: Mapping[int, Any] = field(default_factory=dict)
    declared: bool = True
    runs: bool | None = True
    dtype: bool = True
    unknown_at: Container[int] = ()
    slow: bool = False

    def inputs(self) -> list[tuple[tuple[int | None, ...], str]]:
        return [t if len(t) == 2 and isinstance(t[1], str) else (t, "float32") for t in self.takes]


class Refused(Exception):
    """Keras does not build or save such a model."""


@dataclass
class Outcome:
    """The result of one case: its op classes, the sizes where ours says more than Keras's declaration, the runs."""

    classes: list[str]
    exact: int
    runs: int
    faults: dict[str, str]


def tensors(case: Case) -> list[keras.KerasTensor]:
    return [keras.Input(batch_shape=s, dtype=d, name=f"x{i}") for i, (s, d) in enumerate(case.inputs())]


def serialised(inputs: Sequence[Any], outputs: Any) -> tuple[keras.Model, Any]:
    """A functional model and its config, through JSON text."""
    model = keras.Model(list(inputs), [y for y in keras.tree.flatten(outputs) if y is not None])
    return model, json.loads(json.dumps(keras.saving.serialize_keras_object(model)))


def check(case: Case) -> Outcome:
    """Compare one case. Raises Refused if Keras refuses it, AssertionError if we differ."""
    inputs = tensors(case)
    try:
        outputs = case.build(*inputs)
        model, config = serialised(inputs, outputs)
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration, AssertionError) as error:
        raise Refused(f"{type(error).__name__}: {error}") from error
    graph = read_model(config)
    inference = infer(graph)
    assert not inference.opaque, inference.opaque
    if inference.faults:
        _refusal_is_right(case, inference.faults, model)
        _count(case, cases=1, untrue=1)
        return Outcome(classes(graph), 0, 0, inference.faults)
    ours = inference.outputs()
    exact = _against_declaration(case, ours, model.outputs) if case.declared else 0
    runs = 0
    for sizes in FREE if case.runs is not False else ():
        runs += _against_run(case, ours, inference, model, sizes)
    _count(case, cases=1, untrue=not (case.declared and case.dtype), runs=runs)
    return Outcome(classes(graph), exact, runs, {})


def _count(case: Case, **numbers: int) -> None:
    name = case.name.split()[0]
    if "." in name:
        tally.count("op", name, **numbers)


def _refusal_is_right(case: Case, faults: Mapping[str, str], model: keras.Model) -> None:
    """A case that we refuse and Keras declares must fail in a run.

    Except an open batch against a fixed one: Keras accepts it for any size, and a run at the fixed size passes.
    """
    if all("only a batch of one size" in text or "this runs at batch" in text for text in faults.values()):
        return
    try:
        model([feed for feed, _ in feeds(case, FREE[0])])
    except Exception:
        return
    raise AssertionError(f"we refuse what runs: {dict(faults)}")


def feeds(case: Case, sizes: Mapping[int, int]) -> list[tuple[Any, tuple[int, ...]]]:
    """The value of each operand in a run, and its shape."""
    result = []
    for i, (shape, dtype) in enumerate(case.inputs()):
        concrete = tuple(sizes[j] if s is None else s for j, s in enumerate(shape))
        result.append((case.values[i](concrete) if i in case.values else sample(concrete, dtype), concrete))
    return result


def refused(name: str, takes: Sequence[Sequence[int | None]], **config: Any) -> bool:
    """Whether our rule refuses such operands, called without a model: Keras would not build one."""
    family, class_name = name.split(".")
    saved = json.loads(json.dumps(make(name, **config).get_config()))
    operation = Operation("op", "op", class_name, saved, f"keras.src.ops.{family}")
    values = []
    for number, shape in enumerate(takes):
        named = [symbol(f"S{number}{place}") if s is None else s for place, s in enumerate(shape)]
        values.append(Value(tuple(new_axis(size) for size in named)))
    try:
        OPS[family, class_name](Call(operation, ([*values],) if name in LISTED else tuple(values), {}))
    except (ShapeError, BadFileError):
        return True
    return False


LISTED = ("numpy.Concatenate", "numpy.Stack")


def classes(graph: Graph) -> list[str]:
    """``family.Class`` of every op in a graph."""
    return [
        f"{op.module.rsplit('.', 1)[-1]}.{op.class_name}"
        for op in graph.operations.values()
        if op.kind == "op"
    ]


def _against_declaration(case: Case, ours: Sequence[Value], declared: Sequence[Any]) -> int:
    exact = 0
    assert len(ours) == len(declared), f"{len(ours)} outputs, Keras declares {len(declared)}"
    for value, spec in zip(ours, declared, strict=True):
        sizes = value.sizes
        assert sizes is not None and len(sizes) == len(spec.shape), (
            f"{value.text()}, Keras declares {spec.shape}"
        )
        for size, said in zip(sizes, spec.shape, strict=True):
            if said is None:
                exact += isinstance(size, int)
            else:
                assert size == said, f"{value.text()}, Keras declares {spec.shape}"
        if case.dtype:
            assert value.dtype == spec.dtype, f"{value.dtype}, Keras declares {spec.dtype}"
    return exact


def _against_run(
    case: Case, ours: Sequence[Value], inference: Inference, model: keras.Model, sizes: Mapping[int, int]
) -> bool:
    fed, symbols = feeds(case, sizes), {}
    for i, (_, concrete) in enumerate(fed):
        (value,) = inference.values[f"x{i}"]
        symbols |= {
            str(s): n for s, n in zip(value.sizes or (), concrete, strict=True) if not isinstance(s, int)
        }
    try:
        results = model([feed for feed, _ in fed])
    except Exception:
        if case.runs is None:
            return False
        raise
    flat = [y for y in keras.tree.flatten(results) if y is not None]
    assert len(flat) == len(ours)
    for value, result in zip(ours, flat, strict=True):
        shape = tuple(np.shape(result))
        assert value.rank == len(shape), f"{value.text()}, a run gives {shape}"
        for place, (size, real) in enumerate(zip(value.sizes or (), shape, strict=True)):
            if place in case.unknown_at and isinstance(case.unknown_at, tuple):
                assert is_unknown(size), f"axis {place} of {value.text()} cannot be known"
            if is_unknown(size):
                expected = case.unknown_at
                assert expected is not None and place in expected, (
                    f"axis {place} of {value.text()} is unknown"
                )
                _count(case, open=1)
            else:
                # The size of a slice holds if the slice is not empty.
                predicted = max(0, evaluate(size, symbols))
                assert predicted == real, f"{value.text()} at {symbols}, a run gives {shape}"
    return True


def sample(shape: tuple[int, ...], dtype: str) -> Any:
    """Harmless numbers: small, positive, distinct along every axis."""
    rng = np.random.default_rng(0)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if "int" in dtype:
        return rng.integers(0, 2, shape).astype(dtype)
    data = (rng.random(shape) * 0.8 + 0.1).astype("float32")
    return keras.ops.cast(data, dtype) if dtype != "float32" else data
