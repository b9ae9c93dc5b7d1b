"""What a lab, or a snapshot folder, shows now: for the commands that explain it."""

from __future__ import annotations

from pathlib import Path

from kubewire.core.errors import DefinitionError
from kubewire.dataplane.core.snapshot import Snapshot


def observe(lab: str, folder: Path | None, command: str) -> Snapshot:
    """A new snapshot of the lab, or the one in the folder; DefinitionError unless exactly one is named."""
    if bool(lab) == (folder is not None):
        raise DefinitionError(
            f"{command} needs a lab or --snapshot DIR, one of the two", mend=f"kubewire {command} --help"
        )
    if folder is not None:
        from kubewire.snapshot.folder import read_snapshot

        return read_snapshot(folder)
    return take(lab)


def take(lab: str) -> Snapshot:
    """A new snapshot of a lab on this machine; LabError for one that isn't up."""
    from kubewire.cluster.api import Api
    from kubewire.lab.lookup import required_record
    from kubewire.providers.registry import get_provider
    from kubewire.snapshot.collect import take_snapshot

    record = required_record(lab)
    provider = get_provider(record.provider)
    with Api(provider.kubeconfig(record.lab.name)) as api:
        return take_snapshot(provider, record.lab, api, kubernetes=record.kubernetes)
