"""The library: check, repair, shapes and suggest, on paths and on ``keras.Model`` objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import UnsupportedError, UsageError
from .passes.pipeline import Analysis, analyse
from .passes.pipeline import repair as repair_graph
from .passes.suggest import Suggestion, parse_shape
from .passes.suggest import suggest as suggest_shapes
from .results import Report, Result, Shapes
from .rules.table import Rule, builtin
from .shapes import layers, ops  # noqa: F401 - importing them fills the table of axis rules
from .shapes.infer import infer

if TYPE_CHECKING:
    from .formats.source import ModelFile

MODES = ("safe", "best")
Path = str | os.PathLike[str]


def check(model: Any, *, mode: str = "safe", rules: Path | None = None) -> Report:
    """Find the multiplies of a model whose operands do not fit. Nothing is written and no code of the model runs.

    Args:
        model: a path, or a ``keras.Model``.
        mode: ``safe`` chooses only what evidence decides, ``best`` the first-ranked candidate.
        rules: a TOML file with rules to add to the table.

    Raises:
        RewriterError: the model or an argument cannot be used.
    """
    table = _table(rules)
    _check_mode(mode)
    with _opened(model) as source:
        source.load_weights()
        analysis = analyse(source.graph, table, mode)
        return Report(_name(model, source), source.format, *_counts(analysis), analysis.findings)


def repair(
    model: Any,
    output: Path | None = None,
    *,
    onnx: Path | None = None,
    at: Mapping[str, str] | None = None,
    mode: str = "safe",
    explicit: bool = False,
    verify: bool = True,
    rules: Path | None = None,
) -> Result:
    """Repair a model and write it.

    Args:
        model: a path, or a ``keras.Model``; with a model the result's ``model`` is the repaired one, weights and
            compile state kept, and ``output`` may be left out.
        output: the file to write, of the same format.
        at: what the user says of multiplies, ``{node: rule or equation}``.
        explicit: also write legal implicit broadcasts out.
        verify: check the written file again.

    Returns:
        The result; its ``output`` is None where something could not be decided, and then nothing was written.

    Raises:
        RewriterError: the model or an argument cannot be used, or the repair failed its own proof.
    """
    _check_mode(mode)
    if onnx is not None:
        raise UnsupportedError("writing ONNX is not available in this version")
    if _is_model(model):
        from .formats.live import repair_model

        return repair_model(
            model,
            lambda path, fixed: repair(
                path, fixed, at=at, mode=mode, explicit=explicit, verify=verify, rules=rules
            ),
            output,
        )
    if output is None:
        raise UsageError("an output path is needed to repair a file")
    table = _table(rules)
    from .formats.keras_ops import spell

    with _opened(model) as source:
        nodes = sum(1 for _ in source.graph.walk())  # before nodes are inserted
        source.load_weights()
        outcome = repair_graph(source.graph, table, spell, mode, at, explicit)
        counts = nodes, _counts(outcome.before)[1]
        result = Result(
            _name(model, source), source.format, *counts, outcome.findings, undecided=outcome.undecided
        )
        if outcome.undecided:
            return result
        source.write(output)
        result.inserted = outcome.inserted
        result.output = os.fspath(output)
    if verify:
        result.verified = {"static": True, "findings_left": len(outcome.after.findings)}
    return result


def shapes(model: Any) -> Shapes:
    """Axes of every tensor of a model. Raises RewriterError where it cannot be read."""
    with _opened(model) as source:
        return Shapes(_name(model, source), infer(source.graph))


def suggest(
    lhs: Any, rhs: Any, *, op: str = "Multiply", layout: str | None = None, rules: Path | None = None
) -> Suggestion:
    """What a product of two shapes can mean: ``suggest((None, 28, 28, 64), (None, 64))``.

    Args:
        lhs, rhs: shapes, or their text (``"None,28,28,64"``). A leading None is the batch.
        op: ``Multiply`` (the layer), ``multiply``, ``Add``, ``add``, ``matmul``, ``Dot`` or ``Concatenate``.
        layout: ``channels_last`` or ``channels_first``, if known.
    """
    pair = [parse_shape(s if isinstance(s, str) else ",".join(map(str, s))) for s in (lhs, rhs)]
    return suggest_shapes(pair[0], pair[1], _table(rules), op, layout)


def export_onnx(model: Any, output: Path) -> None:
    """Write a model as ONNX. Raises UnsupportedError: not available in this version."""
    raise UnsupportedError("writing ONNX is not available in this version")


def _table(path: Path | None) -> tuple[Rule, ...]:
    from .rules.userfile import load

    return builtin() if path is None else (*builtin(), *load(path))


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise UsageError(f"mode {mode!r}: it is safe or best")


def _counts(analysis: Analysis) -> tuple[int, int]:
    nodes = sum(1 for _ in analysis.inference.graph.walk())
    return nodes, len({site.path for site in analysis.sites})


def _is_model(model: Any) -> bool:
    return hasattr(model, "get_config") and hasattr(model, "save")


def _name(model: Any, source: ModelFile) -> str:
    return source.path if not _is_model(model) else str(getattr(model, "name", "model"))


@contextmanager
def _opened(model: Any) -> Iterator[ModelFile]:
    """The model's file; a ``keras.Model`` is saved to a temporary one."""
    from .formats.source import open_model

    if _is_model(model):
        from .formats.live import saved

        with saved(model) as path, open_model(path) as source:
            yield source
    else:
        with open_model(model) as source:
            yield source
