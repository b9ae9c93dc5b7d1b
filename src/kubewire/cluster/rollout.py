"""Whether the applied objects run, and if not, the messages of pods and events."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kubewire.cluster.api import Api
from kubewire.cluster.object_diff import title
from kubewire.cluster.readiness import is_ready
from kubewire.core.errors import LabError
from kubewire.core.progress import Progress
from kubewire.core.timeouts import scaled

POLL = 0.1  # seconds
FAMILIES = ("IPv4", "IPv6")
HOPELESS = frozenset({"ErrImageNotOnNetns", "InvalidImageName", "ErrImageNeverPull"})
"""Waiting reasons that don't go away by themselves."""


def wait_for_rollout(
    api: Api, manifests: Sequence[Mapping[str, Any]], timeout: float, progress: Progress
) -> bool:
    """Wait until every workload among the manifests is rolled out and every Service has its pods among its
    endpoints; returns whether it had to wait. LabError with the pods' messages.
    """
    workloads = [manifest for manifest in manifests if manifest["kind"] in WORKLOADS]
    services = [manifest for manifest in manifests if manifest["kind"] == "Service"]
    deadline = time.monotonic() + timeout
    waited = False
    while True:
        open_ones = _unfinished(api, workloads) or _unfinished(api, services)
        if not open_ones:
            return waited
        waited = True
        live, lack = open_ones[0]
        progress("workload", f"{title(live)}: {lack}")
        stuck = [problem for live, _ in open_ones for problem in pod_problems(_pods(api, live))]
        hopeless = any(reason in HOPELESS for _, reason, _ in stuck)
        if hopeless or time.monotonic() > deadline:
            within = "" if hopeless else f" within {timeout:.0f} s"
            raise LabError(
                "; ".join(f"{title(live)} isn't rolled out{within}: {lack}" for live, lack in open_ones),
                hint="\n  ".join(
                    [*(f"{pod}: {reason}: {text}" for pod, reason, text in stuck), *_events(api, live)]
                )
                or "look at: kubewire kubeconfig LAB, then kubectl get pods -A",
            )
        time.sleep(scaled(POLL))


def _unfinished(api: Api, manifests: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str]]:
    """The unfinished ones, as they are in the cluster, and what they lack."""
    seen = [api.find(api.object_path(manifest)) or manifest for manifest in manifests]
    return [(live, lack) for live in seen if (lack := _lacking(api, live))]


def _lacking(api: Api, obj: Mapping[str, Any]) -> str:
    if obj["kind"] != "Service":
        return lacking(obj)
    if not obj.get("spec", {}).get("selector"):
        return ""
    families = obj["spec"].get("ipFamilies", FAMILIES)
    pods = [pod for pod in _pods(api, obj) if _families(pod) & set(families)]
    namespace, name = obj["metadata"].get("namespace") or "default", obj["metadata"]["name"]
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = api.get(path, labelSelector=f"kubernetes.io/service-name={name}")["items"]
    return endpoints_lacking(pods, slices)


def endpoints_lacking(pods: Sequence[Mapping[str, Any]], slices: Sequence[Mapping[str, Any]]) -> str:
    """What a Service's EndpointSlices lack of its ready pods, or still have of removed pods; "" for
    nothing. The EndpointSlice controller follows the pods with some delay.
    """
    ready = {pod["metadata"]["name"] for pod in pods if is_ready(pod) and _is_alive(pod)}
    listed = {
        (endpoint.get("targetRef") or {}).get("name", "")
        for item in slices
        for endpoint in item.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready") is not False
    }
    gone = listed - {"", *(pod["metadata"]["name"] for pod in pods)}
    if ready <= listed and not gone:
        return ""
    return f"{len(ready & listed)} of {len(ready)} ready pods are endpoints" + (
        f", {len(gone)} endpoints of pods that are gone" if gone else ""
    )


def _families(pod: Mapping[str, Any]) -> set[str]:
    ips = [entry.get("ip", "") for entry in pod.get("status", {}).get("podIPs") or ()]
    return {"IPv6" if ":" in ip else "IPv4" for ip in ips}


def _is_alive(pod: Mapping[str, Any]) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("phase") == "Running"


def lacking(obj: Mapping[str, Any]) -> str:
    """What a workload still lacks ("3 of 4 replicas available"), "" once it is rolled out."""
    return WORKLOADS[obj["kind"]](obj)


def _unseen(obj: Mapping[str, Any]) -> bool:
    seen, current = obj.get("status", {}).get("observedGeneration", 0), obj["metadata"].get("generation", 1)
    return int(seen) < int(current)


def _deployment(obj: Mapping[str, Any]) -> str:
    status = obj.get("status", {})
    wanted = obj.get("spec", {}).get("replicas", 1)
    if _unseen(obj):
        return "not seen by its controller yet"
    if status.get("updatedReplicas", 0) != wanted:
        return f"{status.get('updatedReplicas', 0)} of {wanted} replicas updated"
    if status.get("availableReplicas", status.get("readyReplicas", 0)) != wanted:
        return f"{status.get('availableReplicas', 0)} of {wanted} replicas available"
    if status.get("replicas", 0) != wanted:
        return f"{status['replicas'] - wanted} old replicas still there"
    return ""


def _daemon_set(obj: Mapping[str, Any]) -> str:
    status = obj.get("status", {})
    if _unseen(obj):
        return "not seen by its controller yet"
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
    updated = status.get("updatedNumberScheduled", 0)
    return "" if wanted == ready == updated else f"{min(ready, updated)} of {wanted} pods available"


def _pod(obj: Mapping[str, Any]) -> str:
    phase = obj.get("status", {}).get("phase", "Pending")
    return "" if is_ready(obj) or phase == "Succeeded" else f"{phase}, not ready"


WORKLOADS = {"Deployment": _deployment, "StatefulSet": _deployment, "DaemonSet": _daemon_set, "Pod": _pod}


def pod_problems(pods: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(pod, reason, message) of every pod that is not ready, from its containers or its conditions."""
    found: list[tuple[str, str, str]] = []
    for pod in pods:
        status = pod.get("status", {})
        waiting = [
            c["state"]["waiting"]
            for c in status.get("containerStatuses", ())
            if "waiting" in c.get("state", {})
        ]
        held = [c for c in status.get("conditions", ()) if c["status"] == "False" and c.get("message")]
        name = title({"kind": "Pod", "metadata": pod["metadata"]})
        found += [(name, w.get("reason", ""), w.get("message", "")) for w in waiting or held[:1]]
    return found


def _pods(api: Api, workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    namespace = workload["metadata"].get("namespace") or "default"
    path = f"/api/v1/namespaces/{namespace}/pods"
    if workload["kind"] == "Pod":
        pod = api.find(f"{path}/{workload['metadata']['name']}")
        return [pod] if pod else []
    selector = workload.get("spec", {}).get("selector", {})
    labels = selector if workload["kind"] == "Service" else selector.get("matchLabels", {})
    wanted = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    items: list[dict[str, Any]] = api.get(path, labelSelector=wanted)["items"]
    return items


def _events(api: Api, workload: Mapping[str, Any], newest: int = 3) -> list[str]:
    """The last warnings of the workload's namespace, oldest first."""
    namespace = workload["metadata"].get("namespace") or "default"
    found = api.get(f"/api/v1/namespaces/{namespace}/events", fieldSelector="type=Warning")["items"]
    found.sort(key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
    return [
        f"{e['involvedObject'].get('kind')} {e['involvedObject'].get('name')}: {e.get('message', '')}"
        for e in found[-newest:]
    ]
