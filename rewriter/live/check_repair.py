"""``check`` and ``repair`` of models in memory.

A model whose graph is all that it computes becomes one file. Of a subclassed model, each functional part becomes a
file, and a finding always says that its ``call`` is not analysed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

from ..errors import OutputError, UnsupportedError, UsageError, VerificationError, shown
from ..files.atomic import provisional
from ..ir.axis import Value
from ..passes import stages
from ..passes.codes import Kind
from ..passes.decision import Decision
from ..passes.finding import Finding, Operand
from ..passes.verdicts import Verdicts
from ..proof import Prover, in_process
from ..proof.blame import line
from ..proof.verdict import PROVEN
from ..results import Report, Result
from ..shapes.broadcast import Convention
from .library import library_of
from .parts import Target, is_whole, overridden, part_target, parts_of, target_of
from .same import carry_over, difference
from .saving import Saved, saved_target

# Repairs a file. Arguments: its path, the path of the result, the prover, a function to call on the result before it
# gets its name, and the nodes that the user has decided.
RepairFile = Callable[[str, str, Prover, Callable[[str], None], Collection[str]], Result]


def check_model(model: Any, check: Callable[[str], Report]) -> Report:
    """The report on a model in memory.

    Args:
        check: makes the report on a file.

    Raises:
        UsageError: it is not a model of Keras.
        UnsupportedError: it is subclassed without functional parts, or it cannot be saved.
        RewriterError: as ``check``.
    """
    library_of(model)
    if is_whole(model):
        with saved_target(target_of(model)) as file:
            report = check(file.path)
        report.findings += _unknown_calls(model)
    else:
        report = Report("", "", 0, 0, [])
        for target in _targets(model, report):
            with saved_target(target) as file:
                _join(report, check(file.path), target)
    report.path = str(model.name)
    return report


def repair_model(
    model: Any,
    repair: RepairFile,
    output: str | os.PathLike[str] | None = None,
    onnx: str | os.PathLike[str] | None = None,
    stated: Collection[str] = (),
) -> Result:
    """Repair a model in memory; the model itself stays unchanged.

    The result's ``model`` is a new model with the same weights and compile state. For a subclassed model it is None:
    rebuilding would run the model's code. ``parts`` then has the repaired parts, as functional models that are not
    compiled. Their keys are the model's attributes for these parts.

    A tf_keras model stays one if its format can hold the repair. With ``output`` or ``onnx`` it is written as a Keras 3
    model, and the result's ``model`` is None.

    A Keras 3 model is proven in this process, which has the model's own classes already.

    Args:
        repair: repairs a file.
        output: where to write the repaired model as well.
        onnx: where ``repair`` writes it as ONNX, if requested.
        stated: the nodes that the user has decided.

    Raises:
        UsageError: it is not a model of Keras.
        UnsupportedError: it cannot be saved or rebuilt, or it is subclassed and an output is requested.
        VerificationError: the new model differs in more than the repair.
        RewriterError: as ``repair``.
    """
    library_of(model)
    if is_whole(model):
        result = _whole(model, repair, output, onnx, stated)
        result.findings += _unknown_calls(model)
    else:
        if output is not None or onnx is not None:
            raise UnsupportedError(
                f"{shown(type(model).__name__)!r} is a subclassed model, whose parts are repaired one by one: pass no"
                " output"
            )
        result = _parts(model, repair, stated)
    result.path = str(model.name)
    return result


def _whole(
    model: Any,
    repair: RepairFile,
    output: str | os.PathLike[str] | None,
    onnx: str | os.PathLike[str] | None,
    stated: Collection[str],
) -> Result:
    target = target_of(model)
    newer = library_of(model).legacy and (output is not None or onnx is not None)
    with saved_target(target, hdf5=newer) as file, ExitStack() as stack:
        fixed = os.path.join(os.path.dirname(file.path), "fixed.keras")
        own = bool(file.names.functions)  # the names in the file have a meaning in this process only
        made: list[Any] = []

        def make(path: str) -> None:
            if newer:
                return
            made.append(_made(file, path))
            if output is not None and own:
                _save(made[0], file, output, stack)

        to = fixed if output is None or (own and not newer) else os.fspath(output)
        result = repair(file.path, to, prover_of(file), make, stated)
        result.model = next(iter(made), None)
        if result.output is not None:
            result.output = None if output is None else os.fspath(output)
    return result


def _save(model: Any, file: Saved, output: str | os.PathLike[str], stack: ExitStack) -> None:
    """Write the repaired model with Keras, with the names that its functions have in the caller's code.

    Args:
        stack: gives the file its name when it closes.

    Raises:
        UnsupportedError: Keras cannot write it, or cannot load the file, or would load another function.
        OutputError: the output cannot be written.
    """
    if file.names.mistaken:
        raise UnsupportedError(file.names.mistaken)
    folder = os.fspath(output).endswith(("/", os.sep))
    path = stack.enter_context(
        provisional(os.fspath(output).rstrip("/" + os.sep), "" if folder else ".keras")
    )
    try:
        try:
            model.save(path, **({"zipped": False} if folder else {}))
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror or error}", os.fspath(output)) from error
        with file.library.module.saving.custom_object_scope(file.names.by_their_own()):
            file.library.module.saving.load_model(path, compile=False, safe_mode=False)
    except OutputError:
        raise
    except Exception as error:
        raise UnsupportedError(
            f"Keras cannot write the repaired model to a file that it can load: {line(error, path)}"
        ) from error


def prover_of(file: Saved) -> Prover:
    """The prover of a file that was made from a model in memory.

    A Keras 3 model is proven in this process, which has its classes. A Keras 2 model is proven in a child process
    without them; if it has custom classes or functions, the proof is skipped.
    """

    def prove(request: Any) -> dict[str, Any]:
        if not file.library.legacy:
            with file.known():
                return in_process(request, file.names.objects, safe_mode=False)
        if file.names.objects:
            return {"skipped": "it has classes or functions that only this process has"}
        from ..proof import in_child

        return in_child(request)

    return prove


def _made(file: Saved, path: str) -> Any:
    made = file.load(path)
    carry_over(file.model, made)
    wrong = difference(file.model, made)
    if wrong:
        raise VerificationError(f"Keras loads a different model from the repaired file: {wrong}")
    return made


# -- subclassed models -----------------------------
def _parts(model: Any, repair: RepairFile, stated: Collection[str]) -> Result:
    result = Result("", "", 0, 0, [])
    verified: dict[str, dict[str, Any]] = {}
    changed: set[str] = set()
    targets = _targets(model, result)
    for node in stated:
        if not any(_is_in(node, target.part) for target in targets):
            names = ", ".join(shown(target.part) for target in targets)
            raise UsageError(
                f"there is no multiply {shown(node)!r}: start its name with the name of a part ({names})"
            )
    for target in targets:
        with saved_target(target) as file:
            fixed = os.path.join(os.path.dirname(file.path), "fixed.keras")

            def make(path: str, file: Saved = file, name: str = target.part) -> None:
                result.parts[name] = _made(file, path).get_layer(name)

            own = [node for node in stated if _is_in(node, target.part)]
            one = repair(file.path, fixed, prover_of(file), make, own)
            _join(result, one, target)
            result.inserted += one.inserted
            result.undecided += one.undecided
            verified[target.part] = one.verified or {}
            changed |= {target.part} if one.inserted else set()
    if result.undecided:
        result.parts = {}
    else:
        result.verified = _together(verified, changed)
    return result


def _together(verified: dict[str, dict[str, Any]], changed: set[str]) -> dict[str, Any]:
    """The verdict on all parts: that of the first changed part that is not proven."""
    asked = [verified[name] for name in verified if name in changed] or list(verified.values())
    first = next((each for each in asked if each.get("verdict") != PROVEN), asked[0])
    said: dict[str, Any] = {key: first[key] for key in ("verdict", "reason") if key in first}
    return {**said, "static": all(each["static"] for each in verified.values()), "parts": verified}


def _is_in(node: str, part: str) -> bool:
    return node.startswith(f"{part}/")


def _targets(model: Any, report: Report) -> list[Target]:
    """The parts of a subclassed model that can be saved; the report gets findings for the rest.

    Raises:
        UnsupportedError: it has none.
    """
    found = parts_of(model)
    kind = shown(type(model).__name__)
    targets: list[Target] = []
    for name, part in found.items():
        try:
            targets.append(part_target(name, part))
        except UnsupportedError as error:
            report.findings.append(_unknown((name,), type(part).__name__, f"not analysed: {error}"))
    if not targets:
        raise UnsupportedError(
            f"{kind!r} is a subclassed model without functional parts: its computation is Python code"
        )
    names = ", ".join(shown(target.part) for target in targets)
    text = f"not analysed: {kind!r} combines its parts ({names}) in Python code, which is not run"
    report.findings.append(_unknown(("call",), type(model).__name__, text))
    return targets


def _join(report: Report, one: Report, target: Target) -> None:
    """Add the report on a part to the report on the model."""
    report.format, report.mode, report.ops = one.format, one.mode, one.ops
    report.nodes += one.nodes - target.added
    report.multiplies += one.multiplies
    report.findings += one.findings
    both = (report.verdicts, one.verdicts)
    report.verdicts = Verdicts(*(sum(getattr(v, f.name) for v in both) for f in fields(Verdicts)))


def _unknown_calls(model: Any) -> list[Finding]:
    """A finding for every model inside a functional one that has its own ``call``."""
    text = "not analysed: {!r} has a call of its own, which is not run"
    return [_unknown(path, name, text.format(shown(name))) for path, name in overridden(model)]


def _unknown(path: tuple[str, ...], op: str, text: str) -> Finding:
    kind = Kind.NOT_ANALYSED
    operands = [Operand(("none",), Value(()))]
    return Finding(
        kind,
        kind.severity,
        path,
        op,
        Convention.NONE,
        operands,
        text,
        decision=Decision(stages.CALLED_BY_CODE),
    )
