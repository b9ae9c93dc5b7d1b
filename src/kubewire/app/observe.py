"""Snapshots for the commands that explain them: of a lab, or from a folder."""

from __future__ import annotations

from pathlib import Path

from kubewire.dataplane.core.snapshot import Snapshot


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
