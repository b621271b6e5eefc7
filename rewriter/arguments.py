"""The arguments of the command line: what every command takes, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .errors import UsageError
from .report.table import names as formats

_MODES = ("safe", "best")
_OPS = ("multiply", "all")

Run = Callable[[argparse.Namespace, Any], int]


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()))


def parser(run: Mapping[str, Run]) -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` holds the function of each, which becomes ``options.run``.

    What cannot be parsed raises UsageError.
    """
    main = _Parser(
        prog="rewriter",
        description="Find the multiplies of a saved Keras model whose operands do not fit, and repair them.",
        epilog="exit status: 0 nothing wrong, or all repaired; 1 findings, or not decided; 2 the input or the\n"
        "arguments cannot be used; 3 a repair failed its own proof",
    )
    main.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    commands = main.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    check = _command(commands, "check", run, "find what does not fit; change nothing")
    check.add_argument(
        "models", metavar="MODEL", nargs="+", help="a saved model (.keras, the JSON of one, or .onnx)"
    )
    check.add_argument(
        "--plan", metavar="FILE", help="write the choices to a TOML file, to edit and to repair with"
    )
    _format(check, "check")
    _mode(check)
    _ops(check)
    _user_rules(check)
    _weights(check)

    repair = _command(commands, "repair", run, "insert what is missing and write the model")
    repair.add_argument("model", metavar="MODEL", help="a saved model")
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
    repair.add_argument("--explicit", action="store_true", help="also write legal implicit broadcasts out")
    repair.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="run the repaired model: where that cannot be done, write nothing; --no-verify leaves it out",
    )
    _format(repair, "repair")
    _user_rules(repair)
    _weights(repair)

    explain = _command(
        commands, "explain", run, "show why each rule fits a multiply or not, or explain a rule"
    )
    explain.add_argument("target", metavar="MODEL|RULE", help="a saved model, or the name of a rule")
    explain.add_argument(
        "node", metavar="NODE", nargs="?", help="a multiply of the model (all of them without it)"
    )
    _ops(explain)
    _user_rules(explain)
    _weights(explain)

    shapes = _command(commands, "shapes", run, "list every node with its named axes")
    shapes.add_argument("models", metavar="MODEL", nargs="*", help="a saved model")
    shapes.add_argument(
        "--supported",
        action="store_true",
        help="list the layers and ops that have an axis rule, its proof, and whether ONNX can hold them",
    )
    _format(shapes, "shapes", "supported")
    _weights(shapes)

    suggest = _command(commands, "suggest", run, "say what a product of two shapes can mean")
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
    convert.add_argument("model", metavar="MODEL", help="a saved model")
    convert.add_argument(
        "output",
        metavar="OUT",
        help="the file to write, in the format that its name ends in; a folder ends in /",
    )
    convert.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="run both models and compare: where that cannot be done, write nothing; --no-verify leaves it out",
    )
    _format(convert, "convert")
    _weights(convert)

    export = _command(commands, "export", run, "write a model as ONNX")
    export.add_argument("model", metavar="MODEL", help="a saved model")
    export.add_argument("output", metavar="OUT.onnx", help="the file to write")
    _weights(export)
    export.add_argument(
        "--opset", metavar="N", type=int, help="the version of the ONNX operator set (default: the newest)"
    )
    export.add_argument("--batch", metavar="N", type=int, help="fix the batch of all inputs")
    export.add_argument(
        "--external-data", action="store_true", help="put the weights into OUT.onnx.data, beside the model"
    )
    export.add_argument("--nchw-inputs", action="store_true", help="take images with their channels first")
    export.add_argument("--nchw-outputs", action="store_true", help="give images with their channels first")
    export.add_argument("--fp16", action="store_true", help="compute in half precision")
    export.add_argument(
        "--verify", action="store_true", help="run the result beside Keras on random inputs, and compare"
    )
    export.add_argument(
        "--fallback", choices=("tf2onnx",), help="what takes over a model that cannot be exported directly"
    )
    return main


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from .version import __version__

        print(f"rewriter {__version__}")
        parser.exit()


def _command(commands: Any, name: str, run: Mapping[str, Run], text: str) -> _Parser:
    parser: _Parser = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(run=run[name])
    return parser


def _format(parser: _Parser, *commands: str) -> None:
    parser.add_argument(
        "--format", choices=formats(*commands), default="text", help="how to print it (default: text)"
    )


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
        "--weights", metavar="FILE", help="the weights of a model that is a configuration alone (JSON)"
    )


def _user_rules(parser: _Parser) -> None:
    parser.add_argument(
        "--rules",
        metavar="FILE",
        help="a TOML file with rules to add (default: ./pyproject.toml where it has a [tool.rewriter])",
    )
