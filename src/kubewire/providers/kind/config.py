"""A lab as kind's cluster configuration, plain or with the mount that marks the cluster's owner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubewire.core.bounded_yaml import read_yaml
from kubewire.lab.kubeproxy import API_VERSION, KIND, mode_options
from kubewire.lab.rendering import dump_yaml
from kubewire.lab.schema import DEFAULT_SUBNETS, IpFamily, KubeProxy, Lab, Mode, control_planes_run_pods
from kubewire.lab.values import NEWEST_MINOR
from kubewire.providers.kind.state import OWNER_MOUNT

PATIENCE = {"kubernetesAPICall": "5m0s", "controlPlaneComponentHealthCheck": "8m0s"}
"""kubeadm's timeouts, by default 1 and 4 minutes: the apiserver of a busy machine needs more to start.
Its API v1beta4 has these; kind leaves the patch out where a node's kubeadm is older."""
KIND_IMAGES = {29: 2, 30: 0, 31: 0, 32: 2, 33: 1, 34: 0, 35: 0, 36: 1, 37: 0}
"""Kubernetes minor → a patch for which the kind project has published a kindest/node image."""


def kind_config(lab: Lab, owner: Path) -> str:
    """kind's Cluster for this lab. The node image is passed to kind by its option, for all nodes."""
    config = read_yaml(render_kind(lab))
    patches = [
        dump_yaml({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, "timeouts": PATIENCE})
        for kind in ("InitConfiguration", "JoinConfiguration")
    ]
    config["kubeadmConfigPatches"] = [*config.get("kubeadmConfigPatches", ()), *patches]
    for node in config["nodes"]:
        node.pop("image", None)
        node["extraMounts"] = [{"hostPath": str(owner), "containerPath": OWNER_MOUNT, "readOnly": True}]
    return dump_yaml(config)


def render_kind(lab: Lab) -> str:
    """kind's Cluster (kind.x-k8s.io/v1alpha4), without kind's own defaults."""
    patches = _kube_proxy_patch(lab)
    networking = _kind_networking(lab)
    return dump_yaml(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": lab.name,
            **({"networking": networking} if networking else {}),
            **({"kubeadmConfigPatches": [dump_yaml(patches)]} if patches else {}),
            "nodes": [
                *(_kind_node(lab, "control-plane") for _ in range(lab.nodes.control_planes)),
                *(_kind_node(lab, "worker") for _ in range(lab.nodes.workers)),
            ],
        }
    )


def _kind_networking(lab: Lab) -> dict[str, Any]:
    pods, services = DEFAULT_SUBNETS[lab.ip_family]
    options = {
        "kubeProxyMode": (lab.mode.value, lab.mode is not Mode.IPTABLES),
        "ipFamily": (lab.ip_family.value, lab.ip_family is not IpFamily.IPV4),
        "podSubnet": (",".join(map(str, lab.pod_subnet)), lab.pod_subnet != pods),
        "serviceSubnet": (",".join(map(str, lab.service_subnet)), lab.service_subnet != services),
        "apiServerPort": (lab.api_server_port, lab.api_server_port != 0),
    }
    return {key: value for key, (value, is_own) in options.items() if is_own}


def _kind_node(lab: Lab, role: str) -> dict[str, Any]:
    minor, *patch = lab.kubernetes.split(".")[1:]
    is_newest = int(minor) == NEWEST_MINOR and not patch
    version = f"1.{minor}.{patch[0] if patch else KIND_IMAGES.get(int(minor), 0)}"
    taintless: dict[str, Any] = {"nodeRegistration": {"taints": []}}
    untainted = role == "control-plane" and control_planes_run_pods(lab) and lab.nodes.control_planes > 1
    return {
        "role": role,
        **({} if is_newest else {"image": f"kindest/node:v{version}"}),
        **(
            {
                "kubeadmConfigPatches": [
                    dump_yaml({"kind": kind, **taintless})
                    for kind in ("InitConfiguration", "JoinConfiguration")
                ]
            }
            if untainted
            else {}
        ),
    }


def _kube_proxy_patch(lab: Lab) -> dict[str, Any]:
    """The lab's changes to kind's KubeProxyConfiguration; {} for none."""
    plain = lab.model_copy(update={"kube_proxy": KubeProxy(), "kubernetes": f"1.{NEWEST_MINOR}"})
    changed = _difference(mode_options(lab), mode_options(plain))
    return {"kind": KIND, "apiVersion": API_VERSION, **changed} if changed else {}


def _difference(wanted: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict):
            if inner := _difference(value, default[key]):
                changed[key] = inner
        elif key not in default or value != default[key]:
            changed[key] = value
    return changed
