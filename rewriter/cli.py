"""The command line: arguments in, reports and an exit status out.

Exit status: 0 nothing wrong, or all repaired; 1 findings, or a repair that could not be decided; 2 the input or the
arguments cannot be used; 3 a repair failed its own proof.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from .arguments import parser
from .errors import RewriterError, UsageError, VerificationError, shown

if TYPE_CHECKING:
    from .report.console import Console
    from .report.table import Reporter
    from .rules.table import Rule

OK, FOUND, UNUSABLE, UNPROVEN, INTERRUPTED = 0, 1, 2, 3, 130
_DEBUG = "REWRITER_DEBUG"
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


class _StoppedError(KeyboardInterrupt):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    # A command builds one model's graph and ends: a quarter of its time would go into looking for garbage there.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _stoppable():
            return _main(argv)
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: what it began is taken back first."""
    named = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # What the caller ignores (nohup) or handles stays so; handlers can be set in the main thread only.
    before = {
        s: h for s in named if (h := signal.getsignal(s)) in (signal.SIG_DFL, signal.default_int_handler)
    }
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def stop(number: int, _: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # nothing interrupts the taking back
        raise _StoppedError(number)

    for one in before:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _main(argv: Sequence[str] | None) -> int:
    from .report.console import Console

    console = Console()
    try:
        options = parser(_COMMANDS).parse_args(argv)
        run: Callable[[argparse.Namespace, Console], int] = options.run
        status = run(options, console)
        if console.out is not None:
            console.out.flush()
        return status
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        console.error("interrupted")
        return 128 + stop.number if isinstance(stop, _StoppedError) else INTERRUPTED
    except BrokenPipeError:
        # The reader went away. Python would complain once more when it flushes standard output at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        status = _failed(console, error)
        try:
            sys.stdout.flush()
        except (OSError, ValueError):  # what cannot be written now cannot be written when Python ends
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status


def _failed(console: Console, error: BaseException, name: str | None = None) -> int:
    """Print the one line of an error; the exit status."""
    console.error(f"{shown(name)}: {_reason(error)}" if name is not None else _reason(error))
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
    return UNPROVEN if isinstance(error, VerificationError) else UNUSABLE


def _reason(error: BaseException) -> str:
    """An error in one line; a malformed equation may add its text with a mark under the place."""
    if isinstance(error, UsageError):
        return "\n".join(shown(line) for line in error.reason.splitlines())
    if isinstance(error, RewriterError):
        return " ".join(error.reason.split())
    if isinstance(error, MemoryError):
        return "more memory is needed than there is"
    if isinstance(error, OSError) and error.strerror:
        return shown(error.strerror)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal: {shown(text)} (set {_DEBUG}=1 for the traceback)"


# -- the commands -----------------------------
def _check(options: argparse.Namespace, console: Console) -> int:
    table, rules = _rules(options)
    if options.plan is not None and len(options.models) > 1:
        raise UsageError("--plan takes one model")
    _one_for_weights(options)
    show = _reporter(options, console, table)

    def one(path: str) -> int:
        from .api import check

        item = check(
            path, mode=options.mode, ops=options.ops, rules=rules, plan=options.plan, weights=options.weights
        )
        show.check(item)
        return OK if item.clean else FOUND

    return _each(options.models, console, one, show)


def _repair(options: argparse.Namespace, console: Console) -> int:
    if options.output is None and options.onnx is None and not options.diff:
        raise UsageError("-o OUT is needed: the file to write (or --diff, which writes none)")
    if options.plan is not None and (options.at or options.explicit or options.mode != "safe"):
        raise UsageError("--plan says all that is to be done: --at, --explicit and --mode do not go with it")
    at = _stated(options.at)
    table, rules = _rules(options)
    show = _reporter(options, console, table)

    def one(path: str) -> int:
        from .api import repair

        item = repair(
            path,
            options.output,
            onnx=options.onnx,
            at=at,
            mode=options.mode,
            ops=options.ops,
            explicit=options.explicit,
            verify=options.verify,
            rules=rules,
            plan=options.plan,
            dry_run=options.diff,
            weights=options.weights,
        )
        show.repair(item)
        return FOUND if item.undecided else OK

    return _each([options.model], console, one, show)


def _shapes(options: argparse.Namespace, console: Console) -> int:
    if options.supported or not options.models:
        return _supported(options, console)
    if options.format == "markdown":
        raise UsageError("--format markdown is for --supported")
    _one_for_weights(options)
    show = _reporter(options, console)

    def one(path: str) -> int:
        from .api import shapes

        show.shapes(shapes(path, weights=options.weights))
        return OK

    return _each(options.models, console, one, show)


def _supported(options: argparse.Namespace, console: Console) -> int:
    if options.models or not options.supported:
        raise UsageError("shapes takes models, or --supported alone")
    from .export.onnx.supported import reasons
    from .shapes.supported import support

    _reporter(options, console).supported(support(reasons()))
    return OK


def _explain(options: argparse.Namespace, console: Console) -> int:
    table, rules = _rules(options)
    show = _reporter(options, console, table)
    rule = next((r for r in table if r.name == options.target), None)
    if rule is not None and options.node is None:
        show.rule(rule)
        return OK
    if not os.path.lexists(options.target) and not set("./\\") & set(options.target):
        names = ", ".join(r.name for r in table)
        raise UsageError(f"{shown(options.target)}: no such file, and no such rule; the rules are {names}")

    def one(path: str) -> int:
        from .api import explain

        show.explain(explain(path, options.node, ops=options.ops, rules=rules, weights=options.weights))
        return OK

    return _each([options.target], console, one, show)


def _suggest(options: argparse.Namespace, console: Console) -> int:
    from .api import suggest

    table, rules = _rules(options)
    item = suggest(options.lhs, options.rhs, op=options.op, layout=options.layout, rules=rules)
    _reporter(options, console, table).suggest(item)
    return OK


def _list_rules(options: argparse.Namespace, console: Console) -> int:
    table, _ = _rules(options)
    _reporter(options, console, table).rules()
    return OK


def _convert(options: argparse.Namespace, console: Console) -> int:
    show = _reporter(options, console)

    def one(path: str) -> int:
        from .api import convert

        show.convert(convert(path, options.output, weights=options.weights, verify=options.verify))
        return OK

    return _each([options.model], console, one, show)


def _export(options: argparse.Namespace, console: Console) -> int:
    show = _reporter(options, console)

    def one(path: str) -> int:
        from .api import export_onnx

        names = (
            "opset",
            "batch",
            "external_data",
            "nchw_inputs",
            "nchw_outputs",
            "fp16",
            "fallback",
            "verify",
            "weights",
        )
        given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        show.export(export_onnx(path, options.output, **given))
        return OK

    return _each([options.model], console, one, show)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "check": _check,
    "repair": _repair,
    "explain": _explain,
    "shapes": _shapes,
    "suggest": _suggest,
    "rules": _list_rules,
    "convert": _convert,
    "export": _export,
}


# -- what they share -----------------------------
def _reporter(options: argparse.Namespace, console: Console, rules: Sequence[Rule] = ()) -> Reporter:
    """What shows the results, in the format that was asked for."""
    from .report.table import Context, reporter

    several = len(getattr(options, "models", ())) > 1
    return reporter(getattr(options, "format", "text"), Context(console, rules, several))


def _each(paths: Sequence[str], console: Console, one: Callable[[str], int], show: Reporter) -> int:
    """Run a command on every model; one that cannot be used does not keep the others from being looked at."""
    worst = OK
    for path in paths:
        try:
            with console.busy(f"{shown(os.path.basename(path))}"):
                status = one(path)
        except BrokenPipeError:
            raise
        except Exception as error:
            show.unusable(path, _reason(error), error)
            if console.out is not None:
                console.out.flush()
            status = _failed(console, error, getattr(error, "about", None) or path)
        worst = max(worst, status)
    show.end()
    return worst


def _rules(options: argparse.Namespace) -> tuple[tuple[Rule, ...], str | None]:
    """All rules, and the file that adds some: the one given, or the project's ``pyproject.toml``."""
    from .rules.table import builtin
    from .rules.userfile import load, of_project

    path: str | None = options.rules if options.rules is not None else of_project()
    return (builtin() if path is None else (*builtin(), *load(path))), path


def _one_for_weights(options: argparse.Namespace) -> None:
    if options.weights is not None and len(options.models) > 1:
        raise UsageError("--weights takes one model")


def _stated(texts: Sequence[str]) -> dict[str, str]:
    """``NODE=RULE`` and ``NODE=EQUATION``: a node's name can hold '=', what follows the last one cannot."""
    from .rules.notation import parse

    result: dict[str, str] = {}
    for text in texts:
        node, equals, meaning = text.rpartition("=")
        node, meaning = node.strip(), meaning.strip()
        if not equals or not node or not meaning:
            raise UsageError(f"--at {shown(text)!r}: it has the form NODE=RULE or NODE=EQUATION")
        if node in result:
            raise UsageError(f"--at: {shown(node)!r} is stated twice")
        if "->" in meaning:
            parse(meaning)
        elif "," in meaning or " " in meaning:
            parse(meaning)  # says what an equation lacks
        result[node] = meaning
    return result
