"""What the two ends of an SSH connection have agreed on."""

from __future__ import annotations

STEP_MARK = "kubewire-answer "
CELL_MARK = b"kubewire-cell "
"""Before an answer, since a login shell may print what it likes."""
