"""How long to wait on a machine that is slow by nature: in an emulated VM everything takes its multiple."""

from __future__ import annotations

import os

VARIABLE = "KUBEWIRE_PATIENCE"


def patient(seconds: float) -> float:
    """The deadline times what the environment variable KUBEWIRE_PATIENCE says, never less than it."""
    try:
        return seconds * max(1.0, float(os.environ.get(VARIABLE, "1")))
    except ValueError:
        return seconds
