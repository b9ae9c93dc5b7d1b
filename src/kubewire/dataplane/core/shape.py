"""The fields of a snapshot's API objects that kubewire reads, and their types.

Validated once, when a snapshot is created, so that readers can rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.core.serialization import convert

Texts = list[str] | None


class Metadata(Struct):
    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None


class Object(Struct):
    metadata: Metadata


class ServicePort(Struct):
    port: int
    name: str | None = None
    protocol: str | None = None
    nodePort: int | None = None  # noqa: N815


class ServiceSpec(Struct, rename="camel"):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: Texts = msgspec.field(default=None, name="clusterIPs")
    external_ips: Texts = msgspec.field(default=None, name="externalIPs")
    load_balancer_source_ranges: Texts = None
    session_affinity: str | None = None
    ports: list[ServicePort] | None = None


class Service(Struct):
    metadata: Metadata
    spec: ServiceSpec | None = None


class Endpoint(Struct, rename="camel"):
    addresses: Texts = None
    node_name: str | None = None
    conditions: dict[str, bool | None] | None = None


class SlicePort(Struct):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(Struct):
    metadata: Metadata
    endpoints: list[Endpoint] | None = None
    ports: list[SlicePort] | None = None


class NodeAddress(Struct):
    type: str
    address: str


class NodeStatus(Struct):
    addresses: list[NodeAddress] | None = None


class NodeSpec(Struct):
    podCIDR: str | None = None  # noqa: N815
    podCIDRs: Texts = None  # noqa: N815


class Node(Struct):
    metadata: Metadata
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class PodIP(Struct):
    ip: str


class Condition(Struct):
    type: str
    status: str


class PodStatus(Struct):
    podIPs: list[PodIP] | None = None  # noqa: N815
    conditions: list[Condition] | None = None


class PodSpec(Struct):
    nodeName: str | None = None  # noqa: N815
    hostNetwork: bool | None = None  # noqa: N815


class Pod(Struct):
    metadata: Metadata
    spec: PodSpec | None = None
    status: PodStatus | None = None


class CIDRSpec(Struct):
    cidrs: Texts = None


class ServiceCIDR(Struct):
    spec: CIDRSpec | None = None


KINDS: Mapping[str, type[Struct]] = {
    kind.__name__: kind for kind in (Service, EndpointSlice, Node, Pod, ServiceCIDR)
}


def check_cluster(cluster: object) -> None:
    """LabError naming the object and the field that has another type; a list without items passes."""
    items = cluster.get("items", []) if isinstance(cluster, Mapping) else None
    if not isinstance(items, list):
        raise LabError("the cluster's objects are not a v1 List", where="cluster.json")
    for number, item in enumerate(items):
        kind = item.get("kind") if isinstance(item, Mapping) else None
        if not isinstance(kind, str):
            raise LabError(f"items[{number}] is not an object with a kind", where="cluster.json")
        if kind in KINDS:
            _check(item, KINDS[kind], f"items[{number}], a {kind}")


def _check(item: Any, shape: type[Struct], what: str) -> None:
    try:
        convert(item, shape)
    except msgspec.ValidationError as error:
        raise LabError(
            f"{what}, is not as the API gives it: {error}".replace(" - at `$.", " at `"),
            where="cluster.json",
            hint="take the snapshot again with kubewire snapshot",
        ) from error
