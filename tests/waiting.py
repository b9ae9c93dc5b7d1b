"""The one way a test waits: until something holds, for as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE = 300.0
"""Seconds after which a test that waits in vain ends. Nothing else depends on it."""


def eventually(holds: Callable[[], object], what: str | Callable[[], object] = "it never came") -> None:
    """Return once `holds()` is true; AssertionError with `what` (or what it returns) after the deadline."""
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.02)
