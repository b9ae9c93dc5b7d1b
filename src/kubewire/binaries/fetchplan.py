"""The plan for fetching a version: artifacts, sources, durations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from kubewire.binaries import store
from kubewire.binaries.catalog import (
    CNI,
    CONTROL_PLANE,
    COREDNS,
    COSTS,
    ETCD,
    KUBE_PROXY,
    MIB,
    NODE_BINARIES,
    PUBLIC,
    Artifact,
    Origins,
)
from kubewire.binaries.resolving import resolve
from kubewire.binaries.versions import Components, components
from kubewire.binaries.web import why_unreachable
from kubewire.core.progress import Progress, emit

BYTES_PER_SECOND = 10 * MIB


@dataclass(frozen=True)
class Step:
    """The cost of one artifact. `seconds` is a rough guess for this machine."""

    artifact: Artifact
    binaries: tuple[str, ...]
    source: Literal["cache", "release", "modules"]
    seconds: int = 0
    download_bytes: int = 0
    disk_bytes: int = 0

    def __str__(self) -> str:
        how = {
            "cache": "in the cache",
            "release": f"official release, {self.download_bytes / MIB:.0f} MiB",
            "modules": f"built from its Go modules, about {max(1, round(self.seconds / 60))} min",
        }[self.source]
        return f"{self.artifact.title} ({', '.join(self.binaries)}): {how}"


@dataclass(frozen=True)
class FetchPlan:
    """What `ensure` would do."""

    components: Components
    steps: tuple[Step, ...]

    @property
    def version(self) -> str:
        return self.components.kube_proxy

    @property
    def cached(self) -> bool:
        return all(step.source == "cache" for step in self.steps)

    @property
    def seconds(self) -> int:
        return sum(step.seconds for step in self.steps)

    @property
    def download_bytes(self) -> int:
        return sum(step.download_bytes for step in self.steps)


Need = tuple[Artifact, tuple[str, ...]]


def components_of(version: str, origins: Origins, control_plane: str = "") -> Components:
    """Which control plane runs beside that kube-proxy: the one asked for by its exact version, else the same
    version if it can be had; asks the network only if the cache can't decide.
    """
    if control_plane:
        return Components(version, control_plane)
    kube_proxy = Artifact("kubernetes", version)
    whole = not store.missing(kube_proxy, CONTROL_PLANE)
    cached = store.complete_versions(CONTROL_PLANE)
    chosen = components(version, whole=whole, cached=cached)
    decided = chosen.control_plane in cached and not store.missing(kube_proxy, (KUBE_PROXY,))
    if not chosen.reason or decided or why_unreachable(origins.kubernetes):
        return chosen
    return components(version, whole=True, cached=cached)


def needs(chosen: Components, dns: bool, node: bool = False) -> tuple[Need, ...]:
    """Every artifact of a lab, with the binaries that it needs of it; `node`: what a node image holds too."""
    kube_proxy, control_plane = (Artifact("kubernetes", v) for v in (chosen.kube_proxy, chosen.control_plane))
    kubernetes: tuple[Need, ...] = (
        ((kube_proxy, (*kube_proxy.binaries, *(NODE_BINARIES if node else ()))),)
        if kube_proxy == control_plane
        else ((kube_proxy, (KUBE_PROXY,)), (control_plane, CONTROL_PLANE))
    )
    beside = [Artifact("etcd", ETCD), Artifact("cni", CNI)]
    if dns:
        beside.append(Artifact("coredns", COREDNS))
    return (*kubernetes, *((artifact, artifact.binaries) for artifact in beside))


def _steps(artifact: Artifact, binaries: tuple[str, ...], origins: Origins) -> tuple[Step, ...]:
    missing = store.missing(artifact, binaries)
    there = tuple(b for b in binaries if b not in missing)
    steps = [Step(artifact, there, "cache")] if there else []
    cost = COSTS[artifact.name]
    share = len(missing) / len(artifact.binaries)
    if missing and not why_unreachable(origin_of(artifact, origins)):
        size = round(cost.download_bytes * share)
        steps.append(Step(artifact, missing, "release", size // BYTES_PER_SECOND + 1, size, 2 * size))
    elif missing:
        shared = (1 + len(missing)) / (1 + len(artifact.binaries))
        seconds = round(shared * cost.build_core_seconds / (os.cpu_count() or 1))
        steps.append(Step(artifact, missing, "modules", seconds, disk_bytes=cost.build_disk_bytes))
    return tuple(steps)


def origin_of(artifact: Artifact, origins: Origins) -> str:
    return origins.kubernetes if artifact.name == "kubernetes" else origins.github


def plan(
    wanted: str = "",
    *,
    control_plane: str | None = None,
    dns: bool = False,
    progress: Progress = emit,
    origins: Origins = PUBLIC,
) -> FetchPlan:
    """What is cached, and what would be downloaded or built; fetches nothing. Raises DefinitionError."""
    version = resolve(wanted, progress=progress, origins=origins)
    beside = resolve(control_plane, progress=progress, origins=origins) if control_plane else ""
    chosen = components_of(version, origins, beside)
    return FetchPlan(chosen, tuple(step for need in needs(chosen, dns) for step in _steps(*need, origins)))
