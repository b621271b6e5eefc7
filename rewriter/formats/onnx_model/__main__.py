"""``python -m rewriter.formats.onnx_model``: the process that runs a repaired ONNX model."""

import sys

from ..proof.child import main
from .proof import prove

if __name__ == "__main__":
    sys.exit(main(prove))
