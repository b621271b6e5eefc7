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

from .arguments import parse
from .errors import DEBUG, UsageError, VerificationError, did_you_mean, reason_of, shown
from .trusted import trusting

if TYPE_CHECKING:
    from .report.console import Console
    from .report.table import Reporter
    from .rules.table import Rule
    from .selection import Selection

OK, FOUND, UNUSABLE, UNPROVEN, INTERRUPTED = 0, 1, 2, 3, 130
CUT_OFF = 141  # 128 plus the number of SIGPIPE: the reader closed the pipe before the end of the report
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


class _StoppedError(KeyboardInterrupt):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    # A command builds one model's graph and ends: garbage collection would take a quarter of its time.
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
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: it removes its unfinished files first.

    Once its output has its name, the first signal changes nothing: the command ends as usual.
    """
    from .files import atomic

    atomic.named = False
    named = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # Signals that the caller ignores (nohup) or handles are left alone. Only the main thread can set handlers.
    before = {
        s: h for s in named if (h := signal.getsignal(s)) in (signal.SIG_DFL, signal.default_int_handler)
    }
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def stop(number: int, _: object) -> None:
        if atomic.named:
            atomic.named = False
            return
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # nothing interrupts the cleanup
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
        options = parse(_COMMANDS, argv)
        run: Callable[[argparse.Namespace, Console], int] = options.run
        with _printing(options) as console:
            status = run(options, console)
            console.flush()
        return status
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        console.error("interrupted")
        return 128 + stop.number if isinstance(stop, _StoppedError) else INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe. Python would report it again when it flushes standard output at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    except Exception as error:
        status = _failed(console, error, getattr(error, "about", None))
        try:
            sys.stdout.flush()
        except (OSError, ValueError):  # Python would fail again when it flushes at exit
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status


@contextlib.contextmanager
def _printing(options: argparse.Namespace) -> Iterator[Console]:
    """The console of a command. With ``--output-file`` the whole report is written there, or nothing."""
    from .report.console import Console

    if options.output_file is None:
        yield Console(colour=options.color)
        return
    import io

    from .files import used
    from .files.atomic import atomic_write
    from .requests import check_report

    _check_output_file(options)
    text = io.StringIO()
    with used.watched(lambda paths: check_report(options.output_file, paths)):
        yield Console(text, colour=options.color)
    with atomic_write(options.output_file) as file:
        file.write(text.getvalue().encode(errors="replace"))
    console = Console(colour=options.color)
    if console.is_terminal:
        console.write(f"Report: {shown(options.output_file)}\n")


def _check_output_file(options: argparse.Namespace, models: Sequence[str] = ()) -> None:
    """Raise ReportPlaceError if the report would overwrite another file of the run.

    The other files of the models are known when these are opened.

    Args:
        models: the models that are read, including those of folders and patterns.
    """
    if options.output_file is None:
        return
    from .export.onnx.options import weights_beside
    from .requests import check_report

    names = ("target", "output", "onnx", "plan", "rules", "weights", "baseline", "config", "store", "export")
    named = [getattr(options, name, None) for name in (*names, "model")]
    given = [*named, *models, options.settings.path or None]
    given += [weights_beside(path) for name in ("output", "onnx") if (path := getattr(options, name, None))]
    check_report(options.output_file, [path for path in given if path is not None])


def _failed(console: Console, error: BaseException, name: str | None = None) -> int:
    """Print an error in one line, and return the exit status."""
    console.error(f"{shown(name)}: {reason_of(error)}" if name is not None else reason_of(error))
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    return UNPROVEN if isinstance(error, VerificationError) else UNUSABLE


# -- the commands -----------------------------
def _check(options: argparse.Namespace, console: Console) -> int:
    from . import inputs, selection

    table, rules = _rules(options)
    paths = inputs.models(options.models, options.exclude)
    if options.plan is not None and len(paths) > 1:
        raise UsageError("--plan takes one model")
    _one_for_weights(options, paths)
    selected = selection.Selection(
        selection.kinds(options.select, "--select"),
        selection.kinds(options.ignore, "--ignore"),
        options.baseline,
    )
    if options.update_baseline and options.baseline is None:
        raise UsageError("--update-baseline needs --baseline FILE")
    if options.baseline is not None and not options.update_baseline:
        selected.listed = selection.load(options.baseline)
    show = _reporter(options, console, table, len(paths) > 1)

    def one(path: str, named: str) -> int:
        from .api import check

        item = check(
            path, mode=options.mode, ops=options.ops, rules=rules, plan=options.plan, weights=options.weights
        )
        item.path = named
        selected.apply(item)
        show.check(item)
        return OK if item.clean or options.exit_zero or options.update_baseline else FOUND

    status = _each(options, paths, console, one, show, selected)
    if options.update_baseline:
        selection.save(options.baseline, selected.found, paths)
    return status


def _repair(options: argparse.Namespace, console: Console) -> int:
    if options.output is None and options.onnx is None and not options.diff:
        raise UsageError("-o OUT is needed: the file to write (or --diff, which writes none)")
    if options.plan is not None and (options.at or options.explicit or options.mode != "safe"):
        raise UsageError("--plan has all the choices: leave out --at, --explicit and --mode")
    at = _stated(options.at)
    table, rules = _rules(options)
    show = _reporter(options, console, table)

    def one(path: str, named: str) -> int:
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
        item.path = named
        show.repair(item)
        return FOUND if item.undecided else OK

    return _each(options, [options.model], console, one, show)


def _shapes(options: argparse.Namespace, console: Console) -> int:
    from . import inputs

    if options.supported or not options.models:
        return _supported(options, console)
    if options.format == "markdown":
        raise UsageError("--format markdown is for --supported")
    paths = inputs.models(options.models, options.exclude)
    _one_for_weights(options, paths)
    show = _reporter(options, console, several=len(paths) > 1)

    def one(path: str, named: str) -> int:
        from .api import shapes

        item = shapes(path, weights=options.weights)
        item.path = named
        show.shapes(item)
        return OK

    return _each(options, paths, console, one, show)


def _supported(options: argparse.Namespace, console: Console) -> int:
    if options.models or not options.supported:
        raise UsageError("shapes takes models, or --supported alone")
    from .export.onnx.supported import reasons
    from .shapes.supported import support

    _reporter(options, console).supported(support(reasons()))
    return OK


def _explain(options: argparse.Namespace, console: Console) -> int:
    from .passes.codes import Kind
    from .passes.placements import SUMMARIES
    from .report.rule_page import Reading

    table, rules = _rules(options)
    show = _reporter(options, console, table)
    kind = next((k for k in Kind if options.target.lower() in (str(k), k.code.lower())), None)
    rule = next((r for r in table if r.name == options.target), None)
    summary = SUMMARIES.get(options.target)
    if (rule or kind or summary) and options.node is None and not os.path.lexists(options.target):
        if rule is not None:
            show.rule(rule)
        elif kind is not None:
            show.code(kind)
        else:
            show.reading(Reading(options.target, str(summary)))
        return OK
    if (
        options.target != "-"
        and not os.path.lexists(options.target)
        and not set("./\\") & set(options.target)
    ):
        names = [*(r.name for r in table), *SUMMARIES, *(name for k in Kind for name in (k.code, str(k)))]
        hint = did_you_mean(options.target, names)
        raise UsageError(f"{shown(options.target)}: no such file, rule or code{hint or _listed(table)}")

    def one(path: str, named: str) -> int:
        from .api import explain

        item = explain(path, options.node, ops=options.ops, rules=rules, weights=options.weights)
        item.path = named
        show.explain(item)
        return OK

    return _each(options, [options.target], console, one, show)


def _listed(table: Sequence[Rule]) -> str:
    return f"; the rules are {', '.join(r.name for r in table)}"


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

    def one(path: str, named: str) -> int:
        from .api import convert

        item = convert(path, options.output, weights=options.weights, verify=options.verify)
        item.path = named
        show.convert(item)
        return OK

    return _each(options, [options.model], console, one, show)


def _export(options: argparse.Namespace, console: Console) -> int:
    from .export.onnx.options import Options

    show = _reporter(options, console)
    names = (*Options.names(), "weights")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    for name in ("input_names", "output_names"):
        given[name] = [part for text in getattr(options, name) for part in text.split(",")]

    def one(path: str, named: str) -> int:
        from .api import export_onnx

        show.export(export_onnx(path, options.output, **given))
        return OK

    return _each(options, [options.model], console, one, show)


def _sweep(options: argparse.Namespace, console: Console) -> int:
    from .report.sweeps import progress
    from .requests import check_sweep_files
    from .sweeping import tables
    from .sweeping.finding import Filters
    from .sweeping.sweep import sweep

    _, rules = _rules(options)
    _check_output_file(options)
    if options.export is not None:
        tables.check_name(options.export)
    written = {"--output-file": options.output_file, "--export": options.export, "--store": options.store}
    check_sweep_files(written, options.roots)
    given = {"mode": options.mode, "ops": options.ops} if options.action in ("check", "repair") else {}
    filters = Filters(
        options.include, options.exclude, options.min_size or 0, options.max_size, options.newer, options.older,
        options.only,
    )  # fmt: skip
    made = sweep(
        options.roots, action=options.action, out=options.out, pages=options.pages, store=options.store,
        resume=options.resume, filters=filters, jobs=options.jobs, scheduler=options.scheduler,
        timeout=options.timeout, memory=options.memory, trust=options.trust,
        options=given if rules is None or not given else {**given, "rules": rules},
    )  # fmt: skip
    show = _reporter(options, console)
    worst = OK
    with made, console.busy("sweep") as stage:
        for count in made.find():
            stage(f"{count:,} models found")
        for outcome in made.run():
            stage(progress(made.rate, made.findings, made.unusable), made.done + 1, made.total)
            if options.fail_on == "any" or (options.fail_on == "new" and outcome.new):
                worst = max(worst, outcome.status)
        if options.export is not None:
            tables.write(options.export, made.outcomes())
        show.sweep(made.summary(), made.outcomes())
    show.end()
    return worst


_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "check": _check,
    "repair": _repair,
    "explain": _explain,
    "shapes": _shapes,
    "suggest": _suggest,
    "rules": _list_rules,
    "convert": _convert,
    "export": _export,
    "sweep": _sweep,
}


# -- what they share -----------------------------
def _reporter(
    options: argparse.Namespace, console: Console, rules: Sequence[Rule] = (), several: bool = False
) -> Reporter:
    """The reporter of the requested format."""
    from .report.table import Context, reporter

    verbosity = getattr(options, "verbosity", 0)
    folder = None if options.output_file is None else os.path.dirname(os.path.abspath(options.output_file))
    context = Context(console, rules, several, verbosity, getattr(options, "statistics", False), folder)
    return reporter(options.format, context)


def _each(
    options: argparse.Namespace,
    paths: Sequence[str],
    console: Console,
    one: Callable[[str, str], int],
    show: Reporter,
    selected: Selection | None = None,
) -> int:
    """Run a command on every model, even after one that cannot be used. Returns the highest exit status.

    Args:
        one: called with the file to read, and the name under which the model is shown.
    """
    from .inputs import readable
    from .progress import watched
    from .report.console import StandardOutputError
    from .requests import ReportPlaceError

    _check_output_file(options, paths)
    worst = OK
    for number, path in enumerate(paths, 1):
        several = f" ({number} of {len(paths)})" if len(paths) > 1 else ""
        try:
            with (
                readable(path) as file,
                console.busy(f"{shown(os.path.basename(path))}{several}") as stage,
                watched(stage),
                _limits_and_trust(options),
            ):
                status = one(file, path)
            console.flush()
        except (BrokenPipeError, StandardOutputError, ReportPlaceError):
            raise
        except Exception as error:
            show.unusable(path, reason_of(error), error)
            console.flush()
            status = _failed(console, error, getattr(error, "about", None) or path or None)
        worst = max(worst, status)
    show.end(*((selected.left_out, selected.unselected) if selected is not None else ()))
    return worst


@contextlib.contextmanager
def _limits_and_trust(options: argparse.Namespace) -> Iterator[None]:
    """A block with the time limit of ``--timeout`` for each process, and the packages of ``--trust``."""
    with contextlib.ExitStack() as stack:
        if getattr(options, "timeout", None) is not None:
            from .proof.limits import within

            stack.enter_context(within(options.timeout))
        if getattr(options, "trust", None):
            from .tracing.model import with_traces

            stack.enter_context(trusting(options.trust, with_traces))
        yield


def _rules(options: argparse.Namespace) -> tuple[tuple[Rule, ...], str | None]:
    """All rules, and the file that adds some: the one given, or the project's ``pyproject.toml``."""
    from .rules.table import builtin
    from .rules.userfile import load

    path: str | None = options.rules if options.rules is not None else options.settings.rules
    return (builtin() if path is None else (*builtin(), *load(path))), path


def _one_for_weights(options: argparse.Namespace, paths: Sequence[str]) -> None:
    if options.weights is not None and len(paths) > 1:
        raise UsageError("--weights takes one model")


def _stated(texts: Sequence[str]) -> dict[str, str]:
    """``{node: meaning}`` of ``NODE=RULE`` and ``NODE=EQUATION``. Only the last '=' separates: a name can have one."""
    from .rules.notation import parse

    result: dict[str, str] = {}
    for text in texts:
        node, equals, meaning = text.rpartition("=")
        node, meaning = node.strip(), meaning.strip()
        if not equals or not node or not meaning:
            raise UsageError(f"--at {shown(text)!r}: must have the form NODE=RULE or NODE=EQUATION")
        if node in result:
            raise UsageError(f"--at: {shown(node)!r} is stated twice")
        if "->" in meaning:
            parse(meaning)
        elif "," in meaning or " " in meaning:
            parse(meaning)  # the error says what the equation lacks
        result[node] = meaning
    return result
