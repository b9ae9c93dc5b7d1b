"""How long to wait on a machine that is slow by nature: in an emulated VM everything takes its multiple."""

from __future__ import annotations

import os

VARIABLE = "KUBEWIRE_PATIENCE"
SELDOM_COLLECTED = {"GOGC": "400"}
"""Memory for time: what a Go program does without there, most of its garbage collection."""


def scaled(seconds: float) -> float:
    """A deadline or a pause times what the environment variable KUBEWIRE_PATIENCE says, never less."""
    try:
        return seconds * max(1.0, float(os.environ.get(VARIABLE, "1")))
    except ValueError:
        return seconds


def inherited() -> dict[str, str]:
    """What a component that gets an environment of its own must know of such a machine; nothing elsewhere."""
    value = os.environ.get(VARIABLE)
    return {VARIABLE: value, **SELDOM_COLLECTED} if value else {}
