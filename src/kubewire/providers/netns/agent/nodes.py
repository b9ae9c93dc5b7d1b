"""Node objects and their Leases, and their renewal.

Source: kubelet's registration (nodestatus setters, kube-node-lease) and kind's labels and taint.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from kubewire import __version__
from kubewire.cluster.api import Api, ApiError
from kubewire.cluster.readiness import is_ready
from kubewire.core.errors import DefinitionError
from kubewire.providers.netns.agent.status import timestamp
from kubewire.providers.netns.agent_config import Config, Node

log = logging.getLogger(__name__)

Json = dict[str, Any]
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_SECONDS, RENEW_SECONDS, STATUS_SECONDS = 40, 10.0, 60.0
KUBELET_PORT = 10250
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def pod_cidrs(config: Config, node: Node) -> tuple[str, ...]:
    """The node's pod CIDRs: of each pod subnet the /24 (IPv6: /64) with the node's index in the lab.

    kube-controller-manager would allocate the same ones, but it loses a CIDR when it sees a node twice before
    its cache is updated. It accepts CIDRs that the Node has already (range_allocator.go, occupyCIDRs).
    """
    place = config.nodes.index(node)
    found = []
    for subnet in map(ip_network, config.pod_subnets):
        length = 24 if subnet.version == 4 else 64
        if subnet.prefixlen > length or place >= 1 << (length - subnet.prefixlen):
            raise DefinitionError(
                f"the pod subnet {subnet} has no /{length} for each of {len(config.nodes)} nodes",
                hint="give the lab a larger podSubnet",
            )
        first = int(subnet.network_address) + (place << (subnet.max_prefixlen - length))
        found.append(f"{type(subnet.network_address)(first)}/{length}")
    return tuple(found)


def manifest(node: Node, cidrs: Sequence[str], kubernetes_version: str, now: float) -> Json:
    """The Node object as it is registered, its status included."""
    arch = architecture()
    labels = {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
    }
    if node.role == "control-plane":
        labels |= {_CONTROL_PLANE: "", "node.kubernetes.io/exclude-from-external-load-balancers": ""}
    taints = [{"key": _CONTROL_PLANE, "effect": "NoSchedule"}] if node.taint else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {
            "providerID": f"kubewire://netns/{node.name}",
            "podCIDR": cidrs[0],
            "podCIDRs": list(cidrs),
            **({"taints": taints} if taints else {}),
        },
        "status": status(node, kubernetes_version, now),
    }


def status(node: Node, kubernetes_version: str, now: float) -> Json:
    """A ready node's status, with kubewire as the container runtime."""
    resources = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 1024}Ki",
        "pods": "110",
    }
    addresses = [{"type": "InternalIP", "address": ip} for ip in node.ips]
    return {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [*addresses, {"type": "Hostname", "address": node.name}],
        "conditions": [
            *(_condition(kind, "False", reason, message, now) for kind, reason, message in _PRESSURES),
            _condition("Ready", "True", "KubeletReady", "the kubewire node agent is ready", now),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": _line("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": f"kubewire://{__version__}",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": kubernetes_version,
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": _os_name(),
            "systemUUID": "",
        },
    }


def register(api: Api, config: Config, node: Node) -> tuple[str, ...]:
    """Create the Node, or update the existing one; its pod CIDRs."""
    body = manifest(node, pod_cidrs(config, node), config.kubernetes_version, time.time())
    try:
        created = api.post(NODES, body)
    except ApiError as error:
        if error.status != 409:
            raise
        created = api.patch(f"{NODES}/{node.name}", {"metadata": {"labels": body["metadata"]["labels"]}})
        refresh(api, config, node)
    return tuple(created["spec"]["podCIDRs"])


def refresh(api: Api, config: Config, node: Node) -> None:
    """Write the node's status again."""
    api.patch(f"{NODES}/{node.name}/status", {"status": status(node, config.kubernetes_version, time.time())})


def renew(api: Api, node: Node) -> None:
    """Renew the node's Lease, or create it."""
    spec = {
        "holderIdentity": node.name,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    try:
        api.patch(f"{LEASES}/{node.name}", {"spec": spec})
    except ApiError as error:
        if error.status != 404:
            raise
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        api.post(LEASES, {**kind, "metadata": {"name": node.name}, "spec": spec})


def beat(api: Api, config: Config, stop: threading.Event) -> None:
    """Renew every node's Lease and status until `stop`. After an outage, in which the node lifecycle
    controller set Ready to Unknown, write the status at once, as kubelet does.
    """
    refreshed = time.monotonic()
    while not stop.is_set():
        due = time.monotonic() - refreshed > STATUS_SECONDS
        for node in config.nodes:
            try:
                renew(api, node)
                if due or not is_ready(api.get(f"{NODES}/{node.name}")):
                    refresh(api, config, node)
            except ApiError as error:
                log.warning("node %s could not be refreshed: %s", node.name, error)
        if due:
            refreshed = time.monotonic()
        stop.wait(RENEW_SECONDS)


def _condition(kind: str, holds: str, reason: str, message: str, now: float) -> Json:
    return {
        "type": kind,
        "status": holds,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": timestamp(now),
        "lastTransitionTime": timestamp(_STARTED),
    }


_STARTED = time.time()


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
