"""A snapshot of a lab on another host, brought here."""

from __future__ import annotations

import io
from pathlib import Path

from kubewire.errors import LabError
from kubewire.hosts import far
from kubewire.hosts.records import Away
from kubewire.snapshot.archive import read_tar
from kubewire.snapshot.model import Snapshot

SCRIPT = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@" "$folder/snapshot" >&2
tar -C "$folder/snapshot" -cf - .
"""


def bring_snapshot(away: Away) -> Snapshot:
    """Take a snapshot over there and read it here; LabError with what went wrong there."""
    command = ["sh", "-c", SCRIPT, "sh", *away.place.module("kubewire", "snapshot", away.lab)]
    done = far.run(away, command)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("kubewire: ")
        raise LabError(said, where=away.place.name)
    return read_tar(io.BytesIO(done.stdout), Path(f"{away.place.name}:{away.lab}"))
