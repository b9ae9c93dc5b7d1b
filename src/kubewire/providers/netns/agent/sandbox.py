"""A pod's sandbox: its network namespace with the CNI's interface, its folders, its volumes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubewire.core.errors import KubewireError
from kubewire.core.files import remove_tree
from kubewire.providers.netns import cgroups, limits
from kubewire.providers.netns.agent import cni, namespaces, rootfs, volumes
from kubewire.providers.netns.agent.context import Machine
from kubewire.providers.netns.agent.environment import BASE, variables
from kubewire.providers.netns.agent.images import Program
from kubewire.providers.netns.agent.process import Launch
from kubewire.providers.netns.agent_config import Node

_SYSCTLS = {"ipv4/ip_unprivileged_port_start": "0"}
_SYSCTLS_V6 = {
    f"ipv6/conf/{where}/{key}": "0" for where in ("all", "default") for key in ("disable_ipv6", "accept_dad")
}


@dataclass
class Sandbox:
    """One pod's sandbox; `attachment` is None for a pod in its node's own network."""

    machine: Machine
    node: Node
    pod: Mapping[str, Any]
    uid: int
    netns: Path
    folder: Path
    attachment: cni.Attachment | None
    volumes: Mapping[str, Path]
    cgroups: tuple[Path, ...] = ()

    @classmethod
    def open(cls, machine: Machine, node: Node, pod: Mapping[str, Any]) -> Sandbox:
        """Create it; on failure nothing is left, and the KubewireError says what went wrong."""
        identity = pod["metadata"]["uid"]
        folder = machine.config.run_dir / "pods" / identity
        box = cls(machine, node, pod, machine.next_uid(), node.netns, folder, None, {})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            box.cgroups = cgroups.limit(
                machine.cgroups, identity, processes=limits.PROCESSES, memory=limits.memory(pod)
            )
            box.volumes = volumes.prepare(machine.api, pod, folder / "volumes")
            if not pod["spec"].get("hostNetwork"):
                box.netns = _network_namespace(identity, machine.ipv6)
                box.attachment = box._attach_as_before()
        except (KubewireError, OSError, KeyError, ValueError):
            box.close()
            raise
        return box

    @property
    def ips(self) -> tuple[str, ...]:
        return self.attachment.ips if self.attachment else self.node.ips

    @property
    def hostname(self) -> str:
        return hostname(self.pod, self.node)

    def reattach(self) -> None:
        """Give the pod a new interface with its old addresses, after its veth was lost."""
        if self.attachment is not None:
            ips = self.attachment.ips
            self._detach()
            self.attachment = self._attach(ips)

    def map_ports(self) -> None:
        """Make the rules for its host ports anew."""
        if self.attachment is not None:
            self.machine.cni.map_ports(
                self.node,
                self.machine.cidrs[self.node.name],
                self.pod["metadata"]["uid"],
                self.netns,
                self.attachment,
                port_mappings=cni.port_mappings(self.pod),
            )

    def close(self) -> None:
        """Remove all of it; missing parts are fine."""
        if self.netns != self.node.netns:
            with suppress(KubewireError):
                self._detach()
            with suppress(KubewireError):
                namespaces.delete(self.netns.name)
        for folder in self.cgroups:
            cgroups.remove(folder)
        remove_tree(self.folder)

    def launch(self, container: Mapping[str, Any], program: Program, log: Path) -> Launch:
        """Prepare the container's root folder; how to start its process."""
        mounts = [
            *rootfs.host_mounts(program.paths),
            *volumes.mounts(container, self.volumes),
        ]
        place = self.folder / "containers" / container["name"]
        remove_tree(place)
        etc = rootfs.etc_files(
            hostname=self.hostname,
            uid=self.uid,
            ips=self.ips,
            nameserver=None
            if self.pod["spec"].get("dnsPolicy") == "Default"
            else self.machine.config.cluster_dns,
            namespace=self.pod["metadata"]["namespace"],
        )
        root = place / "root"
        api = self.machine.api
        environment = {
            **BASE,
            **self.machine.service_variables(),
            "HOSTNAME": self.hostname,
            **program.environment,
            **variables(api, self.pod, container),
        }
        return Launch(
            argv=program.argv,
            environment=environment,
            netns=self.netns,
            root=root,
            mounts=tuple(rootfs.build(root, etc, mounts)),
            uid=self.uid,
            log=log,
            rootful=self.machine.config.rootful,
            cgroups=self.cgroups,
            processes=limits.user_processes(self.machine.config.rootful),
            workdir=container.get("workingDir") or "/",
        )

    def _attach_as_before(self) -> cni.Attachment:
        """Attach it, with the addresses that the pod had under a previous agent if they are free."""
        had = tuple(entry["ip"] for entry in self.pod.get("status", {}).get("podIPs", []))
        if had:
            with suppress(KubewireError):
                return self._attach(had)
            self._detach()
        return self._attach()

    def _attach(self, ips: tuple[str, ...] = ()) -> cni.Attachment:
        cidrs, mappings = self.machine.cidrs[self.node.name], cni.port_mappings(self.pod)
        return self.machine.cni.add(
            self.node, cidrs, self.pod["metadata"]["uid"], self.netns, port_mappings=mappings, ips=ips
        )

    def _detach(self) -> None:
        cidrs, mappings = self.machine.cidrs[self.node.name], cni.port_mappings(self.pod)
        self.machine.cni.delete(
            self.node, cidrs, self.pod["metadata"]["uid"], self.netns, port_mappings=mappings
        )


def hostname(pod: Mapping[str, Any], node: Node) -> str:
    """The pod's host name: its own, or its node's if it shares the node's network."""
    if pod["spec"].get("hostNetwork"):
        return node.name
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:63].rstrip("-.")


def _network_namespace(identity: str, ipv6: bool) -> Path:
    name = f"{namespaces.POD_PREFIX}{Path(identity).name}"
    namespaces.delete(name)
    return namespaces.create(name, {**_SYSCTLS, **(_SYSCTLS_V6 if ipv6 else {})})
