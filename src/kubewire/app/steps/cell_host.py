"""What a host has for the cells of a nightly."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kubewire.app.machine import kernel_lacks, memory_available
from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.packages import missing_for
from kubewire.core.os_packages import require_installable


def look_at_cell_host(
    modes: Sequence[str], tools: Sequence[str], install: bool = True, become: bool = False
) -> Outcome:
    """Its CPUs and free memory; why its kernel can't run a mode; the Debian packages that are missing, a
    HostError where nothing here can install them.
    """
    lacking = {mode: why for mode in modes if (why := kernel_lacks(mode))}
    missing = missing_for([mode for mode in modes if mode not in lacking], tools)
    require_installable(missing, install=install, become=become)
    return Outcome(
        facts={
            "cpus": len(os.sched_getaffinity(0)),
            "memory_bytes": memory_available(),
            "lacking": lacking,
            "missing": missing,
        }
    )
