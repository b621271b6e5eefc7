"""The proof in a separate process: ``python -m rewriter.proof.keras`` with the request on standard input."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from site import getsitepackages, getusersitepackages
from typing import Any, NoReturn

from .. import progress
from ..errors import shown
from ..trusted import packages, trusting
from . import limits
from .request import CHECKS, Request, from_dict
from .runtimes import Needs, runtime_of

# Keras traverses a graph by recursion. Python frames use no C stack.
_DEPTH = 200_000
_MARK = "rewriter-proof "
_STAGE = "rewriter-stage "
_FIRST_SAMPLES = 3  # in the largest batch that is run at any size of a sample
_PACKAGE = __name__.split(".")[0]
# What code of others may raise: the process goes on, and says so.
RAISED = (Exception, SystemExit, KeyboardInterrupt)
# Seconds to read what is left in the pipe, which a process of a session of its own may hold open.
_DRAIN = 10.0


def in_child(request: Request, timeout: float | None = None, program: str = "") -> dict[str, Any]:
    """Prove a request in a new process. If the process fails, the answer is ``{"skipped": reason}``.

    If the process was stopped after some results, the answer has them, and the reason in ``ended``.

    Args:
        timeout: seconds after which the process is stopped; by default those of ``limits.within``.
        program: the module to run; by default the one for the format.
    """
    if request.skipped:
        return {"skipped": request.skipped}
    runtime = runtime_of(request.format)
    if runtime is None:
        return {"skipped": f"nothing here runs {request.format} files"}
    files = (request.repaired, request.original)
    size = limits.memory(files, request.elements * _FIRST_SAMPLES, request.format != "json")
    return run_in_child(program or runtime.program, runtime.needs(), request.as_dict(), size, timeout)


def run_in_child(
    program: str, needs: Needs, request: Mapping[str, Any], memory: int, timeout: float | None = None
) -> dict[str, Any]:
    """The answer of a module that serves a request (``serve``), or ``{"skipped": reason}``.

    The process leads a session, and the processes that it started end with it. It also ends when this process does, in
    any way: it watches a pipe, which is closed then.

    Args:
        needs: what the module needs, and its environment.
        memory: bytes that the process may use.
        timeout: seconds after which the process is stopped; by default those of ``limits.within``.
    """
    if needs.missing:
        return {"skipped": needs.missing}
    seconds = limits.seconds() if timeout is None else timeout
    words = [sys.executable, "-P", "-m", program]
    theirs, ours = os.pipe()
    answer: list[str] = []
    late = ""
    with os.fdopen(ours, "wb") as pipe:
        try:
            process = subprocess.Popen(
                words,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment() | needs.environment,
                start_new_session=True,
            )
        except OSError as error:
            return {"skipped": f"no process could be started for it: {error.strerror}"}
        finally:
            os.close(theirs)
        try:
            said = {"memory": memory, "seconds": seconds, "request": request, "trust": packages()}
            with contextlib.suppress(BrokenPipeError):  # it ended at once: _ended says how
                pipe.write(json.dumps(said).encode() + b"\n")
                pipe.flush()
            listener = threading.Thread(
                target=_listen, args=(process, answer, progress.current()), daemon=True
            )
            listener.start()
            try:  # not until the end of the output: a process that it started may hold the pipe open
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                late = f"it took longer than {seconds:g} seconds"
        finally:
            _end(process)
        listener.join(_DRAIN)
    return _answer(answer, late or _ended(process.returncode, memory))


def _listen(process: subprocess.Popen[bytes], answer: list[str], watcher: progress.Watcher) -> None:
    """Collect the answers of the process until it ends, and pass its stages to the watcher."""
    assert process.stdout is not None
    with process.stdout as stream:
        for data in stream:
            text = data.decode(errors="replace")
            if text.startswith(_STAGE):
                with contextlib.suppress(ValueError, TypeError):
                    name, step, of = json.loads(text.removeprefix(_STAGE))
                    watcher(str(name), int(step), int(of))
            elif text.startswith(_MARK):
                answer.append(text)


def _environment() -> dict[str, str]:
    """The environment of the process: CPU only, without logs, with this package and the user's path.

    oneDNN is off, which makes a proof the same on every processor. TensorFlow 2.21 uses it by default on some only, and
    its kernels have other limits (a Softmax of five dimensions at most) and other rounding.
    """
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(_path()),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


def _path() -> list[str]:
    """The folders of PYTHONPATH, after this package's folder if it would not be found otherwise.

    If the package is installed, the user's path comes first, as in this process.
    """
    root = str(Path(sys.modules[_PACKAGE].__file__ or "").resolve().parents[1])
    asked = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    found = map(os.path.realpath, [*asked, *getsitepackages(), getusersitepackages()])
    return asked if root in found else [root, *asked]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process with all others of its session, which may outlive it, and wait for it."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    process.wait()


def _ended(status: int, memory: int) -> str:
    """Why the process ended too early, or ""."""
    if status == limits.TOO_MUCH:
        return f"it took more than {memory / 2**30:.1f} GiB of memory"
    if status < 0:
        names = {int(s): s.name for s in signal.Signals}
        hint = ", perhaps for lack of memory" if names.get(-status) in ("SIGKILL", "SIGABRT") else ""
        return f"the process that ran it was ended by {names.get(-status, -status)}{hint}"
    return f"the process that ran it ended with status {status}" if status else ""


def _answer(output: list[str], ended: str) -> dict[str, Any]:
    """The last answer of the process. If the process was stopped, each missing check has the reason."""
    answer = None
    for line in output:
        with contextlib.suppress(ValueError):
            answer = json.loads(line.removeprefix(_MARK))
    if not isinstance(answer, dict) or (ended and "checks" not in answer):
        return {"skipped": ended or "the process that ran it gave no answer"}
    if "checks" in answer:
        missing = [name for name in CHECKS if name not in answer["checks"]]
        why = ended or "it was not run"
        answer["checks"] |= {name: {"proven": False, "why": why} for name in missing}
        answer.setdefault("behaviour", {"changes": None, "why": why})
        answer |= {"ended": why} if missing else {}
    return answer


def main(prove: Callable[..., dict[str, Any]] | None = None) -> int:
    """Prove the request on standard input."""
    from .keras.checks import in_process

    sys.setrecursionlimit(_DEPTH)

    run = prove or in_process
    return serve(lambda request, say: run(from_dict(request), report=say))


def _taken_input() -> int:
    """The pipe of standard input under another number; standard input is empty from now on."""
    pipe, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return pipe


def serve(run: Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], dict[str, Any]]) -> int:
    """Answer the request on standard input. The output of libraries goes to standard error.

    Args:
        run: makes the answer to a request; its second argument is a function for partial answers.
    """
    asked = json.loads(sys.stdin.buffer.readline())
    limits.end_with(_taken_input())
    limits.limit(asked["memory"], asked["seconds"])
    request = asked["request"]
    out = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(out, "w") as stream:

        def say(answer: dict[str, Any]) -> None:
            print(_MARK + json.dumps(answer), file=stream, flush=True)

        def stage(*begun: str | int) -> None:
            print(_STAGE + json.dumps(begun), file=stream, flush=True)

        doing = ""
        try:
            with progress.watched(stage), trusting(asked["trust"]):
                if packages():
                    _raise_at_exit()
                for name in packages():
                    doing = f"importing {name}: "
                    importlib.import_module(name)
                doing = ""
                say(run(request, say))
        except ImportError as error:
            say({"skipped": f"a package that is trusted cannot be imported: {shown(error)}"})
        except RAISED as error:
            say({"skipped": doing + ended_with(error)})
    return 0


def ended_with(error: BaseException) -> str:
    """An exception that ended code, in one line."""
    if isinstance(error, MemoryError):
        return limits.too_much()
    text = shown(" ".join(str(error).split()))
    if isinstance(error, SystemExit):
        return f"its code ended the process ({text if isinstance(error.code, str) else f'status {error.code or 0}'})"
    return f"it ended with {type(error).__name__}" + (f": {text}" if text else "")


def _raise_at_exit() -> None:
    """Let ``os._exit`` raise SystemExit as ``sys.exit`` does, so that code which ends this process is named."""
    here, leave = os.getpid(), os._exit

    def stop(status: int) -> NoReturn:
        if os.getpid() == here and threading.current_thread() is threading.main_thread():
            raise SystemExit(status)
        leave(status)

    os._exit = stop
