"""The arguments of the command line: what every command takes, and its help."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from .errors import UsageError, did_you_mean, shown
from .report.console import COLOURS
from .report.table import names as formats
from .settings import Settings, apply, find, load

_MODES = ("safe", "best")
_OPS = ("multiply", "all")

Run = Callable[[argparse.Namespace, Any], int]


class _Parser(argparse.ArgumentParser):
    """A parser of one command. It raises UsageError, with a hint for a misspelt word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        listed = ", ".join(map(str, action.choices))
        where = (
            "COMMAND" if isinstance(action, argparse._SubParsersAction) else "/".join(action.option_strings)
        )
        hint = did_you_mean(str(value), map(str, action.choices))
        raise UsageError(f"{where} {shown(value)!r}: must be one of {listed}{hint}")

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Raise UsageError for words that no argument takes."""
        options = [option for action in self._actions for option in action.option_strings]
        word = words[0].partition("=")[0]
        hint = did_you_mean(word, options) if word.startswith("-") else ""
        raise UsageError(f"unrecognized argument {shown(words[0])!r}{hint}")


def parse(run: Mapping[str, Run], words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line, with the defaults that ``[tool.rewriter]`` sets.

    Options may come before the command, and between models.

    Raises:
        UsageError: it cannot be parsed, or the settings cannot be used.
    """
    main, commands = parsers(run)
    words = sys.argv[1:] if words is None else list(words)
    command = next((word for word in words if word in commands), None)
    if command is not None and words[0].startswith("-") and words[0] not in main._option_string_actions:
        place = words.index(command)
        words = [command, *words[:place], *words[place + 1 :]]
    settings = Settings()
    if command is not None and not {"-h", "--help"} & set(words):
        settings = _settings(words)
        apply(settings, commands, command)
    options, rest = main.parse_known_args(words)
    if rest:
        if any(word.startswith("-") and word != "-" for word in rest) or not hasattr(options, "models"):
            commands[options.command].unknown(rest)
        options.models += rest
    options.settings = settings
    return options


def _settings(words: Sequence[str]) -> Settings:
    """The settings of ``--config``, none with ``--isolated``, else those around the working directory."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--config")
    early.add_argument("--isolated", action="store_true")
    try:
        asked, _ = early.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise UsageError(str(error)) from None
    if asked.isolated:
        return Settings()
    return find() if asked.config is None else load(asked.config)


def parsers(run: Mapping[str, Run]) -> tuple[argparse.ArgumentParser, dict[str, _Parser]]:
    """The parser of the command line, and the parsers of its commands.

    Args:
        run: the function of each command, which becomes ``options.run``.
    """
    main = _Parser(
        prog="rewriter",
        description="Find the multiplies of a saved Keras model whose operands do not fit, and repair them.",
        epilog="exit status: 0 nothing wrong, or all repaired; 1 findings, or not decided; 2 the input or the\n"
        "arguments cannot be used; 3 a repair failed its own proof",
    )
    main.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    main.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        help="print the completion script of a shell, and stop",
    )
    commands = main.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    check = _command(commands, "check", run, "find what does not fit; change nothing")
    check.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="a saved model of any format, a folder to search, a pattern, or - for standard input",
    )
    check.add_argument(
        "--plan", metavar="FILE", help="write the choices to a TOML file, to edit and to repair with"
    )
    _format(check, "check")
    _verbosity(check)
    check.add_argument("--statistics", action="store_true", help="count the findings by code, and list none")
    _exclude(check)
    for option, text in (("--select", "report only findings of"), ("--ignore", "leave out findings of")):
        check.add_argument(
            option, metavar="CODES", action="append", default=[],
            help=f"{text} these codes or kinds, as in RW002,layout or RW00 (repeatable)",
        )  # fmt: skip
    check.add_argument("--baseline", metavar="FILE", help="leave out the findings that this file lists")
    check.add_argument(
        "--update-baseline", action="store_true", help="write the findings to the baseline, and succeed"
    )
    check.add_argument("--exit-zero", action="store_true", help="exit with 0 even if there are findings")
    _mode(check)
    _ops(check)
    _user_rules(check)
    _weights(check)
    _trust(check)
    _timeout(check)

    repair = _command(commands, "repair", run, "insert what is missing and write the model")
    _model(repair)
    repair.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="the file to write, in the format that its name ends in: the model's own, another form of a Keras\n"
        "model (.keras), or .onnx",
    )
    repair.add_argument("--diff", action="store_true", help="show what would change, and write nothing")
    repair.add_argument("--onnx", metavar="FILE", help="write the repaired model as ONNX as well")
    repair.add_argument(
        "--at",
        metavar="NODE=MEANING",
        action="append",
        default=[],
        help="what a multiply means: a rule or an equation, as in --at gate=channel-gate or\n"
        '--at "gate=b h w c, b c -> b h w c" (repeatable)',
    )
    repair.add_argument(
        "--plan", metavar="FILE", help="apply the choices in a file that check --plan wrote, and nothing else"
    )
    _mode(repair)
    _ops(repair)
    repair.add_argument(
        "--explicit", action="store_true", help="also insert nodes for legal implicit broadcasts"
    )
    repair.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="run the repaired model, and write nothing if it cannot run; --no-verify skips the run",
    )
    _timeout(repair)
    _format(repair, "repair")
    _verbosity(repair)
    _user_rules(repair)
    _weights(repair)
    _trust(repair)

    explain = _command(
        commands, "explain", run, "show why each rule fits a multiply or not, or explain a rule or a code"
    )
    explain.add_argument(
        "target",
        metavar="MODEL|RULE|CODE",
        help="a saved model, a rule such as channel-gate, or a code or kind of finding such as RW002",
    )
    explain.add_argument(
        "node", metavar="NODE", nargs="?", help="a multiply of the model (default: all of them)"
    )
    _ops(explain)
    _format(explain, "explain", "rule", "code")
    _user_rules(explain)
    _weights(explain)
    _trust(explain)
    _timeout(explain)

    shapes = _command(commands, "shapes", run, "list every node with its named axes")
    shapes.add_argument("models", metavar="MODEL", nargs="*", help="a saved model, a folder, a pattern, or -")
    _exclude(shapes)
    shapes.add_argument(
        "--supported",
        action="store_true",
        help="list the layers and ops that have an axis rule, its proof, and whether ONNX can hold them",
    )
    _format(shapes, "shapes", "supported")
    _weights(shapes)
    _trust(shapes)
    _timeout(shapes)

    suggest = _command(commands, "suggest", run, "say what a product of two shapes can mean")
    suggest._negative_number_matcher = re.compile(r"-\d")  # -1,4 is a shape with a wrong size, not an option
    for side in ("lhs", "rhs"):
        suggest.add_argument(
            side, metavar=side.upper(), help='a shape such as "None,28,28,64"; None first is the batch'
        )
    suggest.add_argument(
        "--op",
        default="Multiply",
        help="Multiply (the layer, default), multiply, Add, add, matmul, Dot, Concatenate",
    )
    suggest.add_argument("--layout", metavar="LAYOUT", help="channels_last or channels_first")
    _format(suggest, "suggest")
    _user_rules(suggest)

    rules = _command(commands, "rules", run, "list the rules")
    _format(rules, "rules")
    _user_rules(rules)

    convert = _command(commands, "convert", run, "write a model in another format, or an old one for Keras 3")
    _model(convert)
    convert.add_argument(
        "output",
        metavar="OUT",
        help="the file to write, in the format that its name ends in; a folder ends in /",
    )
    convert.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="run both models and compare, and write nothing if one cannot run; --no-verify skips the run",
    )
    _timeout(convert)
    _format(convert, "convert")
    _weights(convert)

    export = _command(commands, "export", run, "write a model as ONNX")
    _model(export)
    export.add_argument("output", metavar="OUT.onnx", help="the file to write")
    _weights(export)
    _trust(export)
    export.add_argument(
        "--opset",
        metavar="N",
        type=int,
        help="the version of the ONNX operator set (default: the newest that serves the model)",
    )
    export.add_argument("--batch", metavar="N", type=int, help="fix the batch of all inputs")
    export.add_argument(
        "--external-data", action="store_true", help="put the weights into OUT.onnx.data, beside the model"
    )
    export.add_argument("--nchw-inputs", action="store_true", help="take images with their channels first")
    export.add_argument("--nchw-outputs", action="store_true", help="give images with their channels first")
    for option, text in (("--input-names", "inputs"), ("--output-names", "outputs")):
        export.add_argument(
            option, metavar="NAMES", action="append", default=[],
            help=f"names for the {text}, in their order and separated by commas (default: Keras's names)",
        )  # fmt: skip
    export.add_argument(
        "--states", action="store_true", help="make the states of stateful layers inputs and outputs"
    )
    export.add_argument("--fp16", action="store_true", help="compute in half precision")
    export.add_argument(
        "--quantize",
        choices=("dynamic", "weights"),
        help="store the weights in 8 bits; dynamic also computes products in 8 bits",
    )
    export.add_argument(
        "--annotate", action="store_true",
        help="write the types and sizes of inner tensors, and where in the model each node comes from",
    )  # fmt: skip
    export.add_argument(
        "--extensions", action="store_true",
        help="export texts with operators of the package onnxruntime-extensions, which a session has to register",
    )  # fmt: skip
    export.add_argument(
        "--verify", action="store_true", help="run the result beside Keras on random inputs, and compare"
    )
    export.add_argument(
        "--fallback", choices=("tf2onnx",), help="the exporter of a model that cannot be exported directly"
    )
    _timeout(export)
    _format(export, "export")
    _sweep(commands, run)
    for parser in commands.choices.values():
        _common(parser)
    return main, dict(commands.choices)


def _sweep(commands: Any, run: Mapping[str, Run]) -> None:
    sweep = _command(commands, "sweep", run, "look at all models of folders and buckets, and remember them")
    sweep.add_argument(
        "roots", metavar="ROOT", nargs="+",
        help="a folder, a file, a pattern, or an address: s3://, gs://, az://, hf://, memory://",
    )  # fmt: skip
    sweep.add_argument("--store", metavar="FILE", help="remember the outcomes in this SQLite file")
    sweep.add_argument(
        "--resume", action="store_true", help="continue the last sweep of these roots, if it did not end"
    )
    sweep.add_argument(
        "--action", choices=("check", "convert", "repair", "export"), default="check",
        help="what to do with every model (default: check)",
    )  # fmt: skip
    sweep.add_argument("--out", metavar="ROOT", help="where --action writes, with the folders of the models")
    sweep.add_argument("--pages", metavar="ROOT", help="write an HTML page for every model with findings")
    sweep.add_argument(
        "--export", metavar="FILE", help="write the outcomes as a table: .csv, .jsonl or .parquet"
    )
    sweep.add_argument(
        "--fail-on", choices=("any", "new", "never"), default="any",
        help="which findings make the exit status: any (default), those that the last sweep did not have, or none",
    )  # fmt: skip
    for option, text in (("--include", "look only at"), ("--exclude", "leave out")):
        sweep.add_argument(
            option, metavar="PATTERN", action="append", default=[],
            help=f"{text} models whose path or name matches (repeatable)",
        )  # fmt: skip
    sweep.add_argument(
        "--only", metavar="FORMAT", action="append", default=[],
        help="look only at this format: keras, h5, hdf5, onnx, savedmodel, keras-folder (repeatable)",
    )  # fmt: skip
    for option, text in (("--min-size", "at least"), ("--max-size", "at most")):
        sweep.add_argument(option, metavar="SIZE", type=_bytes, help=f"{text} so large: 200k, 1.5M, 2G")
    for option, text in (("--newer", "at most"), ("--older", "at least")):
        sweep.add_argument(option, metavar="AGE", type=_age, help=f"changed {text} so long ago: 30m, 12h, 7d")
    sweep.add_argument("--jobs", metavar="N", type=int, help="how many processes work at once")
    sweep.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster do the work: tcp://host:8786",
    )
    sweep.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds,
        help="end a process that takes longer for one model (default: 60, with --out 600)",
    )  # fmt: skip
    sweep.add_argument(
        "--memory",
        metavar="SIZE",
        type=_bytes,
        help="how much a process may hold for one model (default: 4G)",
    )
    _format(sweep, "sweep")
    sweep.add_argument(
        "-v", "--verbose", dest="verbosity", action="store_const", const=1, default=0,
        help="also a line for every finding, and for every model that cannot be used",
    )  # fmt: skip
    _mode(sweep)
    _ops(sweep)
    _trust(sweep)
    _user_rules(sweep)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from .version import __version__

        print(f"rewriter {__version__}")
        parser.exit()


class _Completion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, __: Any = None) -> NoReturn:
        try:
            import shtab
        except ImportError:
            raise UsageError("completion needs shtab: pip install 'rewriter[completion]'") from None
        print(shtab.complete(parser, shell))
        parser.exit()


def _command(commands: Any, name: str, run: Mapping[str, Run], text: str) -> _Parser:
    parser: _Parser = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(run=run[name])
    return parser


def _format(parser: _Parser, *commands: str) -> None:
    parser.add_argument(
        "--format", choices=formats(*commands), default="text", help="how to print it (default: text)"
    )


def _model(parser: _Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a saved model, or - for standard input")


def _exclude(parser: _Parser) -> None:
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out matching models of folders and patterns, but not files that are named (repeatable)",
    )


def _verbosity(parser: _Parser) -> None:
    either = parser.add_mutually_exclusive_group()
    for short, long, number, text in (
        ("-v", "--verbose", 1, "also the evidence, and the other readings of each finding"),
        ("-q", "--quiet", -1, "the places and codes of findings only"),
    ):
        either.add_argument(
            short, long, dest="verbosity", action="store_const", const=number, default=0, help=text
        )


def _trust(parser: _Parser) -> None:
    parser.add_argument(
        "--trust", metavar="PACKAGE", action="append", default=[],
        help="run the code of this package's layers, in a separate process, to see what they compute (repeatable)",
    )  # fmt: skip


def _timeout(parser: _Parser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="end a proof, or a run of trusted code, that takes longer (default: 300)",
    )


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 < seconds < 1e9:
            return seconds
    raise UsageError(f"--timeout {shown(text)!r}: must be a number of seconds above 0")


def _bytes(text: str) -> int:
    number = _scaled(text, {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40})
    if number is None:
        raise UsageError(f"size {shown(text)!r}: must be a number of bytes, or as in 200k, 1.5M, 2G")
    return int(number)


def _age(text: str) -> float:
    number = _scaled(text, {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
    if number is None:
        raise UsageError(f"age {shown(text)!r}: must be a number of seconds, or as in 30m, 12h, 7d")
    return number


def _scaled(text: str, units: Mapping[str, int]) -> float | None:
    """A number with a unit; None for another text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]?)", text.lower())
    return None if found is None or found[2] not in units else float(found[1]) * units[found[2]]


def _common(parser: _Parser) -> None:
    """Add the options that every command has."""
    short = [] if "-o" in parser._option_string_actions else ["-o"]  # for repair, -o is the model
    parser.add_argument(*short, "--output-file", metavar="FILE", help="write the report to a file")
    parser.add_argument(
        "--color",
        choices=COLOURS,
        default="auto",
        help="colours: auto uses them on a terminal only (default)",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--config", metavar="FILE", help="take defaults from the [tool.rewriter] of this file"
    )
    either.add_argument("--isolated", action="store_true", help="take no defaults from any pyproject.toml")


def _mode(parser: _Parser) -> None:
    parser.add_argument(
        "--mode",
        choices=_MODES,
        default="safe",
        help="safe applies only what evidence decides (default), best takes the first-ranked candidate",
    )


def _ops(parser: _Parser) -> None:
    parser.add_argument(
        "--ops",
        choices=_OPS,
        default=_OPS[0],
        help="what may be changed: multiply (default), or all: sums, Dot, matmul, einsum and Concatenate too",
    )


def _weights(parser: _Parser) -> None:
    parser.add_argument(
        "--weights", metavar="FILE", help="the weights of a model that is only a configuration (JSON)"
    )


def _user_rules(parser: _Parser) -> None:
    parser.add_argument(
        "--rules",
        metavar="FILE",
        help="a TOML file with rules to add (default: those of [tool.rewriter] in pyproject.toml)",
    )
