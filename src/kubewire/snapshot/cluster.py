"""The cluster's part of a snapshot: one v1 List of the objects that the dataplane depends on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

RESOURCES = (
    ("/api/v1/services", "v1", "Service"),
    ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ("/api/v1/nodes", "v1", "Node"),
    ("/api/v1/pods", "v1", "Pod"),
    ("/apis/networking.k8s.io/v1/servicecidrs", "networking.k8s.io/v1", "ServiceCIDR"),
)
DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)
CONTAINER_FIELDS = ("name", "image", "ports")
STATUS_FIELDS = ("phase", "podIP", "podIPs", "hostIP", "hostIPs", "conditions")


class Reader(Protocol):
    """What the collector needs of an API client."""

    def find(self, path: str) -> dict[str, Any] | None:
        """The object or list at `path`, None if it doesn't exist."""


def read_cluster(api: Reader) -> dict[str, Any]:
    """All namespaces' objects as a v1 List; ServiceCIDR is left out where the cluster has no such kind."""
    items = [
        slim({"apiVersion": version, "kind": kind, **item})
        for path, version, kind in RESOURCES
        for item in (api.find(path) or {}).get("items") or []
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def slim(item: dict[str, Any]) -> dict[str, Any]:
    """The object without managedFields and unchecked fields; a pod keeps no environment or volumes."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k not in DROPPED_ANNOTATIONS}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    item = {**item, "metadata": metadata}
    if item["kind"] == "Pod":
        spec, status = item.get("spec", {}), item.get("status", {})
        containers = [{k: c[k] for k in CONTAINER_FIELDS if k in c} for c in spec.get("containers", [])]
        item["spec"] = {
            "nodeName": spec.get("nodeName", ""),
            "hostNetwork": bool(spec.get("hostNetwork")),
            "containers": containers,
        }
        item["status"] = {k: status[k] for k in STATUS_FIELDS if k in status}
    if item["kind"] == "Node":
        status = item.get("status", {})
        item["status"] = {k: status[k] for k in ("addresses", "nodeInfo", "conditions") if k in status}
    return item


def fingerprint(cluster: Mapping[str, Any]) -> frozenset[str]:
    """What must be the same before and after the nodes were read: everything but heartbeats."""
    return frozenset(_identities(cluster))


def _identities(cluster: Mapping[str, Any]) -> Iterator[str]:
    for item in cluster["items"]:
        metadata, kind = item["metadata"], item["kind"]
        if kind == "Node":
            status = item.get("status", {})
            content = [metadata.get("labels"), item.get("spec"), status.get("addresses")]
            yield json.dumps([kind, metadata["name"], content], sort_keys=True)
        elif kind == "Pod":
            status = item["status"]
            ready = [c.get("status") for c in status.get("conditions", []) if c.get("type") == "Ready"]
            content = [item["spec"]["nodeName"], status.get("podIPs"), status.get("phase"), ready]
            key = [kind, metadata.get("uid"), metadata.get("deletionTimestamp"), content]
            yield json.dumps(key, sort_keys=True)
        else:
            yield json.dumps([kind, metadata.get("uid"), metadata.get("resourceVersion")])
