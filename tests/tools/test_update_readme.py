"""The README's generated tables are those that the code makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_generated_tables_are_current():
    done = subprocess.run([sys.executable, "tools/update_readme.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run python tools/update_readme.py"
