"""The argument sets of Keras's own tests, which its wheel contains, as cases for the axis rules.

`layer_sets` runs the test methods of Keras's layers that call ``run_layer_test``, which here only records its
arguments; `op_sets` runs those of ``keras.ops`` that make symbolic tensors, and records every symbolic call. The
assertions of a method do not matter, nor whether it passes. `compare_layers` and `compare_ops` run the recorded sets
through the harnesses of this directory.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import inspect
import io
import logging
import pkgutil
import sys
import unittest
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import keras
import keras.src.layers
import keras.src.ops
import numpy as np
import pytest
from keras.src import backend, testing
from keras.src.ops.operation import Operation
from keras.src.utils import traceback_utils

from rewriter.errors import BadFileError, UnsupportedError
from rewriter.shapes.layers.opaque import OPAQUE
from rewriter.shapes.ops.opaque import OPAQUE_OPS
from tests.shapes import layers_harness, ops_harness

Shape = tuple[int | None, ...]


@dataclass
class LayerSet:
    """The arguments of a test for ``run_layer_test``, with its inputs as a structure of (shape, dtype)."""

    test: str
    layer: type
    config: dict[str, Any]
    inputs: Any
    call: dict[str, Any]
    expected: Any
    given: dict[str, Any]

    def key(self) -> str:
        return repr((self.layer.__name__, self.config, self.inputs, self.call))


@dataclass
class OpSet:
    """A symbolic call that a test makes."""

    test: str
    op: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{type(self.op).__module__.rsplit('.', 1)[-1]}.{type(self.op).__name__}"

    def key(self) -> str:
        def told(leaf: Any) -> Any:
            return _told(leaf) if _is_tensor(leaf) else repr(leaf)

        try:
            config = {k: v for k, v in self.op.get_config().items() if k != "name"}
        except NotImplementedError:
            config = vars(self.op)
        leaves = keras.tree.flatten((self.args, self.kwargs))
        return repr((self.name, config, [told(leaf) for leaf in leaves], sorted(self.kwargs)))


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, keras.KerasTensor) or backend.is_tensor(leaf)


def _told(tensor: Any) -> tuple[Shape, str]:
    """The record of an operand: a sparse one counts as dense, a real one as symbolic."""
    return tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)


@dataclass
class Report:
    """The numbers of sets and of compared sets, the reasons for the others, and the disagreements."""

    collected: int = 0
    distinct: int = 0
    compared: int = 0
    variants: int = 0
    runs: int = 0
    expected: int = 0
    untrue: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        return "\n".join(
            [
                f"{self.collected} argument sets, {self.distinct} distinct, of {len(self.classes)} classes; "
                f"{self.compared} compared in {self.variants} variants, {self.runs} with runs, "
                f"{self.expected} with the shape that the test expects",
                *(f"  Keras wrong: {n} x {why}" for why, n in self.untrue.most_common()),
                *(f"  skipped: {n} x {why}" for why, n in self.skipped.most_common()),
                f"  {len(self.faults)} disagreements",
                *(f"    {fault}" for fault in self.faults),
            ]
        )


class Skip(Exception):
    """The set cannot be compared, with the reason."""


# -- running Keras's tests ----------------------------
def modules(package: Any) -> Iterator[str]:
    """The test modules below a package of Keras."""
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name.endswith("_test"):
            yield module.name


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Restore Keras's global settings afterwards, and print nothing."""
    settings = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()
    filtering = traceback_utils.is_traceback_filtering_enabled()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        keras.config.set_floatx(settings[0])
        keras.config.set_image_data_format(settings[1])
        keras.config.set_dtype_policy(settings[2])
        (keras.config.enable_traceback_filtering if filtering else keras.config.disable_traceback_filtering)()
        keras.utils.clear_session(free_memory=False)


NOT_IMPORTED: dict[str, str] = {}
"""Test modules that could not be imported, with the reason."""


def run_methods(names: Sequence[str], words: Sequence[str]) -> None:
    """Run the test methods of these modules whose source has one of the words."""
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            NOT_IMPORTED[name] = str(error)
            continue
        for _, group in inspect.getmembers(module, inspect.isclass):
            if not issubclass(group, unittest.TestCase) or group.__module__ != name:
                continue
            for method in unittest.TestLoader().getTestCaseNames(group):
                source = inspect.getsource(inspect.unwrap(getattr(group, method)))
                if any(word in source for word in words):
                    with _quietly():
                        group(method).run(unittest.TestResult())


def layer_sets(names: Sequence[str] | None = None) -> list[LayerSet]:
    """The argument sets that the tests of Keras's layers pass to ``run_layer_test``."""
    found: list[LayerSet] = []
    signature = inspect.signature(testing.TestCase.run_layer_test)

    def note(test: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(test, *args, **kwargs)
        given.apply_defaults()
        all_of = dict(given.arguments)
        config, call = dict(all_of["init_kwargs"] or {}), dict(all_of["call_kwargs"] or {})
        expected = all_of["expected_output_shape"]
        if expected is None and all_of["expected_output"] is not None:
            expected = keras.tree.map_structure(lambda x: tuple(np.shape(x)), all_of["expected_output"])
        inputs = _inputs(all_of)
        found.append(LayerSet(test.id(), all_of["layer_cls"], config, inputs, call, expected, all_of))

    with mock.patch.object(testing.TestCase, "run_layer_test", note), _stand_ins():
        run_methods(list(modules(keras.src.layers)) if names is None else names, ("run_layer_test",))
    return found


@dataclass(frozen=True)
class Spec:
    """An input of a layer; a leaf for ``keras.tree``."""

    shape: Shape
    dtype: str


def _inputs(given: dict[str, Any]) -> Any:
    data, shape, dtype = given["input_data"], given["input_shape"], given["input_dtype"]
    if data is not None:
        return keras.tree.map_structure(_spec, data)

    def walk(shape: Any, dtype: Any) -> Any:
        if isinstance(shape, (list, tuple)) and all(n is None or isinstance(n, int) for n in shape):
            return Spec(tuple(shape), dtype or "float32")
        if isinstance(shape, dict):
            return {k.removesuffix("_shape"): walk(s, dtype and dtype[k]) for k, s in shape.items()}
        return type(shape)(walk(s, dtype and dtype[n]) for n, s in enumerate(shape))

    return None if shape is None else walk(shape, dtype)


def _spec(data: Any) -> Spec:
    if not hasattr(data, "dtype"):
        data = np.array(data)
    dtype = str(getattr(data.dtype, "name", data.dtype))
    return Spec(tuple(data.shape), "string" if dtype.startswith(("str", "object", "bytes")) else dtype)


def op_sets(names: Sequence[str] | None = None) -> list[OpSet]:
    """The symbolic calls of ops that Keras's tests of them make."""
    found: list[OpSet] = []
    real = Operation.symbolic_call
    running = [""]

    def note(op: Operation, *args: Any, **kwargs: Any) -> Any:
        outputs = real(op, *args, **kwargs)
        if type(op).__module__.startswith("keras.src.ops.") and not type(op).__module__.endswith("_test"):
            found.append(OpSet(running[0], op, args, kwargs))
        return outputs

    def run(test: Any, *args: Any) -> Any:
        running[0] = test.id()
        return plain(test, *args)

    plain = testing.TestCase.run
    with (
        mock.patch.object(Operation, "symbolic_call", note),
        mock.patch.object(testing.TestCase, "run", run),
        _stand_ins(),
        _unchecked(),
    ):
        wanted = list(modules(keras.src.ops)) if names is None else names
        run_methods(wanted, ("KerasTensor", "keras.Input", "symbolic_call"))
    return found


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Stand-ins for missing libraries that Keras's tests compare with. Each is entered alone: restoring all of
    ``sys.modules`` would lose other modules that were loaded meanwhile."""
    names = ("jax", "jax.numpy", "jax.nn", "scipy", "scipy.signal", "scipy.ndimage", "torch", "grain")
    absent = [n for n in names if n not in sys.modules and importlib.util.find_spec(n.split(".")[0]) is None]
    sys.modules.update({name: mock.MagicMock() for name in absent})
    if "conftest" not in sys.modules:  # the one of Keras's repository, whose marks mean nothing to unittest
        absent.append("conftest")
        sys.modules["conftest"] = mock.MagicMock(skip_if_backend=lambda *_: lambda test: test)
    try:
        with mock.patch.object(pytest, "mark", _Marks()):
            yield
    finally:
        for name in absent:
            del sys.modules[name]


class _Marks:
    """Replaces ``pytest.mark``, which refuses the marks of Keras's repository: each mark leaves its test unchanged."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *given, **_: given[0] if given and callable(given[0]) else lambda test: test


@contextlib.contextmanager
def _unchecked() -> Iterator[None]:
    """Disable checks of dtypes and values, which could end a test before all its calls; stand-ins have no dtype."""
    standard = backend.standardize_dtype

    def lenient(dtype: Any) -> str:
        return "float32" if isinstance(dtype, mock.Mock) else standard(dtype)

    with contextlib.ExitStack() as stack:
        for name in DTYPE_TESTS:
            module = importlib.import_module(name)
            if hasattr(module, "standardize_dtype"):
                stack.enter_context(mock.patch.object(module, "standardize_dtype", lenient))
        for check in ("assertEqual", "assertDType", "assertAllClose"):
            stack.enter_context(mock.patch.object(testing.TestCase, check))
        yield


DTYPE_TESTS = tuple(
    f"keras.src.ops.{family}_test" for family in ("numpy", "nn", "math", "core", "image", "linalg")
)


# -- comparing ----------------------------------------
def compare_layers(sets: Sequence[LayerSet], runs: bool = True) -> Report:
    """Compare every distinct set as it is, and with every first axis open."""
    return _compare(
        sets, lambda item, report: _compare_layer(item, report, runs), lambda item: item.layer.__name__
    )


def compare_ops(sets: Sequence[OpSet], runs: bool = True) -> Report:
    return _compare(sets, lambda item, report: _compare_op(item, report, runs), lambda item: item.name)


def _compare(sets: Sequence[Any], one: Callable[[Any, Report], None], name: Callable[[Any], str]) -> Report:
    report = Report(collected=len(sets))
    seen: set[str] = set()
    for item in sets:
        key = item.key()
        if key in seen:
            continue
        seen.add(key)
        report.distinct += 1
        with _quietly():
            try:
                one(item, report)
            except Skip as reason:
                report.skipped[str(reason)] += 1
                continue
            except (AssertionError, BadFileError, UnsupportedError) as error:
                report.faults.append(f"{item.test}: {name(item)}: {str(error)[:700]}")
            report.compared += 1
            report.classes[name(item)] += 1
    return report


UNTRUE_LAYERS: tuple[tuple[Callable[[LayerSet, layers_harness.Case], bool], str], ...] = ()
"""Where Keras declares something else than it computes."""

UNTRUE_OPS: tuple[tuple[Callable[[OpSet], bool], str], ...] = (
    (
        lambda item: item.name == "numpy.Slogdet" and len(item.args[0].shape) > 2,
        "Slogdet: one sign is stated for a batch of matrices",
    ),
    (
        lambda item: item.name == "numpy.Corrcoef",
        "Corrcoef: the operand's shape is stated, not variables by variables",
    ),
)


IMPLICIT = (
    "Einsum without ->: TensorFlow leaves the letters in the order they come in, NumPy and Keras sort them"
)


def _implicit(item: OpSet) -> bool:
    """Whether an equation has no result and unsorted letters: then a run differs from NumPy and Keras."""
    text = getattr(item.op, "subscripts", "") if item.name == "numpy.Einsum" else "->"
    letters = [c for c in text if c.isalpha() and text.count(c) == 1]
    return "->" not in text and letters != sorted(letters)


def layer_case(item: LayerSet) -> layers_harness.Case:
    """The set as a case of the harness. Raises Skip where there is nothing to compare."""
    name = item.layer.__name__
    if getattr(keras.layers, name, None) is not item.layer:
        raise Skip("no layer of keras.layers")
    if name in OPAQUE:
        raise Skip("opaque by its table")
    if item.inputs is None:
        raise Skip("the test gives no input")
    if item.given["input_ragged"]:
        raise Skip("ragged input")
    specs = keras.tree.flatten(item.inputs)

    def pack(*tensors: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        packed = keras.tree.pack_sequence_as(item.inputs, list(tensors))
        return ((), packed) if isinstance(packed, dict) else ((packed,), {})

    def build() -> Any:
        return item.layer(**copy.deepcopy(item.config))

    shapes = tuple(spec.shape for spec in specs)
    dtypes = tuple(spec.dtype for spec in specs)
    case = layers_harness.Case(build, shapes, dtypes, item.call, pack, run=False)
    try:
        model = _declared(case)
    except Exception as error:
        raise Skip(f"Keras makes no functional model of it ({type(error).__name__})") from error
    if _custom(model):
        raise Skip("it holds a class of the test")
    return case


def opened(case: layers_harness.Case) -> layers_harness.Case:
    """The case with every first axis open."""
    return replace(case, shapes=tuple((None, *shape[1:]) for shape in case.shapes))


def _compare_layer(item: LayerSet, report: Report, runs: bool) -> None:
    first = layer_case(item)
    failures = []
    for number, case in enumerate((first, opened(first))):
        if number:
            try:
                _declared(case)
            except Exception:
                report.skipped["(variant) Keras refuses it with an open first axis"] += 1
                continue
        reason = next((why for holds, why in UNTRUE_LAYERS if holds(item, case)), "")
        case = replace(case, untrue=reason)
        report.variants += 1
        report.untrue.update([reason] if reason else [])
        try:
            layers_harness.check(case)
            if number == 0 and item.expected is not None:
                _against_test(item, case)
                report.expected += 1
            if runs or reason:
                report.runs += _run(case)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, " | ".join(failures)


def _declared(case: layers_harness.Case) -> Any:
    """The model's config where Keras can build and save it."""
    layer, inputs = case.build(), case.inputs()
    args, kwargs = case.packed(inputs)
    return keras.saving.serialize_keras_object(
        keras.Model(inputs, keras.tree.flatten(layer(*args, **kwargs)))
    )


def _custom(config: Any) -> bool:
    """Whether a class or function of a test module is in a config."""
    if isinstance(config, dict):
        if str(config.get("module", "")).endswith("_test") or config.get("registered_name") == "function":
            return True
        return config.get("class_name") == "__lambda__" or any(_custom(v) for v in config.values())
    return isinstance(config, (list, tuple)) and any(_custom(v) for v in config)


def _against_test(item: LayerSet, case: layers_harness.Case) -> None:
    """Our sizes against those that Keras's test expects of a real call."""
    both = layers_harness.symbolic(case)
    shape = item.expected
    flat = (
        [tuple(shape)]
        if all(n is None or isinstance(n, int) for n in shape)
        else [tuple(s) for s in (shape.values() if isinstance(shape, dict) else shape)]
    )
    assert len(flat) == len(both.values), f"{len(both.values)} outputs, the test expects {len(flat)}"
    for value, wanted in zip(both.values, flat, strict=True):
        sizes = value.shape
        assert (
            sizes is not None
            and len(sizes) == len(wanted)
            and all(w is None or s == w for s, w in zip(sizes, wanted, strict=True))
        ), f"{value.text()}, the test expects {wanted}"


def _run(case: layers_harness.Case) -> bool:
    """A real run, if TensorFlow accepts such numbers."""
    both = layers_harness.symbolic(case)
    try:
        layers_harness.run_and_compare(case, both, 0)
    except AssertionError as error:
        if "cannot run at" in str(error):
            return False
        raise
    return True


def op_case(item: OpSet, runs: bool = True) -> ops_harness.Case:
    """The set as a case of the harness. Raises Skip where there is nothing to compare."""
    family, name = item.name.split(".")
    if (family, name) in OPAQUE_OPS:
        raise Skip("opaque by its table")
    if item.name == "numpy.Where" and all(x is None for x in (*item.args[1:], *item.kwargs.values())):
        raise Skip(
            "Where of a condition alone is opaque; Keras states the condition's shape, a run gives positions"
        )
    leaves = keras.tree.flatten((item.args, item.kwargs))
    operands = list({id(x): x for x in leaves if _is_tensor(x)}.values())
    if not operands:
        raise Skip("no tensor among its operands")

    def build(*tensors: Any) -> Any:
        instead = {id(x): tensor for x, tensor in zip(operands, tensors, strict=True)}
        args, kwargs = keras.tree.map_structure(lambda x: instead.get(id(x), x), (item.args, item.kwargs))
        op = copy.copy(item.op)
        op.name, op._inbound_nodes, op._outbound_nodes = "op", [], []
        return op.symbolic_call(*args, **kwargs)

    takes = tuple(_told(x) for x in operands)
    reason = _untrue(item)
    return ops_harness.Case(
        f"{item.name} of {item.test}",
        build,
        takes,
        declared=not reason,
        runs=None if (reason or (runs and "Dtype" not in item.test)) and not _implicit(item) else False,
        unknown_at=range(64),
    )


def _untrue(item: OpSet) -> str:
    return next((why for holds, why in UNTRUE_OPS if holds(item)), "")


def _compare_op(item: OpSet, report: Report, runs: bool) -> None:
    case, reason = op_case(item, runs), _untrue(item)
    try:
        outcome = ops_harness.check(case)
    except ops_harness.Refused as error:
        raise Skip(f"Keras makes no functional model of it ({str(error.__cause__)[:60]!r})") from error
    except NotImplementedError as error:
        raise Skip("Keras cannot save it") from error
    if outcome.faults:
        report.skipped["(compared) we refuse it, and so does a run"] += 1
    report.untrue.update([reason] if reason else [])
    report.untrue.update([IMPLICIT] if _implicit(item) else [])
    report.variants += 1
    report.runs += bool(outcome.runs)


def main() -> None:
    import time

    start = time.perf_counter()
    wanted = sys.argv[1:] or ["layers", "ops"]
    for title, sets, compare in (("layers", layer_sets, compare_layers), ("ops", op_sets, compare_ops)):
        if title not in wanted:
            continue
        found = sets()
        middle = time.perf_counter()
        report = compare(found)
        print(f"{title}: {middle - start:.1f} s to collect, {time.perf_counter() - middle:.1f} s to compare")
        print(report.text(), flush=True)
        start = time.perf_counter()


if __name__ == "__main__":
    main()
