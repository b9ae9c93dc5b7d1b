"""Fetch a snapshot of a lab on another host."""

from __future__ import annotations

from kubewire.core.errors import LabError
from kubewire.core.printable import indented
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.hosts import remote
from kubewire.hosts.records import RemoteLab
from kubewire.snapshot.archive import PACKED_LIMIT, unpack_snapshot

SCRIPT = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@" "$folder/snapshot" >&2
tar -C "$folder/snapshot" -czf - .
"""


def bring_snapshot(away: RemoteLab) -> Snapshot:
    """Take a snapshot on the lab host and read it in memory; LabError with the host's error."""
    command = ["sh", "-c", SCRIPT, "sh", *away.place.module("kubewire", "snapshot", away.lab)]
    done = remote.run(away, command, limit=PACKED_LIMIT)
    if done.code:
        raise LabError(indented(done.err).removeprefix("kubewire: "), where=away.place.name)
    return unpack_snapshot(done.stdout, away.place.name)
