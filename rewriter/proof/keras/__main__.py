"""``python -m rewriter.proof.keras``: the process that runs a repaired model."""

import sys

from ..child import main

if __name__ == "__main__":
    sys.exit(main())
