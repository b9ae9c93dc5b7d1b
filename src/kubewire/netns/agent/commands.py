"""Running a tool and reading what it says."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from kubewire.errors import LabError

DEADLINE = 60.0


def run(argv: Sequence[str], *, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """The standard output of `argv`; LabError with the tool's own words when it fails."""
    try:
        done = subprocess.run(
            list(argv), input=stdin, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{' '.join(argv)} could not run: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}): {' '.join(said[-3:])}")
    return done.stdout
