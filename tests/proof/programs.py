"""Programs that imitate a failing process: ``python -m tests.proof.programs`` runs the one in STRAY."""

from __future__ import annotations

import os
import signal
import sys
import time

_HANGS = 3600  # seconds; a test that waits so long did not end the process

if __name__ == "__main__":
    sys.stdin.readline()
    stray = os.environ["STRAY"]
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
