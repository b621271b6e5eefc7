"""Print the README's account of the order in which readings are preferred, from the table that ranks them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewriter.passes.ranking import described


def main() -> int:
    print("\n".join(described()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
