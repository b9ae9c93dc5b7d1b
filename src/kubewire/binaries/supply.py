"""The binaries of a lab: from the cache, else the official release, else built from the Go modules.

`python -m kubewire.binaries.supply 1.37` fetches them and shows the progress.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from kubewire.binaries import build, store
from kubewire.binaries.catalog import (
    CNI,
    COREDNS,
    ETCD,
    GO_NEEDED,
    KUBE_PROXY,
    PUBLIC,
    Artifact,
    Origins,
    releases,
)
from kubewire.binaries.download import fetch, unpack
from kubewire.binaries.fetchplan import FetchPlan, Step, components_of, needs, origin_of, plan
from kubewire.binaries.resolving import resolve
from kubewire.binaries.toolchain import architecture, find_go
from kubewire.binaries.versions import parse
from kubewire.binaries.web import Refused, SourceFailed, require_reachable
from kubewire.binaries.workspace import Workspace, sweep, workspace
from kubewire.core import console, paths
from kubewire.core.errors import HostError, KubewireError
from kubewire.core.locks import locked
from kubewire.core.progress import WARNING, Progress, emit

__all__ = ["Binaries", "FetchPlan", "Step", "ensure", "ensure_artifact", "ensure_kube_proxy", "plan"]


@dataclass(frozen=True)
class Binaries:
    """The path of every binary of a version. `version` is kube-proxy's, which is the lab's (`v1.37.2`)."""

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


def ensure(
    wanted: str = "",
    *,
    control_plane: str | None = None,
    dns: bool = False,
    node: bool = False,
    progress: Progress = emit,
    origins: Origins = PUBLIC,
    fresh: bool = False,
) -> Binaries:
    """Put every binary of a version in the cache (both versions as in `resolve`) and return the paths.

    With `node`, kubelet and kubeadm too, which lie beside kube-proxy: one build is far cheaper than two.

    Safe if several processes call it at once. Raises DefinitionError (no such version) and HostError (no
    source gives it, or the disk is too small), with nothing half-written.
    """
    sweep(progress)
    with workspace(str(parse(wanted)), progress) as space:
        version = resolve(wanted, progress=progress, origins=origins, fresh=fresh, space=space)
        beside = control_plane and resolve(control_plane, progress=progress, origins=origins, space=space)
        chosen = components_of(version, origins, beside or "")
        if chosen.reason:
            progress("version", chosen.reason)
        for artifact, binaries in needs(chosen, dns, node):
            _provide(artifact, binaries, space, progress, origins)
    beside_it = Artifact("kubernetes", chosen.control_plane)
    return Binaries(
        version=version,
        control_plane_version=chosen.control_plane,
        etcd=store.path(Artifact("etcd", ETCD), "etcd"),
        kube_apiserver=store.path(beside_it, "kube-apiserver"),
        kube_controller_manager=store.path(beside_it, "kube-controller-manager"),
        kube_scheduler=store.path(beside_it, "kube-scheduler"),
        kube_proxy=store.path(Artifact("kubernetes", version), KUBE_PROXY),
        kubectl=store.path(beside_it, "kubectl"),
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


def ensure_artifact(
    artifact: Artifact,
    binaries: tuple[str, ...],
    *,
    progress: Progress = emit,
    origins: Origins = PUBLIC,
) -> Path:
    """Only these binaries of one artifact, fetched like in `ensure`; returns their folder."""
    if store.missing(artifact, binaries):
        sweep(progress)
        with workspace(artifact.key, progress) as space:
            _provide(artifact, binaries, space, progress, origins)
    return store.folder(artifact)


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
                step = WARNING if isinstance(failure, Refused) else "fetch"
                progress(step, f"{artifact.title}: no official release ({failure})")
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
            hint=_hint(artifact),
        )


def _hint(artifact: Artifact) -> str:
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
    require_reachable(origin_of(artifact, origins))
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
    """Fetch a version and print its paths."""
    parser = argparse.ArgumentParser(prog="python -m kubewire.binaries.supply")
    parser.add_argument(
        "version", nargs="?", default="", help="1.34 or v1.34.2; the newest known if left out"
    )
    parser.add_argument("--dns", action="store_true", help="CoreDNS too")
    parser.add_argument("--node", action="store_true", help="what a kind node image holds too")
    parser.add_argument("--plan", action="store_true", help="only print what would be fetched or built")
    options = parser.parse_args(arguments)
    show = _Terminal()
    try:
        if options.plan:
            for step in plan(options.version, dns=options.dns, progress=show).steps:
                console.out(str(step))
        else:
            found = ensure(options.version, dns=options.dns, node=options.node, progress=show)
            for name, value in vars(found).items():
                console.out(f"{name}: {value}")
    except KubewireError as error:
        console.err(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


class _Terminal:
    """A line that is rewritten on a terminal; elsewhere a line for each 10 %."""

    def __init__(self) -> None:
        self._last: tuple[str, str | int] = ("", "")

    def __call__(
        self, step: str, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        if done is None or not total:
            console.err(f"{step}: {detail}")
            return
        live = sys.stderr.isatty()
        current = (step, 10 * done // total)
        if live or current != self._last:
            text = f"{step}: {detail} {100 * done // total} %"
            console.rewritten(text, last=done >= total) if live else console.err(text)
        self._last = current


if __name__ == "__main__":
    sys.exit(main())
