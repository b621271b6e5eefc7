"""The functions of the library, most of them on paths and on ``keras.Model`` objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import RewriterError, UndecidedError, UnsupportedError, UsageError, naming, shown
from .export.onnx.options import Options
from .ir.graph import Graph, path_text
from .passes.analysis import Analysis, analyse
from .passes.candidate import Candidate
from .passes.changes import Changes, changes
from .passes.nodes import check_node
from .passes.pipeline import Outcome, rehearse
from .passes.pipeline import repair as repair_graph
from .passes.plan import choice_text, worded
from .passes.seen import Seen
from .passes.sites import DEFAULT_OPS, Site, families
from .passes.suggest import Suggestion, parse_shape
from .passes.suggest import suggest as suggest_shapes
from .passes.verdicts import verdicts
from .progress import stage
from .requests import (
    Outputs,
    Path,
    RepairRequest,
    check_export,
    check_files,
    check_mode,
    is_model,
    output_form,
    sorted_outputs,
)
from .results import Explanation, Report, Result, Shapes
from .rules.table import Family, Rule, builtin
from .shapes import layers as _layers  # noqa: F401 - importing them fills the table of axis rules
from .shapes import ops as _ops  # noqa: F401
from .shapes.infer import infer
from .trusted import trusting

if TYPE_CHECKING:
    from .conversion import Converted
    from .export.onnx import Exported
    from .formats.model_file import ModelFile
    from .passes.plan import Plan
    from .passes.rewrite import Inserted
    from .proof import Prover

_R = TypeVar("_R", bound=Report)


def check(
    model: Any,
    *,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    rules: Path | None = None,
    plan: Path | None = None,
    weights: Path | None = None,
    timeout: float | None = None,
    trust: Sequence[str] = (),
) -> Report:
    """Find the multiplies of a model whose operands do not fit. The model is not changed.

    No code from a file runs. For a model in memory, only the code that saves it runs.
    In a subclassed model, the functional and sequential models in its attributes are checked, under the names of the
    attributes (``encoder/scale``). Its ``call`` is reported as not analysed.

    Args:
        model: a path, or a model of Keras 3 or tf_keras.
        mode: ``safe`` chooses a candidate only where evidence decides, ``best`` chooses the first-ranked one.
        ops: ``multiply`` checks multiplies; ``all`` also other elementwise operations, contractions and Concatenate.
        rules: a TOML file with rules to add to the table.
        plan: a TOML file to write, with the findings, candidates and choices. Edit it, and give it to ``repair``.
        weights: the file with the weights of a model that is only a configuration.
        timeout: seconds after which a process that runs trusted code is stopped; 300 by default.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Raises:
        RewriterError: the model or an argument cannot be used.
    """
    from .proof.limits import within

    table = _table(rules)
    check_mode(mode)
    families(ops)
    if not is_model(model):
        with naming(model), within(timeout), _trusting(trust):
            return _check_file(model, table, mode, ops, rules, plan, weights)
    if plan is not None:
        raise UsageError("a plan is for a model in a file: save the model first")
    from .live import check_model

    return check_model(model, lambda path: _check_file(path, table, mode, ops, rules, None, None))


def _check_file(
    path: Path,
    table: tuple[Rule, ...],
    mode: str,
    ops: str,
    rules: Path | None,
    plan: Path | None,
    weights: Path | None,
) -> Report:
    """The report on a model in a file."""
    stage("reading")
    with _opened(path, weights) as source:
        check_files(source, {"the rules file": rules}, {"the plan": plan})
        return check_opened(source, table, mode, ops, rules, plan, weights)


def check_opened(
    source: ModelFile,
    table: tuple[Rule, ...],
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    rules: Path | None = None,
    plan: Path | None = None,
    weights: Path | None = None,
) -> Report:
    """The report on an opened model; its graph is repaired for it. The arguments are those of ``check``."""
    stage("checking")
    nodes = sum(1 for _ in source.graph.walk())  # before nodes are inserted
    source.load_weights()
    said: dict[str, str] = {}

    def see(analysis: Analysis, todo: Sequence[tuple[Site, Candidate]]) -> None:
        if plan is not None:
            said.update(worded(analysis, todo, table))

    outcome = rehearse(source.graph, table, source.spell, mode, ops, see)
    report = _reported(Report, source, nodes, outcome, mode, ops, rules, weights)
    if plan is not None:
        choices = {f.node: choice_text(f, said) for f in outcome.findings}
        _write_plan(plan, report, choices, mode, ops)
    return report


def _reported(
    kind: type[_R],
    source: ModelFile,
    nodes: int,
    outcome: Outcome,
    mode: str,
    ops: str,
    rules: Path | None,
    weights: Path | None,
) -> _R:
    """What ``check`` and ``repair`` both report. ``nodes`` were counted before any was inserted."""
    return kind(
        source.path,
        source.format,
        nodes,
        _multiplies(outcome.before),
        outcome.findings,
        verdicts(outcome.before),
        mode,
        ops,
        Seen.of(outcome),
        rules=_text(rules),
        weights=_text(weights),
    )


def repair(
    model: Any,
    output: Path | None = None,
    *,
    onnx: Path | None = None,
    at: Mapping[str, str] | None = None,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    explicit: bool = False,
    verify: bool | Prover | None = None,
    rules: Path | None = None,
    plan: Path | None = None,
    dry_run: bool = False,
    weights: Path | None = None,
    timeout: float | None = None,
    trust: Sequence[str] = (),
) -> Result:
    """Repair a model and write it.

    Args:
        model: a path, or a model of Keras 3 or tf_keras. A model in memory is not changed: the result's ``model`` is a
            repaired copy with its weights and compile state, and ``output`` is optional. For a subclassed model, the
            result's ``parts`` are its repaired functional parts. A tf_keras model is written as a Keras 3 file.
        output: the file to write. Its suffix is the format: the model's own, another Keras format, or ONNX.
        onnx: a second file to write, as ONNX: both files are written, or neither.
        at: what multiplies mean, ``{node: rule or equation}``.
        mode: ``safe`` applies a candidate only where evidence decides, ``best`` applies the first-ranked one.
        ops: what to repair: ``multiply``, or ``all``, as in ``check``.
        explicit: also insert nodes for legal implicit broadcasts.
        verify: run the repaired model in a separate process, and compare it with what it must compute. None runs it if
            that is possible here, True requires it, False skips it; a function runs instead (``proof.in_process``).
            The written file is analysed again in any case.
        rules: a TOML file with rules to add to the table.
        plan: a file that ``check`` wrote: its choices are applied, and nothing else.
        dry_run: write nothing; the result's ``changes`` are what would change.
        weights: the file with the weights of a model that is only a configuration.
        timeout: seconds after which a separate process, for a proof or trusted code, is stopped; 300 by default.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Returns:
        The result. It is false if a finding could not be decided: then nothing was written, ``output`` and ``model``
        are None, and ``undecided`` lists the findings. ``repaired`` raises UndecidedError instead.

    Raises:
        RewriterError: the model or an argument cannot be used, or the repair failed its own proof.
    """
    from .proof.limits import within

    request = RepairRequest(output, onnx, at, mode, ops, explicit, verify, rules, plan, dry_run, weights)
    with within(timeout), _trusting(trust):
        if is_model(model):
            return _repair_model(model, request)
        _check_path(model)
        if output is None and onnx is None and not dry_run:
            raise UsageError("an output path is needed to repair a file")
        with naming(model):
            return _repair_file(model, request)


def _repair_model(model: Any, request: RepairRequest) -> Result:
    """Repair a model in memory, through a temporary file."""
    from .live import repair_model

    if request.plan is not None or request.dry_run:
        raise UsageError("a plan and a dry run are for a model in a file: save the model first")
    output, onnx = sorted_outputs(request.output, request.onnx, "keras-v3")
    if output is not None:
        output_form(output, "keras-v3", True)
    at = request.at or {}

    def repair_file(
        path: str, target: str, prover: Prover, then: Callable[[str], None], stated: Collection[str]
    ) -> Result:
        here = {node: text for node, text in at.items() if node in stated}
        return _repair_file(path, replace(request, output=target, onnx=onnx, at=here), prover, then)

    return repair_model(model, repair_file, output, onnx, at)


def _repair_file(
    path: Path,
    request: RepairRequest,
    prover: Prover | None = None,
    then: Callable[[str], None] = lambda path: None,
) -> Result:
    """Repair a model in a file.

    Args:
        prover: proves the repair if the request names no prover; a separate process by default.
        then: called with the temporary path of the proven file, before any output gets its name.
    """
    table = _table(request.rules)
    stage("reading")
    with _opened(path, request.weights) as source:
        stage("checking")
        source = request.read_as(source)
        outputs = request.outputs(source)
        source.load_weights()
        nodes = sum(1 for _ in source.graph.walk())  # before nodes are inserted
        at, left, ops = request.at, None, request.ops
        if request.plan is not None:
            decided = _decided(request.plan, source)
            at, left, ops = decided.stated, decided.left, decided.ops
        outcome = repair_graph(
            source.graph, table, source.spell, request.mode, at, request.explicit, left, ops
        )
        result = _reported(Result, source, nodes, outcome, request.mode, ops, request.rules, request.weights)
        result.undecided = outcome.undecided
        if outcome.undecided:
            return result
        result.inserted = outcome.inserted
        if request.dry_run:
            result.changes = _changes(source, request.weights)
            return result

        def look(graph: Graph) -> Analysis:
            return analyse(graph, table, request.mode, ops)

        _write(source, outputs, outcome, look, _prover(request, prover), request.verify, result, then)
    return result


def _prover(request: RepairRequest, prover: Prover | None) -> Prover | None:
    from .proof import in_child

    if request.verify is False:
        return None
    return request.verify if callable(request.verify) else prover or in_child


def _write(
    source: ModelFile,
    outputs: Outputs,
    outcome: Outcome,
    look: Callable[[Graph], Analysis],
    prover: Prover | None,
    verify: bool | Prover | None,
    result: Result,
    then: Callable[[str], None],
) -> None:
    """Write a repaired model in its own format, as ONNX, or both: all files or none."""
    from .proof import proven

    own, form, onnx = outputs
    target = own if own is not None else onnx
    assert target is not None
    with ExitStack() as stack:
        path, result.verified = stack.enter_context(
            proven(source, target, form, outcome, look, prover, verify is True, own is not None)
        )
        if onnx is not None:
            from .export.onnx import exporting
            from .formats.registry import open_model

            applied = ",".join(sorted({change.rule for change in result.inserted}))
            with open_model(path) as repaired:
                repaired.load_weights()
                options = Options(verify=False if verify is False else True if verify is True else None)
                exported = stack.enter_context(
                    exporting(repaired, onnx, options, {"rules": applied} if applied else {})
                )
            result.onnx, result.onnx_verified = exported.path, exported.verified
        then(path)
    result.output = os.fspath(target)


def shapes(
    model: Any, *, weights: Path | None = None, timeout: float | None = None, trust: Sequence[str] = ()
) -> Shapes:
    """The axes of every tensor of a model.

    Args:
        model: a path, or a model of Keras 3 or tf_keras.
        weights: the file with the weights of a model that is only a configuration.
        timeout: seconds after which a process that runs trusted code is stopped; 300 by default.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Raises:
        RewriterError: the model cannot be read.
    """
    from .proof.limits import within

    with naming(model), within(timeout), _trusting(trust), _opened(model, weights) as source:
        try:
            counts = source.parameter_counts()
        except RewriterError:
            counts = None  # shapes does not need them; repair reports what is wrong with them
        return Shapes(_name(model, source), infer(source.graph), counts)


def explain(
    model: Any,
    node: str | None = None,
    *,
    ops: str = DEFAULT_OPS,
    rules: Path | None = None,
    weights: Path | None = None,
    timeout: float | None = None,
    trust: Sequence[str] = (),
) -> Explanation:
    """Explain why each rule fits a node of a model or does not; without ``node``, explain every multiply.

    Args:
        model: a path, or a model of Keras 3 or tf_keras.
        node: the name of a multiply (with ``ops="all"`` also of any other checked node).
        ops: ``multiply``, or ``all``, as in ``check``.
        rules: a TOML file with rules to add to the table.
        weights: the file with the weights of a model that is only a configuration.
        timeout: seconds after which a process that runs trusted code is stopped; 300 by default.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Raises:
        RewriterError: the model or an argument cannot be used.
    """
    from .proof.limits import within

    table = _table(rules)
    with naming(model), within(timeout), _trusting(trust), _opened(model, weights) as source:
        source.load_weights()
        analysis = analyse(source.graph, table, ops=ops)
        if node is not None:
            check_node(node, analysis)
        return Explanation(
            _name(model, source), analysis, node, ops=ops, rules=_text(rules), weights=_text(weights)
        )


def suggest(
    lhs: Any, rhs: Any, *, op: str = "Multiply", layout: str | None = None, rules: Path | None = None
) -> Suggestion:
    """What a product of two shapes can mean: ``suggest((None, 28, 28, 64), (None, 64))``.

    Args:
        lhs, rhs: shapes, or their text (``"None,28,28,64"``). A leading None is the batch.
        op: ``Multiply`` (the layer), ``multiply``, ``Add``, ``add``, ``matmul``, ``Dot`` or ``Concatenate``.
        layout: ``channels_last`` or ``channels_first``, if known.
        rules: a TOML file with rules to add to the table.

    Raises:
        RewriterError: an argument cannot be used.
    """
    pair = [parse_shape(s if isinstance(s, str) else ",".join(map(str, s))) for s in (lhs, rhs)]
    return suggest_shapes(pair[0], pair[1], _table(rules), op, layout)


def export_onnx(
    model: Any,
    output: Path,
    *,
    rules: Sequence[str] = (),
    repair: bool = False,
    at: Mapping[str, str] | None = None,
    weights: Path | None = None,
    opset: int | None = None,
    batch: int | None = None,
    external_data: bool = False,
    nchw_inputs: bool = False,
    nchw_outputs: bool = False,
    fp16: bool = False,
    quantize: str | None = None,
    fallback: str | None = None,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    states: bool = False,
    annotate: bool = False,
    extensions: bool = False,
    verify: bool | None = False,
    timeout: float | None = None,
    trust: Sequence[str] = (),
) -> Exported:
    """Write a model as ONNX.

    Args:
        model: a path, or a model of Keras 3 or tf_keras.
        output: the file to write; its name ends in ``.onnx``.
        rules: names of the rules that were applied to the model before, for the file's metadata.
        repair: repair the model first, as ``repair`` does.
        at: what multiplies mean, for the repair.
        weights: the file with the weights of a model that is only a configuration.
        opset: the version of the ONNX operator set, 17 to 26 (default: the newest that serves the model).
        batch: fix the batch of all inputs.
        external_data: put the weights into a file beside the model.
        nchw_inputs: take images with their channels first.
        nchw_outputs: give images with their channels first.
        fp16: compute in half precision, between float32 inputs and outputs.
        quantize: ``weights`` stores weights in 8 bits and computes in float32; ``dynamic`` also rounds the operands of
            products to 8 bits, by their range at run time.
        fallback: the exporter of a model that cannot be exported directly: ``tf2onnx``.
        input_names, output_names: a name for each input or output, in the order of ``model.inputs`` and
            ``model.outputs``, instead of Keras's.
        states: make the states that stateful layers keep between calls inputs and outputs of the model.
        annotate: write the types and sizes of inner tensors, and where in the model each node comes from.
        extensions: export texts with operators of the package onnxruntime-extensions, which a session has to register.
        verify: compare the result with Keras. None does so if that is possible here, True requires it, False skips it.
        timeout: as in ``repair``.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Raises:
        UnsupportedError: a part of the model has no ONNX form, or a required comparison cannot run. Nothing is written.
        UndecidedError: with ``repair``, a person must decide a finding. Nothing is written.
        VerificationError: with ``verify``, the result differs from Keras. Nothing is written.
        RewriterError: the model or an option cannot be used, or the output cannot be written.
    """
    from .export.onnx import export
    from .formats.registry import as_exported, as_keras
    from .proof.limits import within

    if at and not repair:
        raise UsageError("at is for a repair: add repair=True")
    asked = Options(
        opset=opset, batch=batch, external_data=external_data, fp16=fp16, quantize=quantize, nchw_inputs=nchw_inputs,
        nchw_outputs=nchw_outputs, fallback=fallback, verify=verify, input_names=input_names,
        output_names=output_names, states=states, annotate=annotate, extensions=extensions,
    )  # fmt: skip
    asked.check()
    with naming(model), within(timeout), _trusting(trust), ExitStack() as stack:
        path, prover = stack.enter_context(_file(model, hdf5=repair))
        source, unable = as_exported(stack.enter_context(_opened(path, weights)), asked.fallback)
        if unable and repair:
            raise UnsupportedError(unable)
        check_export(output, source)
        applied = list(rules)
        if repair:
            fixed, changes = stack.enter_context(_repaired_beside(path, weights, source.format, at, prover))
            applied += sorted({change.rule for change in changes})
            source = as_keras(stack.enter_context(_opened(fixed)))
        source.load_weights()
        return export(source, output, asked, {"rules": ",".join(applied)} if applied else {}, unable)


@contextmanager
def _repaired_beside(
    path: Path, weights: Path | None, form: str, at: Mapping[str, str] | None, prover: Prover | None
) -> Iterator[tuple[str, list[Inserted]]]:
    """A temporary file with the repaired model of a file, and what was inserted."""
    from .formats.registry import format_of

    with TemporaryDirectory(prefix="rewriter-") as directory:
        own = format_of(form)
        suffix = own.suffix if weights is None and not own.translated else ".keras"
        fixed = os.path.join(directory, f"repaired{suffix}")
        result = _repair_file(path, RepairRequest(fixed, at=at, weights=weights), prover)
        if result.output is None:
            raise UndecidedError(result.undecided)
        yield fixed, result.inserted


def repaired(
    model: Any,
    *,
    output: Path | None = None,
    onnx: Path | None = None,
    at: Mapping[str, str] | None = None,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    explicit: bool = False,
    verify: bool | Prover | None = None,
    rules: Path | None = None,
    timeout: float | None = None,
) -> Any:
    """A model in memory with its multiplies repaired, for an export script: ``rewriter.repaired(model).export(path)``.

    The given model is not changed; the result is a new model with its weights and compile state.

    Args:
        model: a functional or sequential model of Keras 3 or tf_keras.
        output, onnx: files to write the repaired model to as well.
        at, mode, ops, explicit, verify, rules, timeout: as in ``repair``.

    Raises:
        UndecidedError: a person must decide a finding; nothing was written.
        UnsupportedError: the model is subclassed, or cannot be saved.
        RewriterError: as ``repair``.
    """
    from . import live

    fix = partial(
        repair,
        output=output,
        onnx=onnx,
        at=at,
        mode=mode,
        ops=ops,
        explicit=explicit,
        verify=verify,
        rules=rules,
        timeout=timeout,
    )
    return live.repaired(model, fix).model


def repairing(
    model: Any,
    *,
    at: Mapping[str, str] | None = None,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    explicit: bool = False,
    verify: bool | Prover | None = None,
    rules: Path | None = None,
    timeout: float | None = None,
) -> AbstractContextManager[list[Result]]:
    """A block in which ``model.save`` and ``model.export`` write the model repaired.

        with rewriter.repairing(model):
            export_script(model)

    Each call of the two repairs a copy of the model in its current state; the model itself is not changed. Within the
    block, the two methods are replaced on this object, for all threads. Other ways to save a model
    (``keras.saving.save_model``, ``tf.saved_model.save``) are not covered: give them ``repaired(model)``.

    Args:
        model: a functional or sequential model of Keras 3 or tf_keras.
        at, mode, ops, explicit, verify, rules, timeout: as in ``repair``.

    Returns:
        A context manager of a list. Each of these calls appends the result of its repair.

    Raises:
        UsageError: ``model`` is not a model of Keras.
        UndecidedError: from ``save`` and ``export``: a person must decide a finding; nothing was written.
        RewriterError: from ``save`` and ``export``, as ``repair``.
    """
    from . import live

    fix = partial(
        repair,
        at=at,
        mode=mode,
        ops=ops,
        explicit=explicit,
        verify=verify,
        rules=rules,
        timeout=timeout,
    )
    return live.repairing(model, fix)


def convert(
    model: Path,
    output: Path,
    *,
    weights: Path | None = None,
    verify: bool | None = None,
    opset: int | None = None,
    batch: int | None = None,
    external_data: bool = False,
    nchw_inputs: bool = False,
    nchw_outputs: bool = False,
    fp16: bool = False,
    quantize: str | None = None,
    fallback: str | None = None,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    states: bool = False,
    annotate: bool = False,
    extensions: bool = False,
    timeout: float | None = None,
) -> Converted:
    """Write a model in another format, or a model of an older Keras for Keras 3.

    Args:
        model: a path.
        output: the file to write. Its suffix is the format; the name of a folder ends in "/".
        weights: the file with the weights of a model that is only a configuration.
        verify: run both models on the same inputs and compare. None does so if that is possible here, True requires
            it, False skips it.
        timeout: as in ``repair``.
        opset, batch, external_data, nchw_inputs, nchw_outputs, fp16, quantize, fallback: as in ``export_onnx``, for an
            ONNX output.
        input_names, output_names, states, annotate, extensions: likewise.

    Raises:
        UnsupportedError: a part of the model has no form in the new format, or a required comparison cannot run.
            Nothing is written.
        VerificationError: the two models differ. Nothing is written.
        RewriterError: the model or an argument cannot be used, or the output cannot be written.
    """
    from .conversion import convert as converted
    from .proof.limits import within

    options = Options(
        opset=opset, batch=batch, external_data=external_data, fp16=fp16, quantize=quantize, nchw_inputs=nchw_inputs,
        nchw_outputs=nchw_outputs, fallback=fallback, verify=verify, input_names=input_names,
        output_names=output_names, states=states, annotate=annotate, extensions=extensions,
    )  # fmt: skip
    with naming(model), within(timeout), _opened(model, weights) as source:
        return converted(source, output, options)


def _trusting(names: Sequence[str]) -> AbstractContextManager[None]:
    """A block in which these packages are trusted, and the graphs of their layers are traced. Raises UsageError."""
    if not names and not isinstance(names, str):
        return nullcontext()
    from .tracing.model import with_traces

    return trusting(names, with_traces)


def _text(path: Path | None) -> str:
    return "" if path is None else os.fsdecode(path)


def _table(path: Path | None) -> tuple[Rule, ...]:
    from .rules.userfile import load

    return builtin() if path is None else (*builtin(), *load(path))


def _changes(repaired: ModelFile, weights: Path | None) -> Changes:
    """The difference of a repaired graph from the graph in its file."""
    from .formats.registry import reopened

    with reopened(repaired, weights) as source:
        source.load_weights()
        return changes(infer(source.graph), infer(repaired.graph))


def _decided(plan: Path, source: ModelFile) -> Plan:
    """The choices of a plan for a model's file. Raises UsageError if the plan is for another model."""
    from .files.digest import sha256
    from .passes.plan import read

    return read(plan).of(sha256(source.path), [path_text(path) for path, _, _ in source.graph.walk()])


def _write_plan(plan: Path, report: Report, choices: Mapping[str, str], mode: str, ops: str) -> None:
    from .files.atomic import atomic_write
    from .files.digest import sha256
    from .report.plan import text

    content = text(report, sha256(report.path), mode, ops, choices)
    with atomic_write(plan) as file:
        file.write(content.encode())


def _multiplies(analysis: Analysis) -> int:
    return len({site.path for site in analysis.sites if site.family is Family.PRODUCT})


def _name(model: Any, source: ModelFile) -> str:
    return source.path if not is_model(model) else str(getattr(model, "name", "model"))


@contextmanager
def _opened(model: Any, weights: Path | None = None) -> Iterator[ModelFile]:
    """The opened file of a model; a model in memory is saved to a temporary file first.

    Raises:
        UsageError: neither a path nor a model, or a model in memory with a file of weights.
        UnsupportedError: a subclassed model, or one that cannot be saved.
    """
    from .formats.registry import open_model

    with _file(model) as (path, _), open_model(path, weights) as source:
        yield source


@contextmanager
def _file(model: Any, hdf5: bool = False) -> Iterator[tuple[Path, Prover | None]]:
    """The path of a model's file, and its prover, which is None if a separate process can prove the repair."""
    if is_model(model):
        from .live import prover_of, saved

        with saved(model, hdf5) as file:
            yield file.path, prover_of(file)
        return
    _check_path(model)
    yield model, None


def _check_path(model: Any) -> None:
    """Raise UsageError for what is neither a model in memory nor a path."""
    if not isinstance(model, (str, os.PathLike)):
        raise UsageError(f"{shown(type(model).__name__)!r} is neither a path nor a model of Keras")
    if not os.fspath(model):
        raise UsageError("the path of the model is empty")
