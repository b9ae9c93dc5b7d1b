"""The agent's configuration: the nodes, the paths of the tools, and the files that it may write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal

from kubewire.core.errors import DefinitionError


@dataclass(frozen=True)
class Node:
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


@dataclass(frozen=True)
class KubeletTls:
    """PEM files: the serving certificate and its key, and the authority that signs allowed clients."""

    cert: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True)
class Config:
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


def parse(data: dict[str, Any]) -> Config:
    """The configuration in `data` (camelCase keys); DefinitionError names the key that is wrong."""
    try:
        tls = data.get("kubelet")
        return Config(
            kubeconfig=Path(data["kubeconfig"]),
            nodes=tuple(_node(entry) for entry in data["nodes"]),
            pod_subnets=tuple(str(ip_network(subnet)) for subnet in data["podSubnets"]),
            cni_bin=Path(data["cniBin"]),
            run_dir=Path(data["runDir"]),
            kubernetes_version=str(data["kubernetesVersion"]),
            kubelet=tls and KubeletTls(Path(tls["cert"]), Path(tls["key"]), Path(tls["clientCA"])),
            cluster_dns=str(ip_address(data["clusterDNS"])) if data.get("clusterDNS") else None,
            coredns=Path(data["coredns"]) if data.get("coredns") else None,
            rootful=bool(data.get("rootful", True)),
        )
    except KeyError as error:
        raise DefinitionError(f"the node agent's configuration lacks the key {error}") from error
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"the node agent's configuration is wrong: {error}") from error


def load(path: Path) -> Config:
    """Read and parse the JSON file at `path`."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"the node agent's configuration can't be read: {error}", where=str(path)
        ) from error
    return parse(data)


def _node(entry: dict[str, Any]) -> Node:
    if entry["role"] not in ("control-plane", "worker"):
        raise ValueError(f"role {entry['role']!r} is neither control-plane nor worker")
    return Node(
        name=entry["name"],
        role=entry["role"],
        ips=tuple(str(ip_address(ip)) for ip in entry["ips"]),
        netns=Path(entry["netns"]),
        mountns=Path(entry["mountns"]) if entry.get("mountns") else None,
        taint=bool(entry.get("taint", False)),
    )
