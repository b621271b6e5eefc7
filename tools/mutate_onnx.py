"""Remove Reshapes before the products of valid ONNX files, repair the mutants, and run them against the original.

    python tools/mutate_onnx.py FILE.onnx... [--ops all] [--records keep|drop] [--limit N] [--keep DIR] [--list]

A mutant loses one Unsqueeze, Squeeze, Reshape, Flatten, Transpose or Expand that an operand of a Mul, Add, Sub, Div or
MatMul goes through, with elementwise operators in between. ONNX Runtime runs the original, the mutant and the repaired
file on the same inputs, at batches 1, 2, 5 and each small size in the graph. Mutants that compute the same are
left out.

- exact: repaired, and equal to the original
- wrong: repaired, and not equal
- refused: a finding, and nothing is written
- unproven: the mutant fails at some batch, and the finding is that nothing proves the operands to fit
- missed: the mutant fails at some batch, and has no finding
- runs: no finding; the mutant runs at every batch, and computes something else

Exit status 1 if a mutant is wrong or missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import rewriter  # noqa: E402
from rewriter.proof.feeds import dtype_of  # noqa: E402

MEETING = ("Mul", "Add", "Sub", "Div", "MatMul")
SHAPERS = ("Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Expand")
ELEMENTWISE = (
    "Identity", "Cast", "Sigmoid", "HardSigmoid", "Tanh", "Relu", "Clip", "Exp", "Neg", "Sqrt", "Softplus", "Dropout",
)  # fmt: skip
BATCHES = (1, 2, 5)
_LARGEST_BATCH = 64
_OPEN = 6  # the size of an open axis other than the batch
OUTCOMES = ("exact", "refused", "runs", "unproven", "missed", "wrong")


class Runs:
    """A model in ONNX Runtime."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def feeds(self, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Random inputs. An open first axis, and each with the name of one, has the size of the batch."""
        rng = np.random.default_rng(seed)
        given = self.session.get_inputs()
        names = {item.shape[0] for item in given if item.shape} - {None}
        batches = {d for d in names if isinstance(d, str)}
        result = {}
        for item in given:
            sizes = [
                d if isinstance(d, int) else batch if place == 0 or d in batches else _OPEN
                for place, d in enumerate(item.shape)
            ]
            dtype = np.dtype(dtype_of(item.type))
            if dtype.kind == "b":
                result[item.name] = rng.random(sizes) > 0.4
            elif dtype.kind in "iu":
                result[item.name] = rng.integers(0, 2, sizes).astype(dtype)
            else:
                result[item.name] = rng.normal(size=sizes).astype(dtype)
        return result

    def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The results that are arrays: maps, which classifiers also give, hold the same numbers."""
        return [found for found in self.session.run(None, feeds) if isinstance(found, np.ndarray)]

    @property
    def has_batch(self) -> bool:
        return any(not isinstance(d, int) for item in self.session.get_inputs() for d in item.shape)


def same(actual: Sequence[np.ndarray], desired: Sequence[np.ndarray]) -> bool:
    """True where all arrays are equal up to rounding."""
    return all(a.shape == d.shape and _close(a, d) for a, d in zip(actual, desired, strict=True))


def _close(a: np.ndarray, d: np.ndarray) -> bool:
    if a.dtype.kind in "OUS":
        return bool((a == d).all())
    return bool(np.allclose(a, d, rtol=2e-3, atol=2e-4, equal_nan=True))


@dataclass
class Mutant:
    """A model that lost nodes before an operand; the name says which."""

    name: str
    model: onnx.ModelProto


def mutants(model: onnx.ModelProto, records: str) -> Iterator[Mutant]:
    """Every mutant of a model.

    Args:
        records: ``drop`` removes the recorded shapes of all values that are no inputs; ``keep`` keeps the old ones.
    """
    makers = {out: node for node in model.graph.node for out in node.output}
    for number, node in enumerate(model.graph.node):
        if node.op_type not in MEETING or node.domain:
            continue
        for operand in range(2):
            chain = _chain(node, operand, makers)
            for lost in _losses(chain):
                made = onnx.ModelProto()
                made.CopyFrom(model)
                _remove(made, number, operand, chain[: max(lost) + 1], lost)
                if records == "drop":
                    _drop_records(made)
                kinds = ", ".join(chain[place].op_type for place in lost)
                name = node.name or node.output[0]
                yield Mutant(f"{node.op_type} {name} [{operand}] without {kinds}", made)


def _chain(node: Any, operand: int, makers: dict[str, Any]) -> list[Any]:
    """The nodes above an operand that are elementwise or change its shape, nearest first."""
    chain = []
    name = node.input[operand]
    while name in makers and makers[name].op_type in SHAPERS + ELEMENTWISE:
        chain.append(makers[name])
        name = chain[-1].input[0]
    return chain


def _losses(chain: Sequence[Any]) -> list[tuple[int, ...]]:
    """Which nodes of a chain to lose, by number: the nearest that changes the shape, the next, or both."""
    places = [place for place, node in enumerate(chain) if node.op_type in SHAPERS][:2]
    nearest = [tuple(places[:1])] if places else []
    both = [tuple(places)] if len(places) > 1 else []
    next_ = [tuple(places[1:])] if both and chain[places[0]].op_type == "Expand" else []
    return [*nearest, *both, *next_]


def _remove(
    model: onnx.ModelProto, number: int, operand: int, chain: Sequence[Any], lost: Sequence[int]
) -> None:
    """Feed the operand from copies of the nodes of the chain, without those that are lost."""
    graph = model.graph
    name = chain[-1].input[0]
    copies = []
    for place in range(len(chain) - 1, -1, -1):
        if place in lost:
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(chain[place])
        copy.input[0] = name
        del copy.output[1:]
        name = copy.output[0] = copy.name = f"{chain[place].output[0]}_without_{number}_{operand}"
        copies.append(copy)
    graph.node[number].input[operand] = name
    for copy in reversed(copies):
        graph.node.insert(number, copy)
    _sweep(graph)


def _sweep(graph: onnx.GraphProto) -> None:
    """Remove the nodes whose results nothing takes."""
    while True:
        taken = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
        taken |= {
            name
            for node in graph.node
            for attribute in node.attribute
            for inner in attribute.g.node
            for name in inner.input
        }
        dead = [node for node in graph.node if not taken.intersection(node.output)]
        if not dead:
            return
        for node in dead:
            graph.node.remove(node)


def _drop_records(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")


def batches(model: onnx.ModelProto) -> list[int]:
    """The batches to run: the usual ones, and the small sizes of the model."""
    sizes = {size for tensor in model.graph.initializer for size in tensor.dims}
    sizes |= {d.dim_value for item in model.graph.input for d in item.type.tensor_type.shape.dim}
    return sorted({*BATCHES, *(size for size in sizes if 2 < size <= _LARGEST_BATCH)})


@dataclass
class Original:
    """A valid model with its results by batch."""

    model: onnx.ModelProto

    def __post_init__(self) -> None:
        self.runs = Runs(self.model.SerializeToString())
        self.batches = batches(self.model) if self.runs.has_batch else [1]
        self.feeds = {batch: self.runs.feeds(batch) for batch in self.batches}
        self.results = {batch: self.runs.run(feeds) for batch, feeds in self.feeds.items()}

    def compare(self, model: bytes) -> str:
        """``same``, ``differs`` or ``fails``: what a changed model does on the inputs of the original."""
        try:
            runs = Runs(model)
            found = {batch: runs.run(feeds) for batch, feeds in self.feeds.items()}
        except Exception:  # ONNX Runtime's errors have no common class of their own
            return "fails"
        return "same" if all(same(found[batch], self.results[batch]) for batch in found) else "differs"


def outcome(original: Original, mutant: Mutant, ops: str, folder: Path) -> tuple[str, str]:
    """The outcome of a mutant, and a note; "" for one that computes the same as the original."""
    broken = mutant.model.SerializeToString()
    before = original.compare(broken)
    if before == "same":
        return "", ""
    source, target = folder / "mutant.onnx", folder / "repaired.onnx"
    source.write_bytes(broken)
    target.unlink(missing_ok=True)
    try:
        result = rewriter.repair(source, target, ops=ops, verify=False)
    except rewriter.RewriterError as error:
        return "refused", f"({before}) {error}"
    note = f"({before}) " + "; ".join(f"{f.code} {f.node} {f.op}: {f.message}" for f in result.findings[:2])
    if result.undecided:
        return "refused", note
    if not result.inserted:
        silent = "unproven" if result.findings else "missed"
        return (silent if before == "fails" else "runs"), note
    after = original.compare(target.read_bytes())
    inserted = ", ".join(f"{i.op} {i.rule}" for i in result.inserted)
    return ("exact" if after == "same" else "wrong"), f"{note} -> {inserted} ({after})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--ops", choices=("multiply", "all"), default="all")
    parser.add_argument("--records", choices=("keep", "drop"), default="drop")
    parser.add_argument("--limit", type=int, default=1000, help="mutants of one file")
    parser.add_argument("--keep", type=Path, help="a folder for the mutants that are wrong or missed")
    parser.add_argument("--list", action="store_true", help="print every mutant")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as name:
        for path in options.files:
            try:
                original = Original(onnx.load(path))
            except Exception as error:  # it does not run here
                print(f"{path.name}: left out: {str(error)[:120]!r}")
                continue
            for number, mutant in enumerate(mutants(original.model, options.records)):
                if number >= options.limit:
                    break
                began = time.process_time()
                found, note = outcome(original, mutant, options.ops, Path(name))
                slowest = max(slowest, (time.process_time() - began, f"{path.name} {mutant.name}"))
                counts[found] += 1
                bad = found in ("wrong", "missed")
                if bad or (options.list and found):
                    print(f"{found}: {path.name}: {mutant.name}: {note[:400]}", flush=True)
                if bad and options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    onnx.save(mutant.model, options.keep / f"{path.stem}.{number}.{found}.onnx")
    print(
        ", ".join(f"{counts[name]} {name}" for name in OUTCOMES),
        f"(slowest {slowest[0]:.1f} s: {slowest[1]})",
    )
    return int(counts["wrong"] + counts["missed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
