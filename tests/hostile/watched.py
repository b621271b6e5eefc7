"""``python -m tests.hostile.watched FOLDER NAME...``: rows of the table in every command, watched by an audit hook.

A line of JSON for each row: its name, the exit status of each command, and everything opened, connected to or
started, except the model, the outputs, Python's own files and the shells that remove unfinished outputs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from rewriter.files.atomic import GUARD

_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "pickle.", "urllib.",
              "ctypes.dlopen")  # fmt: skip


def _is_guard(event: str, args: tuple[Any, ...]) -> bool:
    """True for the shell that removes an unfinished output, and nothing else, if the command is killed."""
    words = list(args[1]) if event == "subprocess.Popen" else []
    return (
        words[:-1] == ["/bin/sh", "-c", GUARD, "sh"]
        and re.fullmatch(r"\.rewriter-[0-9a-f]{24}(\.\w+)*", os.path.basename(words[-1])) is not None
    )


def watch(own: tuple[str, ...]) -> list[str]:
    """Forbid and record actions that a file could cause; files below ``own`` may be opened."""
    seen: list[str] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            if path.startswith(own):
                return
            seen.append(f"open {path}")
        elif event.startswith(_FORBIDDEN) and not _is_guard(event, args):
            seen.append(f"{event} {args!r:.200}")
        else:
            return
        raise PermissionError(seen[-1])

    sys.addaudithook(hook)
    return seen


def main(folder: str, names: list[str]) -> int:
    import numpy
    import onnx

    import rewriter
    from rewriter.cli import main as command
    from tests.hostile.table import ROWS, commands

    by_name = {row.name: row for row in ROWS}
    own = [folder, sys.prefix, sys.base_prefix, *(m.__file__ for m in (rewriter, onnx, numpy)), os.devnull]
    places = [os.path.dirname(p) if os.path.isfile(p) else p for p in own]
    root = str(Path(__file__).resolve().parents[2])
    seen = watch((*map(os.path.realpath, (*places, root)), "/proc/", "/sys/"))
    for number, name in enumerate(names):
        here = Path(folder) / str(number)
        here.mkdir()
        path = by_name[name].make(here)
        del seen[:]
        statuses = []
        for words in commands(path, here):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                statuses.append([words[0], command(words)])
        print(json.dumps([name, statuses, seen]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
