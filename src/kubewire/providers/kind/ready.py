"""Waiting until a cluster is really ready: every node, kube-proxy on each, cluster DNS."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kubewire.cluster.api import Api, ApiError
from kubewire.cluster.readiness import takes_pods
from kubewire.core.errors import LabError
from kubewire.core.progress import Progress
from kubewire.lab.schema import Lab, node_names

SECONDS = 180.0
POLL = 0.3
SYSTEM = (
    ("apps/v1", "DaemonSet", "kube-proxy"),
    ("apps/v1", "DaemonSet", "kindnet"),
    ("apps/v1", "Deployment", "coredns"),
)


def wait_until_ready(lab: Lab, kubeconfig: Path, progress: Progress, seconds: float = SECONDS) -> None:
    """Return once nothing lacks; LabError naming what still does after `seconds`."""
    _wait(lab, kubeconfig, progress, seconds, lambda api: _nodes_lacking(api, lab) or _system_lacking(api))


def wait_for_nodes(lab: Lab, kubeconfig: Path, progress: Progress) -> None:
    """Return once every node is ready: from then on the scheduler spreads pods over all of them."""
    _wait(lab, kubeconfig, progress, SECONDS, lambda api: _nodes_lacking(api, lab))


def pod_network(kubeconfig: Path) -> str:
    """The image of the DaemonSet kindnet's container, in up to 256 characters."""
    with Api(kubeconfig) as api:
        found = api.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kindnet")
    containers = found["spec"]["template"]["spec"]["containers"]
    return str(containers[0].get("image", ""))[:256]


def _wait(
    lab: Lab, kubeconfig: Path, progress: Progress, seconds: float, lacking: Callable[[Api], str]
) -> None:
    deadline = time.monotonic() + seconds
    with Api(kubeconfig) as api:
        while lack := _asked(api, lacking):
            if time.monotonic() > deadline:
                raise LabError(
                    f"the cluster isn't ready within {seconds:.0f} s: {lack}",
                    where=f"lab {lab.name}",
                    hint=f"kubewire shell {lab.name} control-plane, then: journalctl -u kubelet",
                )
            progress("cluster", lack)
            time.sleep(POLL)


def _asked(api: Api, lacking: Callable[[Api], str]) -> str:
    try:
        return lacking(api)
    except ApiError as error:
        return f"waiting for the apiserver ({error.what})"


def _nodes_lacking(api: Api, lab: Lab) -> str:
    ready = {node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"] if takes_pods(node)}
    waiting = [name for name in node_names(lab) if name not in ready]
    return f"waiting for node {', '.join(waiting)}" if waiting else ""


def _system_lacking(api: Api) -> str:
    from kubewire.cluster.rollout import lacking

    for version, kind, name in SYSTEM:
        metadata = {"name": name, "namespace": "kube-system"}
        found = api.find(api.object_path({"apiVersion": version, "kind": kind, "metadata": metadata}))
        if found is None:
            return f"{kind} {name} isn't there"
        if lack := lacking(found):
            return f"{name}: {lack}"
    return ""
