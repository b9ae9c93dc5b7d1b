"""Build the plan of a sandbox from a lab's definition: pure, except for generated keys."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from kubewire.core.serialization import encode
from kubewire.lab.kubeproxy import kube_proxy_config
from kubewire.lab.schema import Lab
from kubewire.providers.netns import control_plane, topology
from kubewire.providers.netns.agent_config import Config, KubeletTls, Node
from kubewire.providers.netns.control_plane import API_PORT, KUBECONFIGS, PKI, Binaries, Credentials
from kubewire.providers.netns.plan import (
    AGENT,
    Component,
    File,
    NodePlan,
    Plan,
    component_environment,
    namespace_path,
    pin_path,
)

AGENT_CONFIG = f"{AGENT}/config.json"


@dataclass(frozen=True)
class Tools:
    """Paths outside the sandbox that the plan refers to."""

    binaries: Binaries
    cni: Path
    coredns: Path | None
    version: str


def make_plan(lab: Lab, credentials: Credentials, tools: Tools, *, rootful: bool) -> Plan:
    """Everything that PID 1 needs to create and run this lab."""
    nodes = topology.nodes(lab)
    proxies = {
        node.name: kube_proxy_config(
            lab, node.name, conntrack_tunable=False, kubeconfig=f"{KUBECONFIGS}/kube-proxy"
        )
        for node in nodes
    }
    gateways = topology.gateways(lab)
    agent = File(AGENT_CONFIG, encode(agent_config(lab, nodes, tools, rootful=rootful)).decode())
    return Plan(
        lab=lab.name,
        rootful=rootful,
        bridge=tuple(str(gateway) for gateway in gateways),
        nodes=tuple(
            NodePlan(
                node.name,
                tuple(str(interface) for interface in node.interfaces),
                tuple(str(gateway.ip) for gateway in gateways),
            )
            for node in nodes
        ),
        files=(*control_plane.files(credentials, nodes, proxies), agent),
        components=(*control_plane.components(lab, nodes, tools.binaries), _agent()),
        endpoints=tuple((node.ips[0], API_PORT) for node in nodes if node.role == "control-plane"),
    )


def agent_config(lab: Lab, nodes: tuple[topology.Node, ...], tools: Tools, *, rootful: bool) -> Config:
    """The node agent's configuration."""
    return Config(
        kubeconfig=Path(f"{KUBECONFIGS}/agent"),
        nodes=tuple(
            Node(
                node.name,
                node.role,
                node.ips,
                netns=Path(namespace_path(node.name)),
                mountns=Path(pin_path(node.name, "mnt")),
                taint=node.tainted,
            )
            for node in nodes
        ),
        pod_subnets=tuple(map(str, lab.pod_subnet)),
        cni_bin=tools.cni,
        run_dir=Path(AGENT),
        cluster_dns=control_plane.cluster_dns_ip(lab) if lab.dns else None,
        coredns=tools.coredns,
        rootful=rootful,
        kubelet=KubeletTls(Path(f"{PKI}/kubelet.crt"), Path(f"{PKI}/kubelet.key"), Path(f"{PKI}/ca.crt")),
        kubernetes_version=tools.version,
    )


def _agent() -> Component:
    env = component_environment() | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    argv = (sys.executable, "-P", "-m", "kubewire.providers.netns.agent", "--config", AGENT_CONFIG)
    return Component("node-agent", argv, env=env)
