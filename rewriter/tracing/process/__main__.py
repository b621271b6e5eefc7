"""``python -m rewriter.tracing.process``: the process that traces layers with code of their own."""

import sys

from ...proof.child import serve
from .main import traced

if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    sys.exit(serve(traced))
