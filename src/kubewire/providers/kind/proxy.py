"""Restart one node's kube-proxy after all its rules were removed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kubewire.cluster.api import Api
from kubewire.core.errors import LabError
from kubewire.providers.kind import node as nodes

SECONDS = 60.0
POLL = 0.3
PODS = "/api/v1/namespaces/kube-system/pods"


def restart(kubeconfig: Path, node: str) -> None:
    """Stop the node's kube-proxy, let it clean up after itself, delete its pod and wait for the next one."""
    nodes.script(node, nodes.CLEANUP)
    with Api(kubeconfig) as api:
        old = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in _pods(api, node)}
        for name in old.values():
            api.delete(f"{PODS}/{name}", gracePeriodSeconds=0)
        deadline = time.monotonic() + SECONDS
        while not any(pod["metadata"]["uid"] not in old and _ready(pod) for pod in _pods(api, node)):
            if time.monotonic() > deadline:
                raise LabError(f"kube-proxy did not come back within {SECONDS:.0f} s", where=node)
            time.sleep(POLL)


def _pods(api: Api, node: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(
        PODS, labelSelector="k8s-app=kube-proxy", fieldSelector=f"spec.nodeName={node}"
    )["items"]
    return found


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
