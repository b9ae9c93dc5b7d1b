"""The node agent's configuration: the nodes, the paths of the tools, and the files that it may write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from kubewire.core.errors import DefinitionError
from kubewire.core.serialization import decode

POD_NETWORK = "kindnet"
"""The name of the pods' network in CNI's configurations."""


class Node(Struct, frozen=True):
    """One node: its addresses, its network namespace, its mount namespace (None: the agent's own)."""

    name: str
    role: Literal["control-plane", "worker"]
    ips: tuple[str, ...]
    netns: Path
    mountns: Path | None = None
    taint: bool = False

    def enter(self) -> tuple[str, ...]:
        """The argv prefix that runs a command on this node."""
        mount = (f"--mount={self.mountns}",) if self.mountns else ()
        return ("nsenter", f"--net={self.netns}", *mount, "--")


class KubeletTls(Struct, frozen=True):
    """PEM files: the serving certificate and its key, and the authority that signs allowed clients."""

    cert: Path
    key: Path
    client_ca: Path


class Config(Struct, frozen=True):
    kubeconfig: Path
    nodes: tuple[Node, ...]
    pod_subnets: tuple[str, ...]
    cni_bin: Path
    run_dir: Path
    kubernetes_version: str
    kubelet: KubeletTls | None = None
    cluster_dns: str | None = None
    coredns: Path | None = None
    rootful: bool = True

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)


def load(path: Path) -> Config:
    """Read the JSON file that the sandbox's plan has; DefinitionError names what is wrong in it."""
    try:
        return decode(path.read_bytes(), Config)
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"the node agent's configuration can't be read: {error}", where=str(path)
        ) from error
