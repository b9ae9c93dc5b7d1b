"""A small cluster for planning and judging, built object by object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.features import Version
from kubewire.verify.plan import Proxied, Scene, ready_pods

NODES = ("lab-control-plane", "lab-worker", "lab-worker2")
Cluster = Callable[..., dict[str, Any]]
MakeScene = Callable[..., Scene]


def _node(index: int, name: str) -> dict[str, Any]:
    addresses = [
        {"type": "InternalIP", "address": f"172.18.0.{index + 2}"},
        {"type": "InternalIP", "address": f"fc00:f853:ccd:e793::{index + 2}"},
    ]
    return {"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": {"addresses": addresses}}


def _pod(number: int, family: str, *, ready: bool = True) -> dict[str, Any]:
    node = 1 + number % 2
    ip = f"10.244.{node}.{number + 2}" if family == "ipv4" else f"fd00:10:244:{node}::{number + 2:x}"
    return {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": f"httpbin-{number}", "uid": f"pod-{number}"},
        "spec": {"nodeName": NODES[node]},
        "status": {
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def _slice(pods: list[dict[str, Any]], family: str) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "default",
            "name": f"httpbin-{family}",
            "labels": {"kubernetes.io/service-name": "httpbin"},
        },
        "addressType": "IPv4" if family == "ipv4" else "IPv6",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        "endpoints": [
            {
                "addresses": [pod["status"]["podIPs"][0]["ip"]],
                "nodeName": pod["spec"]["nodeName"],
                "conditions": {"ready": pod["status"]["conditions"][0]["status"] == "True"},
            }
            for pod in pods
        ],
    }


@pytest.fixture
def cluster() -> Cluster:
    """`cluster(replicas=4, family="ipv4", **spec)`: three nodes, httpbin's Service with that spec, its pods,
    odd ones on lab-worker2 and even ones on lab-worker."""

    def make(replicas: int = 4, family: str = "ipv4", **spec: Any) -> dict[str, Any]:
        ip = "10.96.0.9" if family == "ipv4" else "fd00:10:96::9"
        ports = [{"name": "http", "port": 8000, "nodePort": spec.pop("nodePort", 0)}]
        full = {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec}
        service = {"kind": "Service", "metadata": {"namespace": "default", "name": "httpbin"}, "spec": full}
        pods = [_pod(number, family) for number in range(replicas)]
        nodes = [_node(index, name) for index, name in enumerate(NODES)]
        return {"kind": "List", "items": [*nodes, service, _slice(pods, family), *pods]}

    return make


@pytest.fixture
def make_scene(cluster: Cluster) -> MakeScene:
    """`make_scene(mode=…, config={…}, **as for cluster)`."""

    def make(mode: str = "iptables", config: dict[str, Any] | None = None, **spec: Any) -> Scene:
        document = {
            "kind": "KubeProxyConfiguration",
            "mode": mode,
            "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56",
        }
        proxy = ProxyConfig.from_mapping({**document, **(config or {})})
        objects = cluster(**spec)
        nodes = tuple(Proxied(name, proxy, Version(1, 37, 2).gated(proxy.feature_gates)) for name in NODES)
        return Scene(ClusterState.from_list(objects), nodes, ready_pods(objects))

    return make
