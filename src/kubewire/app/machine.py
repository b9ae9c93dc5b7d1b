"""Check this machine for a nightly: CPUs, memory, and what is missing for a mode or a provider."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable

from kubewire.app.steps.packages import missing_packages
from kubewire.core import os_packages
from kubewire.core.memory import memory_total
from kubewire.core.progress import Progress
from kubewire.lab.loading import load_lab
from kubewire.lab.schema import Lab
from kubewire.matrix.results import MachineResult
from kubewire.providers.registry import get_provider

BUILD_BYTES = 3072 << 20
"""The peak memory of compiling kube-apiserver."""


def examine(
    providers: Iterable[str],
    modes: Collection[str],
    labs: Collection[str],
    progress: Progress | None = None,
) -> dict[tuple[str, str], str]:
    """Why this machine can't run a mode, by provider and mode; `labs` are names or paths.

    A missing package is no such reason: with `progress` it is installed; HostError if that is impossible.
    DefinitionError if a lab doesn't support a mode.
    """
    loaded = [load_lab(lab, {"mode": mode}) for lab in labs for mode in modes]
    lacking: dict[tuple[str, str], str] = {}
    for provider in providers:
        maker = get_provider(provider)
        why = maker.why_not_here()
        for mode in modes:
            if reason := why or maker.lacks_for(mode):
                lacking[provider, mode] = reason
        _require_packages(
            [lab for lab in loaded if (provider, lab.mode.value) not in lacking], provider, progress
        )
    return lacking


def _require_packages(labs: Iterable[Lab], provider: str, progress: Progress | None) -> None:
    missing = sorted({package for lab in labs for package in missing_packages(lab, provider)})
    os_packages.require_installable(missing)
    if missing and progress:
        os_packages.install(missing, progress)


def described() -> MachineResult:
    return MachineResult(
        cpus=os.cpu_count() or 1, memory_bytes=memory_total(), kernel=f"Linux {platform.release()}"
    )
