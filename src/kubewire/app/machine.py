"""What this machine has for a nightly: CPUs, memory, and what it lacks for a mode or a provider."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable
from pathlib import Path

from kubewire.app.steps.packages import PACKAGES, missing_packages
from kubewire.core import os_packages
from kubewire.core.progress import Progress
from kubewire.lab.loading import load_lab
from kubewire.lab.schema import Lab
from kubewire.matrix.results import MachineResult
from kubewire.providers.netns.preflight import survey
from kubewire.providers.registry import docker_silent

MIB = 1024**2
CELL_BYTES = {"netns": 1200 * MIB, "kind": 2560 * MIB}
"""What a lab of three nodes takes on each provider."""
BUILD_BYTES = 3072 * MIB
"""What compiling a kube-apiserver takes at its peak."""


def examine(
    providers: Iterable[str],
    modes: Collection[str],
    labs: Collection[str],
    progress: Progress | None = None,
) -> dict[tuple[str, str], str]:
    """Why this machine can't run a mode, by provider and mode; `labs` as `find_lab` takes them. A lack that a
    package mends is no reason to skip anything: with `progress` it is installed; HostError names the packages
    where that can't be. DefinitionError where a lab
    can't be in a mode.
    """
    loaded = [load_lab(lab, {"mode": mode}) for lab in labs for mode in modes]
    lacking: dict[tuple[str, str], str] = {}
    for provider in providers:
        why = docker_silent() if provider == "kind" else ""
        for mode in modes:
            if reason := why or kernel_lacks(mode):
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


def kernel_lacks(mode: str) -> str:
    """What no package mends, for a mode; "" if nothing."""
    needs = [need for need in survey() if not need.ok and (not need.modes or mode in need.modes)]
    lacks: dict[str, list[str]] = {}
    for need in needs:
        if need.name not in PACKAGES:
            lacks.setdefault(need.detail, []).append(need.name.removeprefix("kernel: "))
    return "; ".join(f"{', '.join(names)}: {detail}" for detail, names in lacks.items())


def described() -> MachineResult:
    return MachineResult(
        cpus=os.cpu_count() or 1, memory_bytes=_meminfo("MemTotal"), kernel=f"Linux {platform.release()}"
    )


def memory_available() -> int:
    """Bytes that programs can still get without anything being swapped out."""
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return 0
