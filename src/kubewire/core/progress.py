"""Progress of long work, as JSON lines that the CLI follows: Ansible shows a task's output only at its end.

Each line is `{"t": epoch seconds, "step": str, "detail": str, "done": int|null, "total": int|null}`,
appended to the file that the environment variable KUBEWIRE_PROGRESS names; without it nothing is written.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

VARIABLE = "KUBEWIRE_PROGRESS"
COUNTS = ("done", "total")
MANY = 1 << 63
AT_ONCE = 1 << 20
"""Bytes read at once; a line is always shorter."""
WARNING = "warning"
"""A step whose detail is shown as a line of its own that stays."""
WARNED = "  ! "
"""The prefix of that line."""


class Progress(Protocol):
    """The callback for progress: the step, a detail, and optionally how much of the total is done."""

    def __call__(
        self, step: str, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None: ...


def emit(step: str, detail: str = "", done: int | None = None, total: int | None = None) -> None:
    """Append one progress line; a progress file that can't be written never stops the work."""
    target = os.environ.get(VARIABLE)
    if not target:
        return
    line = json.dumps({"t": time.time(), "step": step, "detail": detail, "done": done, "total": total})
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)


class ProgressFeed:
    """Follows the JSON lines that long work appends to its progress file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> list[dict[str, Any]]:
        """The complete lines since the last call; a line that can't be parsed is left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read(AT_ONCE)
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1] or (text if len(text) == AT_ONCE else b"")
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            with suppress(ValueError, RecursionError):
                found.append(json.loads(line))
        return [line for line in found if _is_progress(line)]


def _is_progress(line: Any) -> bool:
    """Whether it is a line as `emit` writes it."""
    return (
        isinstance(line, dict)
        and all(isinstance(line.get(key, ""), str) for key in ("step", "detail"))
        and all(isinstance(count, int | None) and abs(count or 0) < MANY for count in map(line.get, COUNTS))
    )
