"""The facts of a host that a nightly needs for its cells."""

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
    """Its CPUs and free memory, modes that its kernel lacks and why, and missing Debian packages; HostError
    if they are missing and can't be installed.
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
