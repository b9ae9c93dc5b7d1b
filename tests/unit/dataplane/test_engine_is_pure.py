"""The contract of .importlinter: the engine imports no I/O and nothing of the edges."""

from __future__ import annotations

import subprocess
import sys

from repository import ROOT


def test_imports_keep_the_contract() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout
