"""Programs that imitate a failing process: ``python -m tests.proof.programs`` runs the one in STRAY."""

from __future__ import annotations

import os
import signal
import sys
import time

_HANGS = 3600  # seconds; a test that waits so long did not end the process

if __name__ == "__main__":
    stray = os.environ["STRAY"]
    if stray != "input":
        sys.stdin.readline()
    if stray == "hang":
        time.sleep(_HANGS)
    elif stray == "watch":
        from pathlib import Path

        from rewriter.proof import limits

        limits.end_with(0)
        Path(os.environ["STRAY_FILE"]).write_text(str(os.getpid()))
        time.sleep(_HANGS)
    elif stray == "late":
        print('rewriter-proof {"checks": {"equation": {"proven": true, "batches": [1]}}}', flush=True)
        time.sleep(_HANGS)
    elif stray in ("leaves", "leaves-late", "escapes", "watched"):
        from pathlib import Path

        from rewriter.proof import limits

        if stray == "watched":
            limits.end_with(0)
        if os.fork() == 0:
            if stray == "escapes":
                os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(os.environ["STRAY_FILE"]).write_text(str(os.getpid()))
            time.sleep(60 if stray == "escapes" else _HANGS)
            os._exit(0)
        while not Path(os.environ["STRAY_FILE"]).exists() or not Path(os.environ["STRAY_FILE"]).read_text():
            time.sleep(0.01)
        print('rewriter-proof {"checks": {"equation": {"proven": true, "batches": [1]}}}', flush=True)
        if stray in ("leaves-late", "watched"):
            time.sleep(_HANGS)
        os._exit(0)
    elif stray == "input":
        from rewriter.proof.child import serve

        serve(lambda request, say: {"checks": {}, "read": sys.stdin.read() + os.read(0, 9).decode()})
    elif stray == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif stray == "chatter":
        print("loading ...")
    elif stray == "list":
        print("rewriter-proof [1]")
    elif stray == "half":
        print('rewriter-proof {"checks"')
    elif stray == "status":
        print("rewriter-proof {}")
        sys.exit(7)
