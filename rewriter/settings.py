"""``[tool.rewriter]`` of a ``pyproject.toml``: defaults for the options of the command line.

    [tool.rewriter]
    ops = "all"                 # every command that has --ops
    [tool.rewriter.check]
    baseline = "rewriter-baseline.json"
    [[tool.rewriter.rule]]      # rules that are added to the table (rewriter/rules/userfile.py)

The file is the nearest one with such a table, from the working directory upwards. Paths in it are relative to it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import BadFileError, UsageError, did_you_mean, shown
from .files import toml
from .files.regular import read_regular

NAME = "pyproject.toml"
_MAX_SIZE = 1 << 20
_RULES = "rule"
# Options of one run or one model can be set on the command line only.
_NOT_SET = frozenset(
    {"help", "version", "at", "config", "isolated", "print-completion", "diff", "update-baseline", "trust"}
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The table of a file: ``values`` as written there; ``path`` is "" if there is none."""

    path: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> str | None:
        """The file, if it adds rules; else None."""
        return self.path if _RULES in self.values else None


def find(start: str = ".") -> Settings:
    """The settings of the project around a folder.

    Raises:
        UsageError: a file on the way mentions ``rewriter`` and cannot be read.
    """
    for folder in _upwards(os.path.abspath(start)):
        path = os.path.join(folder, NAME)
        if os.path.isfile(path):
            table = _table(path, b"rewriter")
            if table is not None:
                return Settings(path, table)
    return Settings()


def load(path: str) -> Settings:
    """The settings in a file that is named. Raises UsageError: it cannot be read, or has no ``[tool.rewriter]``."""
    table = _table(path, b"")
    if table is None:
        raise UsageError(f"{shown(path)}: it has no [tool.rewriter]")
    return Settings(path, table)


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _table(path: str, mark: bytes) -> Mapping[str, Any] | None:
    name = _named(path)
    try:
        data = read_regular(path, _MAX_SIZE)
        tool = toml.parse(data).get("tool") if mark in data else None
    except BadFileError as error:
        raise UsageError(f"{name}: {error}") from None
    if not isinstance(tool, dict) or "rewriter" not in tool:
        return None
    table = tool["rewriter"]
    if not isinstance(table, dict):
        raise UsageError(f"{name}: tool.rewriter must be a table")
    return table


def apply(settings: Settings, commands: Mapping[str, argparse.ArgumentParser], command: str) -> None:
    """Make the settings the defaults of a command's options.

    Raises:
        UsageError: a key is not an option of the command, or its value is not valid.
    """
    every = {name: _options(parser) for name, parser in commands.items()}
    anywhere = {key: action for options in every.values() for key, action in options.items()}
    given: dict[str, Any] = {}
    for key, value in settings.values.items():
        if key == _RULES or key in every:
            continue
        made = _value(settings.path, key, key, value, anywhere, (*every, _RULES))
        given |= {key: made} if key in every[command] else {}
    for name, options in every.items():
        table = settings.values.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"{_named(settings.path)}: tool.rewriter.{name} must be a table")
        for key, value in table.items():
            made = _value(settings.path, f"{name}.{key}", key, value, options)
            given |= {key: made} if name == command else {}
    commands[command].set_defaults(
        **dict(_default(every[command][key], value) for key, value in given.items())
    )


def _default(action: argparse.Action, value: Any) -> tuple[str, Any]:
    """The attribute of an option, and its default from a setting."""
    if isinstance(action, argparse._StoreConstAction) and not isinstance(action.const, bool):
        return action.dest, action.const if value else 0
    return action.dest, value


def _named(path: str) -> str:
    return shown(os.path.relpath(path))


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command that can be set, by their long names."""
    named = {
        option[2:]: action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-")
    }
    return {name: action for name, action in named.items() if name not in _NOT_SET}


def _value(
    path: str,
    where: str,
    key: str,
    value: Any,
    options: Mapping[str, argparse.Action],
    others: tuple[str, ...] = (),
) -> Any:
    """The value of an option, checked as the command line checks it."""
    name = f"{_named(path)}: tool.rewriter.{shown(where)}"
    action = options.get(key)
    if action is None:
        raise UsageError(f"{name}: there is no such option{did_you_mean(key, (*options, *others))}")
    wanted = _wanted(action)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is list:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{name} must be a list of strings")
        return list(value)
    if type(value) is not wanted:
        raise UsageError(f"{name} must be {_WORDS[wanted]}")
    if action.choices is not None and value not in action.choices:
        listed = ", ".join(map(str, action.choices))
        raise UsageError(
            f"{name} = {shown(value)!r}: must be one of {listed}{did_you_mean(str(value), action.choices)}"
        )
    if action.type is not None and not isinstance(action.type, type):
        try:
            return action.type(str(value))  # type: ignore[operator]
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
    if isinstance(value, str) and action.metavar == "FILE":
        return os.path.join(os.path.dirname(path), value)
    return value


_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def _wanted(action: argparse.Action) -> type:
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return bool
    if isinstance(action, argparse._AppendAction) or action.nargs in ("+", "*"):
        return list
    if action.type is None:
        return str
    return action.type if isinstance(action.type, type) else float
