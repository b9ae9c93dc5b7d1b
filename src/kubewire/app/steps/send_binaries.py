"""On the controller: send Kubernetes binaries from this machine's cache to a lab host that lacks them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.remote import perform_there
from kubewire.binaries import store
from kubewire.binaries.catalog import Artifact
from kubewire.binaries.fetchplan import plan
from kubewire.binaries.toolchain import architecture
from kubewire.core import paths, progress
from kubewire.core.errors import HostError
from kubewire.core.locks import locked
from kubewire.core.paths import cache_dir
from kubewire.core.progress import emit
from kubewire.hosts import scripts
from kubewire.hosts.provision import checked
from kubewire.hosts.ssh_target import Run, SshTarget
from kubewire.lab.loading import load_lab
from kubewire.providers.base import Change


def ship_binaries(
    run: Run, place: SshTarget, lab: str, overrides: dict[str, object], *, check: bool = False
) -> dict[str, Any]:
    """Send what the host lacks and this cache has, if the architecture is the same; the task result.

    One process at a time sends to a host. Everything else the host downloads or builds when it needs it.
    """
    loaded = load_lab(lab, overrides)
    planned = plan(loaded.kubernetes, control_plane=loaded.control_plane, dns=loaded.dns)
    if not planned.cached:
        return Outcome(message="this machine's cache doesn't hold them all").result()
    wanted = [[step.artifact.name, step.artifact.version, list(step.binaries)] for step in planned.steps]
    lock = cache_dir() / "locks" / f"to-{quote(place.name, safe='')}.lock"
    with locked(lock, f"sending to {place.name}", progress.emit):
        return _send(run, place, wanted, check=check)


def _send(run: Run, place: SshTarget, wanted: list[list[Any]], *, check: bool) -> dict[str, Any]:
    there = perform_there(run, place, "missing_binaries", {"wanted": wanted})
    if there.get("failed") or not there["missing"] or there["architecture"] != architecture():
        return there
    if check:
        changes = [
            Change(Artifact(name, version).title, f"{binary} brought")
            for name, version, binaries in there["missing"]
            for binary in binaries
        ]
        return there | Outcome(changes).result(check=True)
    shipped = []
    lacking = {(name, version, binary) for name, version, binaries in there["missing"] for binary in binaries}
    for name, version, binaries in wanted:
        artifact = Artifact(name, version)
        for binary in binaries:
            if (name, version, binary) not in lacking:
                continue
            file = store.path(artifact, binary)
            progress.emit("host", f"{place.name}: {binary} {version}")
            target = (there["incoming"], f"{artifact.key}-{binary}")
            checked(run, place.name, scripts.RECEIVE, target, file.read_bytes())
            shipped.append([name, version, binary, store.sha256(file)])
    return perform_there(run, place, "adopt_binaries", {"shipped": shipped})


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
