"""``python -m rewriter.proof.tensorflow``: the process that runs a repaired SavedModel."""

import sys

from ..child import main
from .checks import prove

if __name__ == "__main__":
    sys.exit(main(prove))
