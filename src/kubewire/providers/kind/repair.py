"""Repairs of one node: kube-proxy restarted after its rules are removed, pods' routes and links restored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from kubewire.cluster.api import Api
from kubewire.cluster.readiness import is_ready
from kubewire.core.errors import LabError
from kubewire.providers.kind.node import CLEANUP, LOOK, REPAIR, script

SECONDS = 60.0
POLL = 0.3
PODS = "/api/v1/namespaces/kube-system/pods"


def restart_kube_proxy(kubeconfig: Path, node: str) -> None:
    """Stop the node's kube-proxy, let it clean up after itself, delete its pod and wait for the next one."""
    script(node, CLEANUP)
    with Api(kubeconfig) as api:
        old = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in _proxies(api, node)}
        for name in old.values():
            api.delete(f"{PODS}/{name}", gracePeriodSeconds=0)
        deadline = time.monotonic() + SECONDS
        while not any(pod["metadata"]["uid"] not in old and is_ready(pod) for pod in _proxies(api, node)):
            if time.monotonic() > deadline:
                raise LabError(f"kube-proxy did not come back within {SECONDS:.0f} s", where=node)
            time.sleep(POLL)


def repair_network(kubeconfig: Path, node: str, *, check: bool = False) -> list[str]:
    """Descriptions of the routes and veth pairs restored on that node, with `check` only planned."""
    with Api(kubeconfig) as api:
        items = api.get("/api/v1/nodes")["items"]
    return script(node, LOOK if check else REPAIR, *wanted(items, node)).splitlines()


def wanted(nodes: list[Mapping[str, Any]], here: str) -> list[str]:
    """`CIDR=GATEWAY` for every pod CIDR of the other nodes, by the InternalIP of the same family."""
    found = []
    for node in nodes:
        if node["metadata"]["name"] == here:
            continue
        addresses = node.get("status", {}).get("addresses", ())
        internal = [each["address"] for each in addresses if each["type"] == "InternalIP"]
        for cidr in node.get("spec", {}).get("podCIDRs", ()):
            version = ip_network(cidr).version
            found += [f"{cidr}={ip}" for ip in internal if ip_address(ip).version == version][:1]
    return found


def _proxies(api: Api, node: str) -> list[Mapping[str, Any]]:
    selector = {"labelSelector": "k8s-app=kube-proxy", "fieldSelector": f"spec.nodeName={node}"}
    return list(api.get(PODS, **selector)["items"])
