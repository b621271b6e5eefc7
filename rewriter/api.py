"""The library: check, repair, shapes and suggest, on paths and on ``keras.Model`` objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .errors import UnsupportedError, UsageError
from .ir.graph import Graph, path_text
from .passes.analysis import Analysis, analyse
from .passes.changes import Changes, changes
from .passes.finding import Candidate
from .passes.pipeline import rehearse
from .passes.pipeline import repair as repair_graph
from .passes.plan import choice_text, worded
from .passes.sites import DEFAULT_OPS, Site, families
from .passes.suggest import Suggestion, parse_shape
from .passes.suggest import suggest as suggest_shapes
from .passes.verdicts import verdicts
from .results import Report, Result, Shapes
from .rules.table import Family, Rule, builtin
from .shapes import layers as _layers  # noqa: F401 - importing them fills the table of axis rules
from .shapes import ops as _ops  # noqa: F401
from .shapes.infer import infer

if TYPE_CHECKING:
    from .formats.onnx import Exported
    from .formats.proof import Prover
    from .formats.source import ModelFile

MODES = ("safe", "best")
Path = str | os.PathLike[str]


def check(
    model: Any,
    *,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    rules: Path | None = None,
    plan: Path | None = None,
) -> Report:
    """Find the multiplies of a model whose operands do not fit. The model is not changed and no code of it runs.

    Args:
        model: a path, or a ``keras.Model``.
        mode: ``safe`` chooses only what evidence decides, ``best`` the first-ranked candidate.
        ops: ``multiply`` looks at multiplies; ``all`` also at sums and their kin, contractions and Concatenate.
        rules: a TOML file with rules to add to the table.
        plan: a file to write the findings, candidates and choices to, for a person to edit and ``repair`` to apply.

    Raises:
        RewriterError: the model or an argument cannot be used.
    """
    table = _table(rules)
    _check_mode(mode)
    families(ops)
    if plan is not None:
        _check_plan(model, plan)
    with _opened(model) as source:
        nodes = sum(1 for _ in source.graph.walk())  # before nodes are inserted
        source.load_weights()
        said: dict[str, str] = {}

        def see(analysis: Analysis, todo: Sequence[tuple[Site, Candidate]]) -> None:
            if plan is not None:
                said.update(worded(analysis, todo, table))

        outcome = rehearse(source.graph, table, source.spell, mode, ops, see)
        report = Report(
            _name(model, source),
            source.format,
            nodes,
            _multiplies(outcome.before),
            outcome.findings,
            verdicts(outcome.before),
            mode,
            ops,
        )
        if plan is not None:
            choices = {f.node: choice_text(f, said) for f in outcome.findings}
            _write_plan(plan, report, choices, mode, ops)
        return report


def repair(
    model: Any,
    output: Path | None = None,
    *,
    onnx: Path | None = None,
    at: Mapping[str, str] | None = None,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    explicit: bool = False,
    verify: bool | Prover = True,
    rules: Path | None = None,
    plan: Path | None = None,
    dry_run: bool = False,
) -> Result:
    """Repair a model and write it.

    Args:
        model: a path, or a ``keras.Model``; with a model the result's ``model`` is the repaired one, weights and
            compile state kept, and ``output`` may be left out.
        output: the file to write, of the same format.
        onnx: a file to write the repaired model to as ONNX as well: both files are written, or neither.
        at: what the user says of multiplies, ``{node: rule or equation}``.
        ops: what is repaired: ``multiply``, or ``all``, as in ``check``.
        explicit: also write legal implicit broadcasts out.
        verify: run the repaired model and compare it with what it must compute, in a process of its own; or what does
            that (``formats.proof.in_process``). The written file is analysed again in any case.
        plan: a file that ``check`` wrote: the choices in it are applied, and nothing else.
        dry_run: write nothing; the result's ``changes`` say what would be other.

    Returns:
        The result; its ``output`` is None where something could not be decided, and then nothing was written.

    Raises:
        RewriterError: the model or an argument cannot be used, or the repair failed its own proof.
    """
    _check_mode(mode)
    families(ops)
    if onnx is not None and dry_run:
        raise UsageError("a dry run writes nothing: leave onnx out")
    if plan is not None:
        if at or explicit or mode != "safe":
            raise UsageError("a plan says all that is to be done: mode, at and explicit do not go with it")
        _check_plan(model, plan)
        if output is not None and _same_file(output, plan):
            raise UsageError("the output is the plan itself: choose another name")
    if dry_run and _is_model(model):
        raise UsageError("a dry run is for a model in a file: save the model first")
    if _is_model(model):
        from .formats.live import repair_model

        return repair_model(
            model,
            lambda path, fixed, prover: repair(
                path,
                fixed,
                onnx=onnx,
                at=at,
                mode=mode,
                ops=ops,
                explicit=explicit,
                verify=prover if verify is True else verify,
                rules=rules,
            ),
            output,
        )
    if output is None and not dry_run:
        raise UsageError("an output path is needed to repair a file")
    table = _table(rules)
    with _opened(model) as source:
        nodes = sum(1 for _ in source.graph.walk())  # before nodes are inserted
        source.load_weights()
        left = None
        if plan is not None:
            from .formats.digest import sha256
            from .passes.plan import read

            decided = read(plan).of(
                sha256(source.path), [path_text(path) for path, _, _ in source.graph.walk()]
            )
            at, left, ops = decided.stated, decided.left, decided.ops
        outcome = repair_graph(source.graph, table, source.spell, mode, at, explicit, left, ops)
        result = Result(
            _name(model, source),
            source.format,
            nodes,
            _multiplies(outcome.before),
            outcome.findings,
            verdicts(outcome.before),
            mode,
            ops,
            undecided=outcome.undecided,
        )
        if outcome.undecided:
            return result
        result.inserted = outcome.inserted
        if output is None or dry_run:
            result.changes = _changes(source.path, source.graph)
            return result
        from .formats.proof import in_child, write_proven

        prover = (in_child if verify else None) if isinstance(verify, bool) else verify

        def look(graph: Graph) -> Analysis:
            return analyse(graph, table, mode, ops)

        if onnx is None:
            result.verified = write_proven(source, output, outcome, look, prover)
        else:
            _write_both(
                source,
                output,
                onnx,
                result,
                prover is not None,
                lambda path: write_proven(source, path, outcome, look, prover),
            )
        result.output = os.fspath(output)
    return result


def _write_both(
    source: ModelFile,
    output: Path,
    onnx: Path,
    result: Result,
    verify: bool,
    write: Callable[[str], dict[str, Any]],
) -> None:
    """Write a repaired model and its ONNX form, both or neither."""
    from .formats.atomic import provisional
    from .formats.onnx import Options, exporting
    from .formats.source import open_model

    if _same_file(source.path, output) or _same_file(source.path, onnx):
        raise UnsupportedError("the output is the input itself: choose another name")
    if source.format == "onnx":
        raise UsageError("the model is ONNX already: leave --onnx out")
    rules = ",".join(sorted({change.rule for change in result.inserted}))
    with ExitStack() as stack:
        path = stack.enter_context(provisional(output, os.path.splitext(source.path)[1]))
        result.verified = write(path)
        with open_model(path) as repaired:
            repaired.load_weights()
            options = Options(verify=verify)
            exported = stack.enter_context(
                exporting(repaired, onnx, options, {"rules": rules} if rules else {})
            )
    result.onnx, result.onnx_verified = exported.path, exported.verified


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


def export_onnx(model: Any, output: Path, *, rules: Sequence[str] = (), **options: Any) -> Exported:
    """Write a model as ONNX.

    Args:
        model: a path, or a ``keras.Model``.
        rules: what was applied to it before, for the file's metadata.
        options: the fields of ``formats.onnx.Options``: ``opset``, ``batch``, ``external_data`` …

    Raises:
        UnsupportedError: a part of the model has no ONNX form; it is named, with the reason. Nothing is written.
        VerificationError: it was compared with Keras (``verify``), and differs. Nothing is written.
        RewriterError: the model or an option cannot be used, or the output cannot be written.
    """
    from .formats.onnx import Options, export

    with _opened(model) as source:
        source.load_weights()
        return export(source, output, Options(**options), {"rules": ",".join(rules)} if rules else {})


def _table(path: Path | None) -> tuple[Rule, ...]:
    from .rules.userfile import load

    return builtin() if path is None else (*builtin(), *load(path))


def _changes(path: str, repaired: Graph) -> Changes:
    """What the repair of a file's graph changed, against the graph as it is in the file."""
    from .formats.source import open_model

    with open_model(path) as source:
        source.load_weights()
        return changes(infer(source.graph), infer(repaired))


def _check_plan(model: Any, plan: Path) -> None:
    """A plan belongs to a file, and is another file."""
    if _is_model(model):
        raise UsageError("a plan is for a model in a file: save the model first")
    if _same_file(model, plan):
        raise UsageError("the plan is the model itself: choose another name")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):
        return False


def _write_plan(plan: Path, report: Report, choices: Mapping[str, str], mode: str, ops: str) -> None:
    from .formats.atomic import atomic_write
    from .formats.digest import sha256
    from .report.plan import text

    content = text(report, sha256(report.path), mode, ops, choices)
    with atomic_write(plan) as file:
        file.write(content.encode())


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise UsageError(f"mode {mode!r}: it is safe or best")


def _multiplies(analysis: Analysis) -> int:
    return len({site.path for site in analysis.sites if site.family is Family.PRODUCT})


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
