"""The configuration that kind gets: the lab's rendered one, and the mark that says whose cluster it is."""

from __future__ import annotations

from pathlib import Path

from kubewire.core.bounded_yaml import read_yaml
from kubewire.lab.rendering import dump_yaml, render_kind
from kubewire.lab.schema import Lab
from kubewire.providers.kind.state import OWNER_MOUNT

PATIENCE = {"kubernetesAPICall": "5m0s", "controlPlaneComponentHealthCheck": "8m0s"}
"""How long kubeadm waits, by default 1 and 4 minutes: a busy machine's apiserver needs more to start.
Its API v1beta4 has these; kind leaves the patch out where a node's kubeadm is older."""


def kind_config(lab: Lab, owner: Path) -> str:
    """kind's Cluster for this lab. The node image is given to kind by its option, for all nodes alike."""
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
