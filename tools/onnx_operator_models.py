"""Compare the axis rules of ONNX operators with the recorded outputs of ONNX's operator models.

    python tools/onnx_operator_models.py [--unknown] [WORD]

Each model of one operator (`onnx.backend.test.case`) is generated here and read with its input sizes in several forms:
numbers (static), open without names (open), one name for each axis (named), and one name for each size (alike). The
inferred shapes of its outputs are evaluated and compared with the arrays of the model. WORD selects the models whose
names contain it. Exit status 0 if nothing is wrong.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from rewriter.errors import RewriterError
from rewriter.formats.onnx.reader import read
from rewriter.ir.axis import Value
from rewriter.ir.graph import TensorRef
from rewriter.ir.size import Atom, Size, Symbol, is_unknown
from rewriter.shapes import onnx as rules  # noqa: F401 - importing it fills the table
from rewriter.shapes.infer import Inference, infer

# The forms, and whether small integer constants are in the file. Not with one name for each size: the constants would
# fix sizes that have names.
FORMS = (
    *((form, constants) for constants in (True, False) for form in ("static", "open", "named")),
    ("alike", False),
)
_LARGEST_CONSTANT = 64


@dataclass(slots=True)
class Case:
    """A model of one operator with its input and output arrays."""

    name: str
    proto: Any
    given: list[Any]
    expected: list[Any]

    @property
    def operator(self) -> str:
        return str(self.proto.graph.node[0].op_type)


@dataclass(slots=True)
class Tally:
    """Counts of the outputs in one form: ``wrong`` has (model, inferred, recorded)."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)


def cases(word: str = "") -> Iterator[Case]:
    """Every model of one operator that ONNX generates."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model is not None and case.data_sets and word in case.name:
                given, expected = case.data_sets[0]
                yield Case(case.name, case.model, list(given), list(expected))


def formed(case: Case, form: str, constants: bool) -> Any:
    """The model in a form, without the recorded shapes of its outputs.

    Args:
        constants: keep small integer constants in the file.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(case.proto)
    del proto.graph.value_info[:]
    for info in proto.graph.output:
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
    for info, array in zip(proto.graph.input, case.given, strict=False):
        small = isinstance(array, np.ndarray) and array.dtype.kind in "iu" and array.size < _LARGEST_CONSTANT
        if constants and small:
            proto.graph.initializer.append(numpy_helper.from_array(array, info.name))
        elif info.type.HasField("tensor_type"):
            for place, dim in enumerate(info.type.tensor_type.shape.dim):
                _reform(dim, form, f"{info.name}_{place}")
    return proto


def _reform(dim: Any, form: str, own: str) -> None:
    size = dim.dim_value
    if form != "static":
        dim.Clear()
    if form == "named":
        dim.dim_param = own
    elif form == "alike":
        dim.dim_param = f"n{size}"


def compare(case: Case, form: str, constants: bool, tally: Tally) -> None:
    """Infer a model in a form and add its outputs to the tally."""
    try:
        found = infer(read(formed(case, form, constants)).graph)
    except RewriterError as error:
        tally.counts["refused"] += 1
        tally.unknown[f"{case.operator}: {error}"] += 1
        return
    tally.wrong += [(case.name, f"{node}: {fault}", "it runs") for node, fault in found.faults.items()]
    known = _symbols(case, found)
    for ref, array in zip(found.graph.outputs, case.expected, strict=False):
        if not isinstance(array, (np.ndarray, np.generic)) or not isinstance(ref, TensorRef):
            continue
        value = found.value(ref)
        if value.axes is None or value.claimed:
            tally.counts["unknown"] += 1
            reason = found.opaque.get(ref.node) or value.reason
            tally.unknown[f"{case.operator}: {reason}"] += 1
            continue
        real = np.shape(array)
        if not _agrees(value, real, known):
            tally.wrong.append((case.name, value.text(), str(list(real))))
        elif any(is_unknown(axis.size) for axis in value.axes):
            tally.counts["right in part"] += 1
        else:
            tally.counts["right"] += 1


def _symbols(case: Case, found: Inference) -> dict[str, int]:
    """The value of each input symbol in the original model."""
    shapes = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in case.proto.graph.input
    }
    known: dict[str, int] = {}
    for name, node in found.graph.nodes.items():
        axes = found.values[name][0].axes if node.operation.kind == "input" else None
        for axis, size in zip(axes or (), shapes.get(name, ()), strict=False):
            if isinstance(axis.size, int) or is_unknown(axis.size):
                continue
            known.update(
                {atom.name: size for m, _ in axis.size.terms for atom, _ in m if isinstance(atom, Symbol)}
            )
    return known


def _agrees(value: Value, real: tuple[int, ...], known: Mapping[str, int]) -> bool:
    axes = value.axes or ()
    return len(axes) == len(real) and all(
        is_unknown(axis.size) or evaluated(axis.size, known) == size
        for axis, size in zip(axes, real, strict=True)
    )


def evaluated(size: Size, known: Mapping[str, int]) -> int:
    """The value of a size with these symbols."""
    if isinstance(size, int):
        return size
    total = 0
    for monomial, coefficient in size.terms:
        for atom, power in monomial:
            coefficient *= _atom(atom, known) ** power
        total += coefficient
    return total


def _atom(atom: Atom, known: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return known[atom.name]
    return evaluated(atom.numerator, known) // atom.divisor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("word", nargs="?", default="", help="only models whose names contain it")
    parser.add_argument("--unknown", action="store_true", help="list what is unknown, and why")
    options = parser.parse_args()
    found = list(cases(options.word))
    wrong = 0
    for form, constants in FORMS:
        tally = Tally()
        for case in found:
            compare(case, form, constants, tally)
        where = "in the file" if constants else "inputs"
        counts = ", ".join(f"{count} {what}" for what, count in sorted(tally.counts.items()))
        print(f"{form}, whole numbers {where}: {len(tally.wrong)} wrong, {counts}")
        for name, inferred, recorded in tally.wrong:
            print(f"  {name}: {inferred}, and it is {recorded}")
        if options.unknown:
            for text, count in tally.unknown.most_common():
                print(f"  {count} unknown: {text}")
        wrong += len(tally.wrong)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
