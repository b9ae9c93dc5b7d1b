"""Run a tool and read its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubewire.core import processes
from kubewire.core.errors import LabError

DEADLINE = 60.0
_OUTPUT_LIMIT = 16 << 20


def run(argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """The standard output of `argv`; LabError with the tool's message if it fails."""
    done = processes.run(argv, timeout=DEADLINE, data=(stdin or "").encode(), env=env, limit=_OUTPUT_LIMIT)
    if done.code:
        said = (done.err or done.out.strip()).splitlines()
        raise LabError(f"{' '.join(argv)} failed ({done.code}): {' '.join(said[-3:])}")
    return done.out
