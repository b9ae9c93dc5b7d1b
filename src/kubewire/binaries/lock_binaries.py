"""`make lock-binaries`: fill binaries.lock and go.sum, on a machine that reaches the sources of their files.

An existing hash is compared with the published one and never replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from kubewire.binaries import build, hashes, sums
from kubewire.binaries.catalog import (
    CNI,
    COMPLETE,
    CONTAINERD,
    COREDNS,
    ETCD,
    KIND,
    KUBE_PROXY,
    KUBE_PROXY_ONLY,
    NODE_BINARIES,
    PUBLIC,
    Artifact,
    Origins,
    Release,
    recipe,
    releases,
)
from kubewire.binaries.download import published_sha256
from kubewire.binaries.hashes import Entry
from kubewire.binaries.toolchain import ARCHITECTURES, find_go
from kubewire.binaries.web import SourceFailed, require_reachable
from kubewire.binaries.workspace import workspace
from kubewire.core import console
from kubewire.core.errors import KubewireError
from kubewire.core.files import write_atomically
from kubewire.core.progress import Progress

AT_ONCE = 8
BESIDE = (
    Artifact("etcd", ETCD),
    Artifact("cni", CNI),
    Artifact("coredns", COREDNS),
    Artifact("kind", KIND),
    Artifact("containerd", CONTAINERD),
)


def artifacts() -> Iterator[Artifact]:
    """Everything that kubewire knows a version of."""
    for version in (*KUBE_PROXY_ONLY.values(), *COMPLETE.values()):
        yield Artifact("kubernetes", version)
    yield from BESIDE


def official(origins: Origins = PUBLIC) -> Iterator[tuple[Entry, Release]]:
    """Every official file that may be fetched, as an entry without a hash, and its source."""
    for artifact in artifacts():
        binaries = (*artifact.binaries, *(NODE_BINARIES if artifact.name == "kubernetes" else ()))
        for arch in ARCHITECTURES.values():
            for release in releases(artifact, binaries, arch, origins):
                yield Entry(artifact.name, artifact.version, arch, release.path), release


def filled(origins: Origins, progress: Progress) -> tuple[list[Entry], list[str]]:
    """The entries with the hashes that their hosts publish, and the errors, a line each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(partial(_filled, progress), official(origins)))
    return [entry for entry, _ in found], list(dict.fromkeys(why for _, why in found if why))


def _filled(progress: Progress, item: tuple[Entry, Release]) -> tuple[Entry, str]:
    entry, release = item
    entry = replace(entry, sha256=hashes.pinned(entry.path))
    try:
        require_reachable(release.url.removesuffix(release.path))
        published = published_sha256(release)
    except SourceFailed as failure:
        return entry, str(failure)
    if entry.sha256 and entry.sha256 != published:
        return entry, f"{release.url} is published with another checksum than binaries.lock holds"
    progress("lock", release.filename)
    return replace(entry, sha256=published), ""


def modules(progress: Progress) -> frozenset[str]:
    """The go.sum lines of every version; SourceFailed where a module differs or can't be fetched."""
    found: set[str] = set()
    with workspace("lock", progress) as space:
        go = find_go(space, progress)
        for weak in go.unverified():
            raise SourceFailed(f"go.sum stays as it is: {weak}")
        for artifact in artifacts():
            progress("lock", f"{artifact.title}: Go modules")
            packages = recipe(artifact).packages
            only_proxy = artifact.version in KUBE_PROXY_ONLY.values()
            wanted = [packages[KUBE_PROXY]] if only_proxy else list(packages.values())
            directory, _ = build.fetch_modules(go, artifact, wanted, progress)
            found |= sums.parse((directory / "go.sum").read_text())
    return frozenset(found)


def main(origins: Origins = PUBLIC) -> int:
    """Exit code 1 where a hash is missing or differs."""

    def say(step: str, detail: str = "", *_: object, **__: object) -> None:
        console.err(f"{step}: {detail}")

    try:
        entries, problems = filled(origins, say)
        write_atomically(hashes.LOCK, hashes.text(entries), mode=0o644)
        try:
            write_atomically(sums.SHIPPED, sums.text(modules(say)), mode=0o644)
        except SourceFailed as failure:
            problems.append(str(failure))
    except KubewireError as error:
        console.err(str(error))
        return error.exit_code
    console.out(f"{sum(bool(entry.sha256) for entry in entries)} of {len(entries)} files have a hash")
    for problem in problems:
        console.out(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
