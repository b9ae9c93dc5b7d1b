"""The kind provider's files in a lab's state folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kubewire.core import paths
from kubewire.core.files import read_record, write_record
from kubewire.core.proc import Origin
from kubewire.providers.base import NodeRecord

FILE = "kind.json"
KUBECONFIG = "kubeconfig"
CONFIG = "kind.yaml"
OWNER = "owner"
OWNER_MOUNT = "/etc/kubewire"
"""Every node has the lab's `owner` folder mounted there: so its cluster is known, whatever died."""
SCHEMA = 1


class ClusterState(Origin, frozen=True):
    """A cluster as `up` made it. `ready` is false until the whole lab is: then it is not kept, unless `kept`
    says that a failed creation's nodes are to be looked into. `pod_network` is the image of its DaemonSet
    kindnet when it became ready.
    """

    lab: str
    kubernetes: str
    image: str
    nodes: tuple[NodeRecord, ...]
    definition: dict[str, Any]
    ready: bool = False
    kept: bool = False
    pod_network: str = ""


def require_here(name: str) -> None:
    """LabError if a cluster's owners can't be seen from here."""
    if found := read(name):
        found.require_seen(f"lab {name} was made", "its cluster is in use", paths.lab_dir(name))


def owner_folder(name: str) -> Path:
    return paths.lab_dir(name) / OWNER


def read(name: str) -> ClusterState | None:
    """The recorded cluster, None where there is none or its record can't be understood.

    UnsafeFileError where it is not this user's own: what it describes must not be touched.
    """
    return read_record(paths.lab_dir(name) / FILE, ClusterState, SCHEMA)


def write(state: ClusterState) -> None:
    write_record(paths.lab_dir(state.lab) / FILE, state, SCHEMA)


def mark_ready(name: str, pod_network: str = "") -> None:
    """From now on the cluster outlives its owners."""
    found = read(name)
    if found and not found.ready:
        write(replace(found, ready=True, pod_network=pod_network))


def exists(name: str) -> bool:
    """Whether this lab has, or once had, a cluster that isn't removed yet."""
    return (paths.lab_dir(name) / FILE).exists() or owner_folder(name).exists()


def remove(name: str) -> bool:
    """Remove the provider's own files; False if there were none. The lab's record stays."""
    folder = paths.lab_dir(name)
    there = exists(name)
    for file in (FILE, KUBECONFIG, CONFIG, f"{KUBECONFIG}.lock"):
        if there:
            (folder / file).unlink(missing_ok=True)
    for place in (folder / OWNER, folder):
        try:
            place.rmdir()
        except OSError:
            continue
    return there
