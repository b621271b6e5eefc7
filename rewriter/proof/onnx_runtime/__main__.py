"""``python -m rewriter.proof.onnx_runtime``: the process that runs a repaired ONNX model."""

import sys

from ..child import main
from .checks import prove

if __name__ == "__main__":
    sys.exit(main(prove))
