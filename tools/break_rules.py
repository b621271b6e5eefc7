"""Break axis rules one at a time and report whether the differential tests fail.

    python tools/break_rules.py [NAME...] [--list]

A breakage replaces one rule in the tables by one that ignores an argument or spoils the result. The tests of that
class must pass before and fail after. Exit status: 0 if all are caught, 1 if one is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rewriter.ir.axis import Value, new_axis  # noqa: E402
from rewriter.ir.graph import map_leaves  # noqa: E402
from rewriter.shapes import layers, ops  # noqa: E402, F401 - importing them fills the tables
from rewriter.shapes.call import LAYERS, OPS, Call, Rule  # noqa: E402

Wrapper = Callable[[Rule], Rule]


# -- ways to break a rule -----------------------------
def ignores(*names: str) -> Wrapper:
    """Ignore these arguments: they keep their defaults."""

    def wrap(rule: Rule) -> Rule:
        def broken(call: Call) -> Any:
            config = {key: value for key, value in call.config.items() if key not in names}
            kwargs = {key: value for key, value in call.kwargs.items() if key not in names}
            operation = dataclasses.replace(call.operation, config=config)
            return rule(Call(operation, call.args, kwargs, call.apply))

        return broken

    return wrap


def _spoils(change: Callable[[Value], Value]) -> Wrapper:
    def wrap(rule: Rule) -> Rule:
        return lambda call: map_leaves(lambda y: change(y) if isinstance(y, Value) else y, rule(call))

    return wrap


def swaps(i: int, j: int) -> Wrapper:
    """Swap two axes of the result, if it has them."""

    def change(value: Value) -> Value:
        axes = list(value.axes or ())
        with contextlib.suppress(IndexError):
            axes[i], axes[j] = axes[j], axes[i]
        return dataclasses.replace(value, axes=tuple(axes))

    return _spoils(change)


def grows(place: int, by: int = 1) -> Wrapper:
    """Make an axis of the result too large (default: by one)."""

    def change(value: Value) -> Value:
        axes = list(value.axes or ())
        with contextlib.suppress(IndexError):
            axes[place] = new_axis(axes[place].size + by, axes[place].role)
        return dataclasses.replace(value, axes=tuple(axes))

    return _spoils(change)


def forgets() -> Wrapper:
    """Give the result new axes of the right sizes, without roles or origin."""
    return _spoils(
        lambda value: dataclasses.replace(value, axes=tuple(new_axis(axis.size) for axis in value.axes or ()))
    )


def casts(dtype: str) -> Wrapper:
    """Give the result another dtype."""
    return _spoils(lambda value: dataclasses.replace(value, dtype=dtype))


def unmasked() -> Wrapper:
    """Remove the mask of the result."""
    return _spoils(lambda value: dataclasses.replace(value, mask=None))


def keeps() -> Wrapper:
    """Return the first operand as the result."""
    return lambda rule: lambda call: call.x


@dataclasses.dataclass(frozen=True)
class Breakage:
    """A rule and its breakage; ``tests`` are the file and the pytest expression, if not the class's own test."""

    target: str
    what: str
    wrap: Wrapper
    tests: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        return f"{self.target} {self.what}"

    def key(self) -> Any:
        """Where the rule is in its table."""
        return tuple(self.target.split(".")) if "." in self.target else self.target

    def selection(self) -> tuple[str, str]:
        if self.tests is not None:
            return self.tests
        if "." in self.target:
            return "test_ops.py", f"test_case and {self.target}"
        return "test_layers.py", f"agrees and [{self.target}]"


ROLES = "test_layer_roles.py"
IDENTITY = "test_ops_identity.py"
MASKS = "test_layers.py"
OPEN = "test_open_sizes.py"
BREAKAGES = (
    Breakage("Conv1D", "is off by one in its window", grows(1)),
    Breakage("Conv2D", "ignores padding", ignores("padding")),
    Breakage("Conv2D", "ignores dilation", ignores("dilation_rate")),
    Breakage("Conv2DTranspose", "ignores output_padding", ignores("output_padding")),
    Breakage("DepthwiseConv2D", "ignores data_format", ignores("data_format")),
    Breakage("SeparableConv2D", "swaps height and width", swaps(1, 2)),
    Breakage("MaxPooling2D", "ignores strides", ignores("strides")),
    Breakage("AveragePooling3D", "swaps depth and height", swaps(1, 2)),
    Breakage("GlobalAveragePooling2D", "ignores keepdims", ignores("keepdims")),
    Breakage("AdaptiveMaxPooling2D", "is off by one", grows(2)),
    Breakage("Permute", "is the identity", keeps()),
    Breakage("Flatten", "ignores data_format", ignores("data_format"), (ROLES, "flatten")),
    Breakage("ZeroPadding2D", "swaps height and width", swaps(1, 2)),
    Breakage("Cropping3D", "ignores cropping", keeps()),
    Breakage("UpSampling2D", "swaps height and width", swaps(1, 2)),
    Breakage("RepeatVector", "repeats once too often", grows(1)),
    Breakage("Dense", "gives float16", casts("float16")),
    Breakage("Embedding", "loses its mask", ignores("mask_zero"), (ROLES, "mask")),
    Breakage("LSTM", "ignores return_state", ignores("return_state")),
    Breakage("GRU", "ignores return_sequences", ignores("return_sequences")),
    Breakage("GRU", "stops the mask", unmasked(), (MASKS, "masks and [GRU]")),
    Breakage("Bidirectional", "ignores merge_mode", ignores("merge_mode")),
    Breakage("TimeDistributed", "swaps steps and features", swaps(1, -1)),
    Breakage("Concatenate", "ignores axis", ignores("axis")),
    Breakage("Add", "does not broadcast", keeps()),
    Breakage("MultiHeadAttention", "ignores output_shape", ignores("output_shape")),
    Breakage("StringLookup", "gives int32", casts("int32")),
    Breakage("CategoryEncoding", "ignores output_mode", ignores("output_mode")),
    Breakage("numpy.Sum", "ignores keepdims", ignores("keepdims")),
    Breakage("numpy.Mean", "ignores axis", ignores("axis")),
    Breakage("numpy.Argmax", "gives float32", casts("float32")),
    Breakage("numpy.Transpose", "is the identity", keeps()),
    Breakage("numpy.Squeeze", "is the identity", keeps()),
    Breakage("numpy.Matmul", "swaps rows and columns", swaps(-1, -2)),
    Breakage("numpy.Concatenate", "ignores axis", ignores("axis")),
    Breakage("numpy.Repeat", "is off by one", grows(-1)),
    Breakage("nn.Conv", "ignores padding", ignores("padding")),
    Breakage("nn.MaxPool", "ignores strides", ignores("strides")),
    Breakage("nn.OneHot", "ignores axis", ignores("axis")),
    Breakage("image.Resize", "swaps height and width", swaps(1, 2)),
    Breakage("linalg.Qr", "ignores mode", ignores("mode")),
    Breakage("math.RFFT", "is off by one", grows(-1)),
    Breakage("GlobalMaxPooling2D", "forgets its axes", forgets(), (ROLES, "")),
    Breakage("Reshape", "forgets its axes", forgets(), (ROLES, "")),
    Breakage("Dropout", "forgets its axes", forgets(), (ROLES, "")),
    Breakage("numpy.Transpose", "forgets its axes", forgets(), (IDENTITY, "")),
    Breakage("numpy.Max", "forgets its axes", forgets(), (IDENTITY, "")),
    Breakage("numpy.Cumsum", "forgets its axes", forgets(), (IDENTITY, "")),
    Breakage("Conv2DTranspose", "is off by one at open sizes", grows(1), (OPEN, "unet-transposed")),
    Breakage("numpy.Cumsum", "is off by one at open sizes", grows(1), (OPEN, "transformer")),
)


# -- trying them -----------------------------
@contextlib.contextmanager
def applied(item: Breakage) -> Iterator[None]:
    """Put the broken rule into its table."""
    table: dict[Any, Rule] = OPS if "." in item.target else LAYERS  # type: ignore[assignment]
    key = item.key()
    rule = table[key]
    table[key] = item.wrap(rule)
    try:
        yield
    finally:
        table[key] = rule


def outcome(item: Breakage) -> int:
    """The exit status of pytest for the tests of a breakage: 0 if they pass, 1 if one fails."""
    file, expression = item.selection()
    quiet = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:warnings"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main([*quiet, "-k", expression, str(ROOT / "tests" / "shapes" / file)]))


def main() -> int:
    """Try each breakage and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="parts of the names of breakages (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    options = parser.parse_args()
    chosen = [b for b in BREAKAGES if not options.names or any(n in b.name for n in options.names)]
    if options.list:
        print("\n".join(b.name for b in chosen))
        return 0
    unknown = [b.target for b in BREAKAGES if b.key() not in LAYERS and b.key() not in OPS]
    if unknown:
        parser.error(f"no such rules: {', '.join(unknown)}")
    os.chdir(ROOT)
    passed: dict[tuple[str, str], bool] = {}
    caught = 0
    for item in chosen:
        start = time.monotonic()
        if item.selection() not in passed:
            passed[item.selection()] = outcome(item) == 0
        if not passed[item.selection()]:
            answer = "cannot tell: its tests fail, or there are none"
        else:
            with applied(item):
                answer = "caught" if outcome(item) == 1 else "missed"
        caught += answer == "caught"
        print(f"{item.name:55} {answer} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return int(caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
