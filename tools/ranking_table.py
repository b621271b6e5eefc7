"""Print the account of how findings are decided, from the tables that decide: the kinds of evidence in their order, or
with ``--stages`` every stage."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewriter.passes import stages
from rewriter.passes.ranking import described


def main() -> int:
    print(stages.markdown(described()) if "--stages" in sys.argv[1:] else "\n".join(described()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
