"""The binaries of a lab: from the cache, else the official release, else built from the Go modules.

`python -m kubewire.kubernetes.binaries 1.37` fetches them and shows the progress.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubewire import paths
from kubewire.errors import HostError, KubewireError
from kubewire.kubernetes import build, store
from kubewire.kubernetes.catalog import (
    CNI,
    CONTROL_PLANE,
    COREDNS,
    COSTS,
    ETCD,
    GO_NEEDED,
    KUBE_PROXY,
    MIB,
    Artifact,
    Origins,
    releases,
)
from kubewire.kubernetes.download import SourceFailed, fetch, unpack, why_unreachable
from kubewire.kubernetes.locks import locked
from kubewire.kubernetes.toolchain import architecture, find_go
from kubewire.kubernetes.versions import Components, components, parse, resolve
from kubewire.kubernetes.workspace import Workspace, sweep, workspace
from kubewire.progress import Progress, emit

PUBLIC = Origins()
BYTES_PER_SECOND = 10 * MIB


@dataclass(frozen=True)
class Binaries:
    """Where every binary of a version lies. `version` is kube-proxy's, which is the lab's (`v1.37.2`)."""

    version: str
    control_plane_version: str
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kube_proxy: Path
    kubectl: Path
    cni_dir: Path
    coredns: Path | None = None


@dataclass(frozen=True)
class Step:
    """What one artifact will take. `seconds` is a rough guess for this machine."""

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
    """What `ensure` would do now."""

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


def plan(
    wanted: str = "", *, dns: bool = False, progress: Progress = emit, origins: Origins = PUBLIC
) -> FetchPlan:
    """What is cached, and what would be downloaded or built; fetches nothing. Raises DefinitionError."""
    version = resolve(wanted, progress=progress, origins=origins)
    chosen = _components(version, origins)
    return FetchPlan(chosen, tuple(step for need in _needs(chosen, dns) for step in _steps(*need, origins)))


def ensure(
    wanted: str = "",
    *,
    dns: bool = False,
    progress: Progress = emit,
    origins: Origins = PUBLIC,
    fresh: bool = False,
) -> Binaries:
    """Have every binary of a version in the cache (`wanted` as in `resolve`) and say where.

    Safe when several processes call it at once. Raises DefinitionError (no such version) and HostError (no
    source gives it, or the disk is too small), with nothing left half-made.
    """
    sweep(progress)
    with workspace(str(parse(wanted)), progress) as space:
        version = resolve(wanted, progress=progress, origins=origins, fresh=fresh, space=space)
        chosen = _components(version, origins)
        if chosen.reason:
            progress("version", chosen.reason)
        for artifact, binaries in _needs(chosen, dns):
            _provide(artifact, binaries, space, progress, origins)
    control_plane = Artifact("kubernetes", chosen.control_plane)
    return Binaries(
        version=version,
        control_plane_version=chosen.control_plane,
        etcd=store.path(Artifact("etcd", ETCD), "etcd"),
        kube_apiserver=store.path(control_plane, "kube-apiserver"),
        kube_controller_manager=store.path(control_plane, "kube-controller-manager"),
        kube_scheduler=store.path(control_plane, "kube-scheduler"),
        kube_proxy=store.path(Artifact("kubernetes", version), KUBE_PROXY),
        kubectl=store.path(control_plane, "kubectl"),
        cni_dir=store.folder(Artifact("cni", CNI)),
        coredns=store.path(Artifact("coredns", COREDNS), "coredns") if dns else None,
    )


def ensure_kube_proxy(wanted: str, *, progress: Progress = emit, origins: Origins = PUBLIC) -> Path:
    """Only the kube-proxy of a version, as `ensure` gets it."""
    sweep(progress)
    with workspace(str(parse(wanted)), progress) as space:
        version = resolve(wanted, progress=progress, origins=origins, space=space)
        artifact = Artifact("kubernetes", version)
        _provide(artifact, (KUBE_PROXY,), space, progress, origins)
    return store.path(artifact, KUBE_PROXY)


Need = tuple[Artifact, tuple[str, ...]]


def _components(version: str, origins: Origins) -> Components:
    whole = not store.missing(Artifact("kubernetes", version), CONTROL_PLANE)
    chosen = components(version, whole=whole, cached=())
    if chosen.reason and not why_unreachable(origins.kubernetes):
        return components(version, whole=True, cached=())
    return components(version, whole=whole, cached=store.complete_versions(CONTROL_PLANE))


def _needs(chosen: Components, dns: bool) -> tuple[Need, ...]:
    kube_proxy, control_plane = (Artifact("kubernetes", v) for v in (chosen.kube_proxy, chosen.control_plane))
    kubernetes: tuple[Need, ...] = (
        ((kube_proxy, kube_proxy.binaries),)
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
    if missing and not why_unreachable(_origin(artifact, origins)):
        size = round(cost.download_bytes * share)
        steps.append(Step(artifact, missing, "release", size // BYTES_PER_SECOND + 1, size, 2 * size))
    elif missing:
        seconds = cost.build_core_seconds // (os.cpu_count() or 1)
        steps.append(Step(artifact, missing, "modules", seconds, disk_bytes=cost.build_disk_bytes))
    return tuple(steps)


def _origin(artifact: Artifact, origins: Origins) -> str:
    return origins.kubernetes if artifact.name == "kubernetes" else origins.github


def _provide(
    artifact: Artifact, binaries: tuple[str, ...], space: Workspace, progress: Progress, origins: Origins
) -> None:
    if not store.missing(artifact, binaries):
        return
    with locked(paths.cache_dir() / "locks" / f"{artifact.key}.lock", artifact.title, progress):
        tried: list[str] = []
        if missing := store.missing(artifact, binaries):
            try:
                _from_release(artifact, missing, space, progress, origins)
            except SourceFailed as failure:
                progress("fetch", f"{artifact.title}: no official release ({failure})")
                tried.append(f"official release: {failure}")
        if missing := store.missing(artifact, binaries):
            try:
                _from_modules(artifact, missing, space, progress)
            except SourceFailed as failure:
                tried.append(f"Go modules: {failure}")
        if not (missing := store.missing(artifact, binaries)):
            return
        raise HostError(
            f"{artifact.title} ({', '.join(missing)}) can't be had. " + ". ".join(tried),
            mend=_mend(artifact),
        )


def _mend(artifact: Artifact) -> str:
    go = ".".join(map(str, GO_NEEDED))
    other = ""
    if artifact.name == "kubernetes":
        minor = artifact.version.rpartition(".")[0].removeprefix("v")
        other = f"ask for {minor}, which becomes its newest patch that can be had; or "
    return (
        f"{other}give this machine a way to the official releases, or Go {go} and a way to a module proxy "
        f"(GOPROXY); or copy {store.folder(artifact)} from a machine that has it"
    )


def _from_release(
    artifact: Artifact, binaries: tuple[str, ...], space: Workspace, progress: Progress, origins: Origins
) -> None:
    if why := why_unreachable(_origin(artifact, origins)):
        raise SourceFailed(why)
    progress("download", f"{artifact.title}: official release")
    unpacked = space.subdirectory(f"unpacked-{artifact.key}")
    for release in releases(artifact, binaries, architecture(), origins):
        file = fetch(release, artifact.key, progress)
        for binary, path in unpack(release, file, unpacked).items():
            store.add(artifact, binary, path, "official release")
        file.unlink(missing_ok=True)


def _from_modules(
    artifact: Artifact, binaries: tuple[str, ...], space: Workspace, progress: Progress
) -> None:
    go = find_go(space, progress)
    for binary, path in build.build(go, artifact, binaries, progress).items():
        store.add(artifact, binary, path, "Go modules")


def main(arguments: list[str] | None = None) -> int:
    """Fetch a version and print where it lies."""
    parser = argparse.ArgumentParser(prog="python -m kubewire.kubernetes.binaries")
    parser.add_argument(
        "version", nargs="?", default="", help="1.34 or v1.34.2; the newest known if left out"
    )
    parser.add_argument("--dns", action="store_true", help="CoreDNS too")
    parser.add_argument("--plan", action="store_true", help="only tell what would be fetched or built")
    options = parser.parse_args(arguments)
    try:
        if options.plan:
            for step in plan(options.version, dns=options.dns, progress=_show).steps:
                print(step)
        else:
            for name, value in vars(ensure(options.version, dns=options.dns, progress=_show)).items():
                print(f"{name}: {value}")
    except KubewireError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _show(step: str, detail: str = "", done: int | None = None, total: int | None = None) -> None:
    share = f" {100 * done // total} %" if done is not None and total else ""
    end = "\r" if share and done != total and sys.stderr.isatty() else "\n"
    print(f"{step}: {detail}{share}", file=sys.stderr, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
