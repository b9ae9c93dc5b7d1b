"""Node objects as kind's look, and cluster DNS as the article shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubewire.core.errors import DefinitionError
from kubewire.core.serialization import decode, encode
from kubewire.providers.netns.agent.nodes import manifest, pod_cidrs
from kubewire.providers.netns.agent_config import Config, Node, load
from kubewire.providers.netns.dns import coredns_manifests

NODE = Node("lab-control-plane", "control-plane", ("172.18.0.2", "fc00::2"), Path("/n"), taint=True)
CONFIG: dict[str, Any] = {
    "kubeconfig": "/k",
    "nodes": [{"name": "w", "role": "worker", "ips": ["172.18.0.3"], "netns": "/run/netns/w"}],
    "pod_subnets": ["10.244.0.0/16"],
    "cni_bin": "/cni",
    "run_dir": "/run/kubewire/agent",
    "kubernetes_version": "v1.37.2",
}


def test_control_plane_node() -> None:
    node = manifest(NODE, ["10.244.0.0/24"], "v1.37.2", 0.0)
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "lab-control-plane"
    assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == ""
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    assert node["spec"]["taints"] == [taint]
    assert node["status"]["addresses"] == [
        {"type": "InternalIP", "address": "172.18.0.2"},
        {"type": "InternalIP", "address": "fc00::2"},
        {"type": "Hostname", "address": "lab-control-plane"},
    ]
    info = node["status"]["nodeInfo"]
    assert info["kubeletVersion"] == "v1.37.2"
    assert info["containerRuntimeVersion"].startswith("kubewire://")


def test_worker_has_neither_role_nor_taint() -> None:
    node = manifest(Node("w", "worker", ("172.18.0.3",), Path("/n")), ["10.244.1.0/24"], "v1.37.2", 0.0)
    assert "taints" not in node["spec"]
    assert not any("node-role" in label for label in node["metadata"]["labels"])


def nodes_in(*subnets: str, count: int = 3) -> Config:
    nodes = [{**CONFIG["nodes"][0], "name": f"n{number}"} for number in range(count)]
    return decode(encode(CONFIG | {"pod_subnets": subnets, "nodes": nodes}), Config)


def test_pod_cidrs_follow_the_nodes_order() -> None:
    config = nodes_in("10.244.0.0/16", "fd00:10:244::/56")
    assert [pod_cidrs(config, node) for node in config.nodes] == [
        ("10.244.0.0/24", "fd00:10:244::/64"),
        ("10.244.1.0/24", "fd00:10:244:1::/64"),
        ("10.244.2.0/24", "fd00:10:244:2::/64"),
    ]


@pytest.mark.parametrize("subnet", ["10.244.0.0/25", "10.244.0.0/23"])
def test_too_small_a_pod_subnet_is_refused(subnet: str) -> None:
    config = nodes_in(subnet)
    with pytest.raises(DefinitionError, match="no /24 for each of 3 nodes"):
        pod_cidrs(config, config.nodes[2])


def test_dns_service_has_the_articles_ports() -> None:
    service = next(m for m in coredns_manifests("10.96.0.10") if m["kind"] == "Service")
    assert (service["metadata"]["namespace"], service["metadata"]["name"]) == ("kube-system", "kube-dns")
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    ports = [(p["name"], p["port"], p["protocol"]) for p in service["spec"]["ports"]]
    assert ports == [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")]


def test_dns_objects_fit_together() -> None:
    found = {m["kind"]: m for m in coredns_manifests("10.96.0.10", replicas=3)}
    deployment, service = found["Deployment"], found["Service"]
    assert deployment["spec"]["replicas"] == 3
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    spec = deployment["spec"]["template"]["spec"]
    assert spec["volumes"][0]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert spec["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    assert found["ConfigMap"]["data"]["Corefile"].count("{") == found["ConfigMap"]["data"]["Corefile"].count(
        "}"
    )
    assert yaml.safe_load(yaml.safe_dump(deployment)) == deployment


def test_config() -> None:
    config = decode(encode(CONFIG), Config)
    assert config.node("w") == config.nodes[0]
    assert config.nodes[0].enter() == ("nsenter", "--net=/run/netns/w", "--")
    assert (config.cluster_dns, config.kubelet, config.rootful) == (None, None, True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"nodes": [{"name": "w"}]}, "role"),
        ({"cni_bin": None}, "cni_bin"),
        ({"nodes": [{"name": "w", "role": "boss", "ips": [], "netns": "/n"}]}, "boss"),
    ],
)
def test_wrong_config_is_named(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(encode(CONFIG | change))
    with pytest.raises(DefinitionError, match=named):
        load(tmp_path / "config.json")
