"""On a lab host: add Kubernetes binaries from another machine's cache to this one's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from kubewire.app.steps.outcome import Outcome
from kubewire.binaries import store
from kubewire.binaries.catalog import Artifact
from kubewire.binaries.toolchain import architecture
from kubewire.core import paths
from kubewire.core.errors import HostError
from kubewire.core.locks import locked
from kubewire.core.progress import emit
from kubewire.providers.base import Change

Wanted = Sequence[tuple[str, str, Sequence[str]]]
"""(artifact's name, version, binaries)."""
Shipped = Sequence[tuple[str, str, str, str]]
"""(artifact's name, version, binary, SHA-256)."""


def missing_binaries(wanted: Wanted) -> Outcome:
    """The binaries that this cache lacks, this machine's architecture, and the folder to send them to."""
    found = [
        [name, version, list(store.missing(Artifact(name, version), tuple(binaries)))]  # type: ignore[arg-type]
        for name, version, binaries in wanted
    ]
    return Outcome(
        facts={
            "missing": [entry for entry in found if entry[2]],
            "architecture": architecture(),
            "incoming": str(_incoming()),
        }
    )


def adopt_binaries(shipped: Shipped) -> Outcome:
    """Add the files in the incoming folder to the cache; HostError for a damaged file."""
    changes = []
    try:
        for name, version, binary, digest in shipped:
            artifact = Artifact(name, version)  # type: ignore[arg-type]
            file = _incoming() / f"{artifact.key}-{binary}"
            if store.sha256(file) != digest:
                raise HostError("it arrived damaged", where=str(file), hint="run the command again")
            with locked(paths.cache_dir() / "locks" / f"{artifact.key}.lock", artifact.title, emit):
                store.add(artifact, binary, file, "another machine's cache")
            changes.append(Change(artifact.title, f"{binary} brought"))
    finally:
        shutil.rmtree(_incoming(), ignore_errors=True)
    return Outcome(changes)


def _incoming() -> Path:
    return paths.cache_dir() / "incoming"
