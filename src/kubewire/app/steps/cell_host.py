"""What a host has for the cells of a nightly."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kubewire.app.steps.outcome import Outcome
from kubewire.core.memory import memory_available
from kubewire.core.os_packages import require_installable
from kubewire.providers.registry import embedded


def look_at_cell_host(
    modes: Sequence[str], tools: Sequence[str], install: bool = True, become: bool = False
) -> Outcome:
    """Its CPUs and free memory; why its kernel can't run a mode; the Debian packages that are missing, a
    HostError where nothing here can install them.
    """
    provider = embedded()
    lacking = {mode: why for mode in modes if (why := provider.lacks_for(mode))}
    missing = provider.missing_packages([mode for mode in modes if mode not in lacking], tools)
    require_installable(missing, install=install, become=become)
    return Outcome(
        facts={
            "cpus": len(os.sched_getaffinity(0)),
            "memory_bytes": memory_available(),
            "lacking": lacking,
            "missing": missing,
        }
    )
