"""What a host needs for a lab, or for the cells of a nightly: OS packages, kernel, CPUs and memory."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from kubewire.app.steps.cluster import Overrides, intend
from kubewire.app.steps.outcome import Outcome
from kubewire.core.memory import memory_available
from kubewire.core.os_packages import require_installable
from kubewire.lab.schema import Lab
from kubewire.providers.registry import embedded, get_provider

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,100}")
"""A Debian package's name."""


def find_missing(
    lab: str,
    overrides: Overrides,
    provider: str = "auto",
    install: bool = True,
    become: bool = False,
) -> Outcome:
    """The missing Debian packages, for the task that installs them; HostError if they can't be installed.

    `binaries`: whether the lab's nodes run Kubernetes binaries from this machine's cache.
    """
    intent = intend(lab, overrides, provider)
    missing = missing_packages(intent.lab, intent.choice.name)
    require_installable(missing, install=install, become=become)
    uses_binaries = get_provider(intent.choice.name).uses_binaries
    return Outcome(facts={"missing": missing, "provider": intent.choice.name, "binaries": uses_binaries})


def missing_packages(lab: Lab, provider: str) -> list[str]:
    """The packages that this machine lacks for the lab with that provider."""
    return get_provider(provider).missing_packages([lab.mode.value], lab.tools)


def look_at_cell_host(
    modes: Sequence[str], tools: Sequence[str], install: bool = True, become: bool = False
) -> Outcome:
    """A host's CPUs and free memory, modes that its kernel lacks and why, and missing Debian packages.

    HostError if packages are missing and can't be installed.
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
