"""Waiting until a cluster is really ready: every node, kube-proxy on each, cluster DNS."""

from __future__ import annotations

import time
from pathlib import Path

from kubewire.errors import LabError
from kubewire.kubernetes.api import Api, ApiError
from kubewire.lab.schema import Lab, node_names
from kubewire.progress import Progress

SECONDS = 180.0
POLL = 0.3
SYSTEM = (
    ("apps/v1", "DaemonSet", "kube-proxy"),
    ("apps/v1", "DaemonSet", "kindnet"),
    ("apps/v1", "Deployment", "coredns"),
)


def wait_until_ready(lab: Lab, kubeconfig: Path, progress: Progress, seconds: float = SECONDS) -> None:
    """Return once nothing lacks; LabError naming what still does after `seconds`."""
    deadline = time.monotonic() + seconds
    with Api(kubeconfig) as api:
        while lack := _lacking(api, lab):
            if time.monotonic() > deadline:
                raise LabError(
                    f"the cluster isn't ready within {seconds:.0f} s: {lack}",
                    where=f"lab {lab.name}",
                    mend=f"kubewire shell {lab.name} control-plane, then: journalctl -u kubelet",
                )
            progress("cluster", lack)
            time.sleep(POLL)


def _lacking(api: Api, lab: Lab) -> str:
    from kubewire.steps.rollout import lacking

    try:
        ready = {node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"] if _is_ready(node)}
        if waiting := [name for name in node_names(lab) if name not in ready]:
            return f"waiting for node {', '.join(waiting)}"
        for version, kind, name in SYSTEM:
            metadata = {"name": name, "namespace": "kube-system"}
            found = api.find(api.object_path({"apiVersion": version, "kind": kind, "metadata": metadata}))
            if found is None:
                return f"{kind} {name} isn't there"
            if lack := lacking(found):
                return f"{name}: {lack}"
    except ApiError as error:
        return f"waiting for the apiserver ({error.what})"
    return ""


def _is_ready(node: dict[str, object]) -> bool:
    status = node.get("status")
    conditions = status.get("conditions", ()) if isinstance(status, dict) else ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
