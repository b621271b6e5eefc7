"""The table of mutants: the edit and the model, the fault in Keras, and the expected repair.

A case is tried with distinct sizes and as the all-equal twin, as an edited file and, where Keras loads it, as
Keras writes the wrong graph itself. The fault of each (`refused`, `raises`, `silent`, `equivalent`) is not
assumed: `tests/mutation/test_edits.py` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutation.edits import Recipe
from tests.zoo import ZOO

Faults = tuple[str | None, str | None]
SILENT: Faults = ("silent", "silent")
REFUSED: Faults = ("refused", "refused")
SAME: Faults = ("equivalent", "equivalent")


@dataclass(frozen=True)
class Case:
    """A row: the edit, its fault in Keras in either form, and whether the file shows the intended product.

    Args:
        distinct, twin: the fault with distinct sizes and with equal sizes; None leaves the form out.
        expect: `exact` if an expert can infer the intended product from the file, else
            `refused`.
        evidence: the deciding fact: `roles` and origins, `sizes`, the `batch`, the operation's own `convention`,
            or `downstream` (only later nodes).
        reason: why it cannot be decided.
        rule: the true repair, which a refusal must still list.
    """

    pattern: str
    builder: str
    recipe: Recipe
    distinct: str | None
    twin: str | None
    expect: str = "exact"
    evidence: str = "roles"
    reason: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Mutant:
    """One broken file to make: a case in one form, written by `edited` or by `keras`."""

    case: Case
    twin: bool
    writer: str

    @property
    def fault(self) -> str:
        """The fault in Keras."""
        fault = self.case.twin if self.twin else self.case.distinct
        assert fault
        return fault

    @property
    def expect(self) -> str:
        """`exact`, `refused`, `tied`, or `equivalent` if the file has no fault."""
        if self.fault == "equivalent":
            return "equivalent"
        tied = self.twin and not TIED.isdisjoint([self.name, self._name("twin")])
        return "tied" if tied else self.case.expect

    @property
    def name(self) -> str:
        """A file name and test id, unique in the table."""
        return self._name("twin" if self.twin else "distinct", self.writer)

    def _name(self, *form: str) -> str:
        r = self.case.recipe
        steps = [*r.contract, *r.squeeze, *r.drop, *(f"{n}~" for n in r.turn)]
        return "-".join(
            [
                self.case.builder,
                *form,
                *(s.replace("/", ".") for s in steps),
            ]
        )


def _case(
    pattern: str,
    builder: str,
    at: str,
    drop: str = "",
    *,
    turn: str = "",
    squeeze: str = "",
    contract: str = "",
    faults: Faults = ("refused", "silent"),
    **rest: str,
) -> Case:
    """A case from space-separated node names."""
    recipe = Recipe(*(tuple(names.split()) for names in (at, drop, turn, squeeze, contract)))
    distinct, twin = faults
    return Case(pattern, builder, recipe, distinct, twin if ZOO[builder].twin else None, **rest)


CASES: tuple[Case, ...] = (
    _case("se", "se", "scale", "expand", faults=SAME),
    _case("se", "se", "scale", "expand", turn="scale", faults=SILENT),
    _case("se", "se", "scale", turn="scale", faults=SAME),
    _case("se", "se-op", "scale", "expand", faults=SILENT),
    _case("se", "se-op", "scale", "expand", turn="scale", faults=SAME),
    _case("se", "se-op-swapped", "scale", "expand", faults=SILENT),
    _case("se", "se-1d", "scale", "expand", faults=SILENT),
    _case("se", "se-3d", "scale", "expand", faults=SILENT),
    _case("se", "se-unicode", "умножение", "門é", faults=SILENT),
    _case("se", "se-keepdims", "scale", squeeze="pool", faults=SILENT),
    _case("se", "mean-gate", "scale", squeeze="mean", faults=SILENT),
    _case("se", "se-mixed", "scale", "expand", faults=SILENT),
    _case("se-first", "se-first", "scale", "expand"),
    _case("se-first", "se-first-swapped", "scale", "expand"),
    _case("se-first", "se-first", "scale", "expand", turn="scale"),
    _case("se-first", "se-first-op", "scale", "expand"),
    _case("se-first", "se-first-3d", "scale", "expand"),
    _case("se-first", "signal-first", "scale", "expand"),
    _case("se-first", "signal-first", "scale", "expand", turn="scale"),
    _case("se-first", "se-first-mixed", "scale", "expand"),
    _case("chained", "chain-2", "scale1 scale2", "expand1 expand2", faults=SILENT),
    _case("chained", "chain-3", "scale1 scale2 scale3", "expand1 expand2 expand3", faults=SILENT),
    _case("chained", "chain-3", "scale2", "expand2", faults=SILENT),
    _case("chained", "cbam-op", "channel_scale spatial_scale", "expand expand_dims"),
    _case("cbam", "cbam", "spatial_scale", "expand_dims"),
    _case("cbam", "cbam", "spatial_scale", "expand_dims", turn="spatial_scale"),
    _case("cbam", "cbam", "channel_scale", "expand", turn="channel_scale", faults=SILENT),
    _case("cbam", "cbam-op", "spatial_scale", "expand_dims"),
    _case("cbam", "spatial-conv", "scale", "lift"),
    _case("cbam", "spatial-conv-swapped", "scale", "lift"),
    _case("cbam", "spatial-conv-op", "scale", "lift"),
    _case("cbam", "spatial-first", "scale", "lift", faults=SAME),
    _case("cbam", "spatial-first", "scale", "lift", turn="scale", faults=SILENT),
    _case("cbam", "spatial-mean", "scale", squeeze="mean"),
    _case("shared", "shared-multiply", "scale", "left_lift right_lift"),
    _case("shared", "shared-multiply", "scale", "left_lift"),
    _case("three-operands", "three-operands", "scale", "lift"),
    _case("three-operands", "three-operands", "scale", "expand", faults=SAME),
    _case("three-operands", "three-operands", "scale", "expand lift"),
    _case("unet", "unet", "scale", "resample", faults=REFUSED),
    _case("unet", "unet", "scale", "resample", turn="scale", faults=REFUSED),
    _case("unet", "unet-op", "scale", "resample", faults=REFUSED),
    _case(
        "unet",
        "unet-2x3",
        "scale",
        "resample",
        faults=REFUSED,
        expect="refused",
        rule="upsample",
        reason="the axes would be repeated by different factors",
    ),
    _case("unet", "unet-time", "scale", "resample", faults=REFUSED),
    _case("film", "film", "scale", "gamma_expand", faults=SILENT),
    _case("film", "film", "scale", "gamma_expand", turn="scale", faults=SAME),
    _case("film", "film-swapped", "scale", "gamma_expand", faults=SILENT),
    _case("film", "film-sequence", "scale", "spread", faults=SAME),
    _case("film", "film-sequence", "scale", "spread", turn="scale", faults=SILENT),
    _case("film", "film-dict", "scale", "expand", faults=SILENT),
    _case("temporal", "temporal", "scale", "lift"),
    _case("temporal", "temporal", "scale", "lift", turn="scale"),
    _case("temporal", "temporal-swapped", "scale", "lift"),
    _case("temporal", "temporal-op", "scale", "lift"),
    _case("temporal", "temporal-op", "scale", "lift", turn="scale"),
    _case("temporal", "temporal-tokens", "scale", "expand_dims"),
    _case("temporal", "temporal-tokens", "scale", "expand_dims", turn="scale"),
    _case("temporal", "bilstm", "scale", "lift"),
    _case("temporal", "bilstm", "scale", "lift", turn="scale"),
    _case("attention-3d", "attention-3d", "scale", "back"),
    _case("attention-3d", "attention-3d", "scale", "back", turn="scale"),
    _case("attention-3d", "attention-3d-op", "scale", "back"),
    _case("repeat-vector", "repeat-vector", "scale", "back"),
    _case("repeat-vector", "repeat-vector", "scale", "back spread"),
    _case("repeat-vector", "repeat-vector", "scale", "back spread", turn="scale"),
    _case("step-gate", "step-gate", "scale", "spread", faults=SAME),
    _case("step-gate", "step-gate", "scale", "spread", turn="scale", faults=SILENT),
    _case("step-gate", "step-gate-op", "scale", "spread", faults=SILENT),
    _case("step-gate", "transformer", "scale", "expand", faults=SILENT),
    _case("sample-weight", "unit-length", "scale", squeeze="sum", evidence="batch"),
    _case("sample-weight", "sample-weight", "scale", "expand", faults=SILENT, evidence="batch"),
    _case("sample-weight", "sample-weight", "scale", "expand", turn="scale", faults=SAME, evidence="batch"),
    _case(
        "sample-weight",
        "sample-weight-layer",
        "scale",
        "expand",
        turn="scale",
        faults=SILENT,
        evidence="batch",
    ),
    _case("sample-weight", "sample-score", "scale", "expand", faults=SILENT, evidence="batch"),
    _case("sample-weight", "sample-score-swapped", "scale", "expand", faults=SILENT, evidence="batch"),
    _case("sample-weight", "sample-features", "scale", "expand", faults=SILENT, evidence="batch"),
    _case("sample-weight", "unit-vector", "scale", squeeze="sum", faults=SILENT, evidence="batch"),
    _case("batch-tile", "batch-tile", "scale", "tile", faults=REFUSED, evidence="sizes"),
    _case("batch-tile", "batch-tile-layer", "scale", "tile", faults=REFUSED, evidence="sizes"),
    _case("batch-tile", "batch-tile-64", "scale", "tile", evidence="sizes"),
    _case("batch-tile", "batch-tile-image", "scale", "tile", faults=REFUSED, evidence="sizes"),
    _case("layout", "layout", "scale", "turn"),
    _case("layout", "layout", "scale", "turn", turn="scale"),
    _case("layout", "layout-op", "scale", "turn"),
    _case("layout", "layout-first", "scale", "turn", evidence="downstream"),
    _case("layout", "layout-first", "scale", "turn", turn="scale", evidence="downstream"),
    _case("contraction", "matmul", "matmul", contract="matmul", evidence="downstream"),
    _case("contraction", "matmul", "matmul", contract="matmul", turn="matmul", evidence="downstream"),
    _case("contraction", "matmul-output", "matmul", contract="matmul", evidence="downstream"),
    _case(
        "contraction",
        "matmul-bare",
        "matmul",
        contract="matmul",
        expect="refused",
        rule="matmul",
        reason="nothing after the product says what it must be",
    ),
    _case("contraction", "dot", "dot", contract="dot", evidence="downstream"),
    _case("contraction", "dot-plain", "dot", contract="dot", evidence="downstream"),
    _case(
        "grouped-dot",
        "grouped-dot",
        "dot",
        "groups",
        contract="dot",
        faults=REFUSED,
        expect="refused",
        rule="grouped-dot",
        reason="every fifth entry could be summed as well as five in a row",
    ),
    _case("outer", "outer", "scale", "column row", faults=REFUSED, evidence="downstream"),
    _case("outer", "outer-op", "scale", "column row", faults=REFUSED, evidence="downstream"),
    _case(
        "contraction",
        "dot-bare",
        "dot",
        contract="dot",
        expect="refused",
        rule="matmul-nt",
        reason="nothing after the product says what it must be",
    ),
    _case(
        "outer",
        "outer-bare",
        "scale",
        "column row",
        faults=("refused", None),
        expect="refused",
        rule="outer",
        reason="nothing after the product says what it must be",
    ),
    _case(
        "grouped-dot",
        "grouped-dot-bare",
        "dot",
        "groups",
        contract="dot",
        faults=REFUSED,
        expect="refused",
        rule="grouped-dot",
        reason="nothing after the product says what it must be",
    ),
    _case("step-gate", "bare-step", "scale", "spread", faults=("silent", None), evidence="sizes"),
    _case(
        "step-gate",
        "bare-step",
        "scale",
        "spread",
        faults=(None, "silent"),
        expect="refused",
        rule="step-gate",
        reason="nothing says whether the vector runs over the steps or over their features",
    ),
    _case(
        "layout",
        "bare-layout",
        "scale",
        "turn",
        faults=("refused", None),
        expect="refused",
        rule="layout",
        reason="nothing says which of the two layouts the product has",
    ),
    _case("nested", "nested", "block/scale", "block/expand", faults=SILENT),
    _case("nested", "nested-twice", "middle/block/scale", "middle/block/expand", faults=SILENT),
    _case("nested", "nested-shared", "block/scale", "block/expand", faults=SILENT),
    _case("nested", "nested-first", "block/scale", "block/expand"),
    _case("weight-order", "twin-dense", "scale", "expand", faults=("silent", None)),
    _case(
        "weight-order",
        "twin-dense",
        "scale",
        "expand",
        faults=(None, "silent"),
        expect="refused",
        rule="step-gate",
        reason="a Dense layer can make factors for the steps as well as for their features",
    ),
    _case("weight-order", "twin-gru", "scale", "expand", faults=SILENT),
)


def _expand(case: Case) -> list[Mutant]:
    mutants = []
    for twin, fault in ((False, case.distinct), (True, case.twin)):
        if fault:
            mutants.append(Mutant(case, twin, "edited"))
        if fault and fault != "refused":
            mutants.append(Mutant(case, twin, "keras"))
    return mutants


# Twins whose gate a Dense layer made from pooled channels: if another axis has the size of the channels, the origin of
# the gate does not decide its axis. They are refused, with the truth among the readings.
TIED = frozenset(
    [
        "cbam-op-twin-expand-expand_dims",
        "cbam-twin-expand-channel_scale~",
        "chain-2-twin-expand1-expand2",
        "chain-3-twin-expand1-expand2-expand3",
        "chain-3-twin-expand2",
        "film-dict-twin-expand",
        "film-sequence-twin-spread-scale~",
        "film-swapped-twin-gamma_expand",
        "film-twin-gamma_expand",
        "nested-first-twin-block.expand",
        "nested-shared-twin-block.expand",
        "nested-twice-twin-middle.block.expand",
        "nested-twin-block.expand",
        "se-1d-twin-expand",
        "se-3d-twin-expand",
        "se-first-op-twin-expand",
        "se-first-twin-expand-scale~",
        "se-keepdims-twin-keras-pool",
        "se-mixed-twin-expand",
        "se-op-swapped-twin-expand",
        "se-op-twin-expand",
        "se-twin-expand-scale~",
        "se-unicode-twin-門é",
        "signal-first-twin-expand-scale~",
        "step-gate-op-twin-spread",
        "step-gate-twin-spread-scale~",
        "transformer-twin-expand",
        "twin-gru-twin-expand",
    ]
)

MUTANTS: dict[str, Mutant] = {m.name: m for case in CASES for m in _expand(case)}
