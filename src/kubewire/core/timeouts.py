"""Timeouts, multiplied on a slow machine such as an emulated VM."""

from __future__ import annotations

import os

VARIABLE = "KUBEWIRE_PATIENCE"
SELDOM_COLLECTED = {"GOGC": "400"}
"""Trades memory for time: Go programs then skip most of their garbage collection."""


def scaled(seconds: float) -> float:
    """A deadline or a pause, multiplied by the environment variable KUBEWIRE_PATIENCE, never less."""
    try:
        return seconds * max(1.0, float(os.environ.get(VARIABLE, "1")))
    except ValueError:
        return seconds


def inherited() -> dict[str, str]:
    """The variables that a component on a slow machine needs in its environment; elsewhere none."""
    value = os.environ.get(VARIABLE)
    return {VARIABLE: value, **SELDOM_COLLECTED} if value else {}
