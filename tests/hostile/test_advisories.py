"""No advisory's file makes a command open, connect to or start what the file names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.common import ROOT
from tests.hostile.advisories import ADVISORIES
from tests.hostile.table import ROWS

_STATUS = {row.name: row.status for row in ROWS}


def started(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each row the exit status of every command, and its forbidden actions."""
    names = sorted({name for _, rows in ADVISORIES.values() for name in rows})
    done = started("-m", "tests.hostile.watched", str(tmp_path_factory.mktemp("watched")), *names)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in found] == names
    return {name: (statuses, seen) for name, statuses, seen in found}


@pytest.mark.parametrize("advisory", ADVISORIES)
def test_an_advisory(advisory: str, outcomes: dict[str, Any]):
    for name in ADVISORIES[advisory][1]:
        statuses, seen = outcomes[name]
        assert seen == [], name
        for command, status in statuses:
            if _STATUS[name] == 2 and command != "shapes":
                assert status == 2, (name, command)
            if _STATUS[name] == 1 and command == "check":
                assert status == 1, name


ACTIONS = {
    "open": "open('/etc/hostname')",
    "a process": "import subprocess; subprocess.run(['true'])",
    "a command": "import os; os.system('true')",
    "a connection": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "a pickle": "import pickle; pickle.loads(pickle.dumps(json.JSONDecoder))",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_hook_sees_what_it_has_to(action: str):
    code = "import json, sys; from tests.hostile.watched import watch; seen = watch((sys.base_prefix, sys.prefix))\n"
    code += f"try: {ACTIONS[action]}\nexcept Exception: pass\nsys.exit(7 if seen else 0)"
    assert started("-c", code.replace("try: ", "try:\n    ")).returncode == 7


def test_every_row_exists():
    assert {name for _, rows in ADVISORIES.values() for name in rows} <= set(_STATUS)
    assert len(_STATUS) == len(ROWS)
    assert Path(ROOT / "docs" / "bad-inputs.md").exists()
