"""Snapshots for the commands that explain them: of a lab here or on another host, or from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.dataplane.core.snapshot import Snapshot

if TYPE_CHECKING:
    from kubewire.hosts.records import RemoteLab

SCRIPT = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@" "$folder/snapshot" >&2
tar -C "$folder/snapshot" -czf - .
"""


def observe(lab: str, folder: Path | None) -> Snapshot:
    """The snapshot in the folder, else a new one of the lab of that name."""
    if folder is None:
        return take(lab)
    from kubewire.snapshot.folder import read_snapshot

    return read_snapshot(folder)


def take(name: str) -> Snapshot:
    """A new snapshot of a lab on this machine; LabError if it isn't up."""
    from kubewire.cluster.api import Api
    from kubewire.lab.lookup import required_record_of
    from kubewire.providers.registry import get_provider
    from kubewire.snapshot.collect import take_snapshot

    record = required_record_of(name)
    provider = get_provider(record.provider)
    with Api(provider.kubeconfig(name)) as api:
        return take_snapshot(provider, record.lab, api, kubernetes=record.kubernetes)


def bring_snapshot(away: RemoteLab) -> Snapshot:
    """Take a snapshot on the lab host and read it in memory; LabError with the host's error."""
    from kubewire.core.errors import LabError
    from kubewire.core.printable import indented
    from kubewire.hosts import remote
    from kubewire.snapshot.archive import PACKED_LIMIT, unpack_snapshot

    command = ["sh", "-c", SCRIPT, "sh", *away.place.module("kubewire", "snapshot", away.lab)]
    done = remote.run(away, command, limit=PACKED_LIMIT)
    if done.code:
        raise LabError(indented(done.err).removeprefix("kubewire: "), where=away.place.name)
    return unpack_snapshot(done.stdout, away.place.name)
