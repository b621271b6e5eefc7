"""What is supported: every layer class and op in the tables of rules, and how its rule was proven against Keras.

The counts are from ``proven.csv``, which ``tools/update_supported.py`` writes from the differential tests.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from .call import LAYERS, OPS
from .layers.opaque import OPAQUE
from .ops.opaque import OPAQUE_OPS

_DATA = "proven.csv"
_OLD = "in files of Keras 2 only"
_PART = "a class of keras.applications, compared in the models that hold it"
# Classes that no differential test counts, with the reason or the check used instead.
NOTES: dict[tuple[str, str], str] = {
    ("layer", "InputLayer"): "its shape is the one that the file states",
    ("layer", "CuDNNGRU"): _OLD,
    ("layer", "CuDNNLSTM"): _OLD,
    ("layer", "SyncBatchNormalization"): _OLD,
    ("layer", "ThresholdedReLU"): _OLD,
    ("layer", "CustomScaleLayer"): _PART,
    ("layer", "LayerScale"): _PART,
    ("layer", "StochasticDepth"): _PART,
    ("op", "numpy.Arange"): "compared with NumPy: no model that Keras saves can hold it",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A class and its proof.

    ``cases`` counts the argument sets compared with the shape that Keras declares, ``untrue`` those where a run
    contradicts that shape, ``runs`` the real calls, ``open`` the sizes that the rule left unknown. ``reason`` says why
    there is no rule, ``no_onnx`` why there is no ONNX form.
    """

    kind: str
    name: str
    aliases: tuple[str, ...] = ()
    reason: str = ""
    no_onnx: str = ""
    cases: int = 0
    untrue: int = 0
    runs: int = 0
    open: int = 0

    @property
    def supported(self) -> bool:
        return not self.reason

    @property
    def proven(self) -> bool:
        """Whether a differential test compared it with Keras."""
        return self.cases > 0

    @property
    def remark(self) -> str:
        parts = [self.reason or NOTES.get((self.kind, self.name), "")]
        if self.untrue:
            parts.append(f"a run contradicts what Keras declares in {self.untrue:,} of the argument sets")
        if self.open:
            parts.append("some of its sizes depend on the data")
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Support:
    """Every class of the tables, by name, and the version of Keras compared with."""

    keras: str
    layers: tuple[Entry, ...]
    ops: tuple[Entry, ...]


def support(no_onnx: Mapping[tuple[str, str], str]) -> Support:
    """The tables of rules joined with the counts. A class without counts is listed as not proven.

    Args:
        no_onnx: why a class, by kind and name, has no ONNX form.
    """
    text = (resources.files(__package__) / _DATA).read_text(encoding="utf-8")
    rows = {(row["kind"], row["name"]): row for row in csv.DictReader(text.splitlines())}
    version = next((name for kind, name in rows if kind == "keras"), "")
    aliases = {name: row["aliases"].split() for (kind, name), row in rows.items() if kind == "layer"}
    second = {alias for names in aliases.values() for alias in names}
    layers = ({*LAYERS, "InputLayer"} - second, OPAQUE)
    ops = (
        {f"{family}.{name}" for family, name in OPS},
        {f"{f}.{n}": why for (f, n), why in OPAQUE_OPS.items()},
    )
    tables = (
        tuple(_entries(kind, *table, no_onnx, rows)) for kind, table in (("layer", layers), ("op", ops))
    )
    return Support(version, *tables)


def _entries(
    kind: str,
    names: Iterable[str],
    opaque: dict[str, str],
    no_onnx: Mapping[tuple[str, str], str],
    rows: dict[tuple[str, str], dict[str, str]],
) -> Iterator[Entry]:
    for name in sorted(names):
        row = rows.get((kind, name), {})
        numbers = {field: int(row.get(field, 0)) for field in ("cases", "untrue", "runs", "open")}
        aliases = tuple(row.get("aliases", "").split())
        yield Entry(kind, name, aliases, opaque.get(name, ""), no_onnx.get((kind, name), ""), **numbers)
