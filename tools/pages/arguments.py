"""The reference of the command line, from its parser."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

from rewriter.arguments import parsers
from tools.pages.markdown import cell


def reference() -> Iterator[str]:
    """One section for each command, and the options without a command."""
    main, commands = parsers(defaultdict(lambda: _never))
    yield f"{main.description}\n"
    yield from _table(main, "option")
    for name, command in commands.items():
        yield f"\n## {name}\n\n{_sentence(command.description or '')}\n"
        yield f"```text\n{' '.join(['rewriter', name, *_usage(command)])}\n```\n"
        yield from _table(command, "argument")


def _never(*_: object) -> int:
    raise AssertionError("the reference runs no command")


def _shown(command: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    return [a for a in command._actions if not isinstance(a, hidden) and a.help != argparse.SUPPRESS]


def _usage(command: argparse.ArgumentParser) -> Iterator[str]:
    shown = _shown(command)
    if any(action.option_strings for action in shown):
        yield "[OPTIONS]"
    for action in shown:
        if not action.option_strings:
            yield _value(action)


def _value(action: argparse.Action) -> str:
    """How a positional argument is written: ``MODEL...``, ``[NODE]``."""
    name = _name(action)
    return {"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _name(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices:
        return "|".join(map(str, action.choices))
    return action.dest.upper()


def _table(command: argparse.ArgumentParser, title: str) -> Iterator[str]:
    yield f"| {title} | what it does | default |"
    yield "|---|---|---|"
    for action in _shown(command):
        text = " ".join((action.help or "").replace("%%", "%").split())
        if action.option_strings:
            takes = "" if action.nargs == 0 else f" {_name(action)}"
            written = ", ".join(f"`{option}{takes}`" for option in action.option_strings)
        else:
            written = f"`{_value(action)}`"
        given = action.default not in (None, False, argparse.SUPPRESS, []) and action.nargs != 0
        default = f"`{action.default}`" if given else ""
        yield f"| {cell(written)} | {cell(_sentence(text))} | {default} |"


def _sentence(text: str) -> str:
    """The text as a sentence; one that begins with a value, as ``channels_last`` does, keeps its first letter."""
    text = " ".join(text.split())
    first = text[:1] if "_" in text.partition(" ")[0] else text[:1].upper()
    return first + text[1:] + ("" if text.endswith((".", ")")) else ".") if text else ""
